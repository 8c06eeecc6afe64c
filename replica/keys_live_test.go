// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picolet/picolet/enrolment"
	"github.com/picolet/picolet/link/noise"
)

// ownNamespace has a gateway keep its key apart from those of other tests.
func (p *plane) ownNamespace(t *testing.T) (name string, change func(*Config)) {
	t.Helper()
	name = unique("keys")
	_, err := p.client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	must(t, err)
	return name, func(c *Config) { c.Kubernetes, c.AllowClusterAdmin, c.Namespace = p.admin, true, name }
}

// learns has a board keep what it learns of the gateway's keys, as flash does.
func (b *testBoard) learns() {
	b.link.StoreKeys = func(known, next noise.PublicKey) error {
		b.link.GatewayKey, b.link.NextKey = known, next
		return nil
	}
}

func (p *plane) step(t *testing.T, namespace string, step func(*enrolment.GatewayKeys) error) enrolment.GatewayKeys {
	t.Helper()
	keys, err := enrolment.UpdateGatewayKeys(t.Context(), p.client.CoreV1().Secrets(namespace), step)
	must(t, err)
	return keys
}

// waitLinked waits until a board has a link with a gateway.
func waitLinked(t *testing.T, r *process, b *testBoard) {
	t.Helper()
	eventually(t, 30*time.Second, func() error {
		if r.log.lines("Board's link is up", "node="+b.name) == 0 {
			return fmt.Errorf("board %s has no link", b.name)
		}
		return nil
	})
}

// TestGatewayKeyIsRotated: boards that are there when the gateway gets another key need
// no visit, and keep their links. A board that was away until the old key was dropped is
// refused.
func TestGatewayKeyIsRotated(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	namespace, change := p.ownNamespace(t)
	r := p.start(t, change)
	near, away := newBoard(t, r), newBoard(t, r)
	for _, b := range []*testBoard{near, away} {
		b.learns()
		p.join(t, b, `{"approved":true}`)
	}
	away.stop()
	links := r.log.lines("Board's link is up", "node="+near.name)

	next := p.step(t, namespace, (*enrolment.GatewayKeys).Rotate).Next.Public().Name()
	eventually(t, time.Minute, func() error {
		d, err := p.devices.Get(t.Context(), near.device, metav1.GetOptions{})
		if err == nil && d.Status.GatewayKey != next {
			err = fmt.Errorf("the board knows the gateway by %q, want %q", d.Status.GatewayKey, next)
		}
		return err
	})
	if n := r.log.lines("Board's link is up", "node="+near.name); n != links {
		t.Errorf("the board has linked %d times for it", n-links)
	}

	p.step(t, namespace, (*enrolment.GatewayKeys).Finish)
	p.step(t, namespace, (*enrolment.GatewayKeys).DropPrevious)
	renewed := p.start(t, change)
	near.gateway.Store(&renewed.addr)
	away.gateway.Store(&renewed.addr)
	r.stop()
	waitLinked(t, renewed, near)
	away.boot(t)
	eventually(t, 30*time.Second, func() error {
		if renewed.log.lines("level=WARN", "handshake") == 0 {
			return errors.New("no handshake was refused")
		}
		return nil
	})
	if renewed.log.lines("Board's link is up", "node="+away.name) > 0 {
		t.Error("a board is let in by a key that was dropped")
	}
}

// TestBackup: the Secret of the key and the Devices, taken and brought back by the
// commands of docs/backup.md, let all boards in again without a visit.
func TestBackup(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	namespace, change := p.ownNamespace(t)
	r := p.start(t, change)
	b := newBoard(t, r)
	p.join(t, b, `{"approved":true,"labels":{"example.com/room":"attic"}}`)
	b.stop()
	r.stop()

	kubectl := func(args ...string) string {
		t.Helper()
		out, err := p.kubectl(t, args...)
		must(t, err)
		return out
	}
	var files []string
	for _, what := range [][]string{{"secret", enrolment.GatewayKeySecret, "-n", namespace}, {"device", b.device}} {
		file := filepath.Join(t.TempDir(), "backup.yaml")
		must(t, os.WriteFile(file, []byte(kubectl(append([]string{"get", "-o", "yaml"}, what...)...)), 0o600))
		files = append(files, file)
		kubectl(append([]string{"delete"}, what...)...)
	}
	kubectl("delete", "node", b.name)

	for _, file := range files {
		kubectl("apply", "-f", file)
	}
	restored := p.start(t, change)
	if restored.key != r.key {
		t.Fatal("the restored gateway has another key")
	}
	b.gateway.Store(&restored.addr)
	b.boot(t)
	node := p.waitNode(t, b.name, isReady)
	if node.Labels["example.com/room"] != "attic" {
		t.Errorf("labels %v", node.Labels)
	}
}
