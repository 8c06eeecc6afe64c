// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/picolet/picolet/kubelet"
)

// waitRead waits until the board has read a ConfigMap at its present version.
func (b *testBoard) waitRead(t *testing.T, name string) {
	t.Helper()
	m, err := b.plane.client.CoreV1().ConfigMaps(namespace).Get(t.Context(), name, metav1.GetOptions{})
	must(t, err)
	version, err := strconv.ParseUint(m.ResourceVersion, 10, 64)
	must(t, err)
	eventually(t, 10*time.Second, func(ctx context.Context) error {
		var status struct {
			Config struct {
				ConfigMaps []struct {
					Name            string
					ResourceVersion uint64
				}
			}
		}
		if err := getJSON(ctx, "http://"+b.port+"/pico/status", &status); err != nil {
			return err
		}
		for _, c := range status.Config.ConfigMaps {
			if c.Name == name && c.ResourceVersion >= version {
				return nil
			}
		}
		return fmt.Errorf("read %+v, want version %d", status, version)
	})
}

// TestCommandHoldsUntilItsEntryChanges: a pin stays as a command has set it, until its
// entry of the ConfigMap has another value or the board restarts.
func TestCommandHoldsUntilItsEntryChanges(t *testing.T) {
	t.Parallel()
	p, name := sharedPlane(t), unique("holds")
	b := configured(t, p, boardOptions{}, name)
	p.setConfig(t, name, data{"pin_15": "HIGH", "pin_2": "LOW"})
	b.waitPin(t, 15, "HIGH")
	command := func() {
		t.Helper()
		if answer, body := ask(t, b.port, "POST", "/pico/command", `{"command":"set_pin","pin":15,"value":"LOW"}`); answer.StatusCode != http.StatusOK {
			t.Fatalf("set_pin: %s %s", answer.Status, body)
		}
	}
	stays := func(after string) {
		t.Helper()
		b.waitRead(t, name)
		if err := b.checkPin(15, "LOW"); err != nil {
			t.Errorf("after %s: %v", after, err)
		}
	}
	command()
	p.mustKubectl(t, "--namespace="+namespace, "annotate", "configmap", name, "example.com/seen=yes")
	stays("an annotation")
	p.setConfig(t, name, data{"pin_15": "HIGH", "pin_2": "HIGH"})
	b.waitPin(t, 2, "HIGH")
	stays("a change of another entry")
	p.setConfig(t, name, data{"pin_15": "PWM:1", "pin_2": "HIGH"})
	b.waitPin(t, 15, "PWM:1")

	command()
	b.powerOff(t)
	b.powerOn(t)
	b.waitPin(t, 15, "PWM:1")
}

// TestMisspelledKeyIsNamed: in an Event, with the nearest key; binaryData too.
func TestMisspelledKeyIsNamed(t *testing.T) {
	t.Parallel()
	p, name := sharedPlane(t), unique("misspelled")
	b := configured(t, p, boardOptions{}, name)
	p.setConfig(t, name, data{"Pin_2": "HIGH"})
	p.waitEvent(t, b.name, "ConfigRejected", name+": skipped Pin_2: no such key, want pin_2")
	p.mustKubectl(t, "--namespace="+namespace, "patch", "configmap", name, "--type=merge", `--patch={"data":{"Pin_2":null},"binaryData":{"pin_2":"SElHSA=="}}`)
	p.waitEvent(t, b.name, "ConfigRejected", name+": skipped pin_2: is in binaryData, want text in data")
}

// TestConditionsReplaced: where another writer has replaced the conditions of a node,
// no heartbeat makes one without a status, and soon all are as they were.
func TestConditionsReplaced(t *testing.T) {
	t.Parallel()
	p := sharedPlane(t)
	b := readyBoard(t, p, boardOptions{change: func(c *kubelet.Config) { c.NodeStatusReportFrequency = 10 * time.Second }})
	b.waitRenewals(t, 1)
	for _, conditions := range []string{
		`[]`, `[{"type":"KernelDeadlock","status":"False","lastHeartbeatTime":"2026-01-01T00:00:00Z","lastTransitionTime":"2026-01-01T00:00:00Z"}]`,
	} {
		_, err := p.client.CoreV1().Nodes().Patch(t.Context(), b.name, types.MergePatchType, []byte(`{"status":{"conditions":`+conditions+`}}`), metav1.PatchOptions{}, "status")
		must(t, err)
		b.waitNode(t, 20*time.Second, func(n *corev1.Node) error {
			ready := 0
			for _, c := range n.Status.Conditions {
				if c.Status == "" || c.LastTransitionTime.IsZero() {
					t.Fatalf("condition %+v", c)
				}
				if c.Reason != "" && c.Message != "" && c.Status != corev1.ConditionUnknown {
					ready++
				}
			}
			if ready < 5 {
				return fmt.Errorf("conditions %v", n.Status.Conditions)
			}
			return nil
		})
	}
}

// TestStatusReportFrequency: of 10 s, the least, makes a status each 10 s.
func TestStatusReportFrequency(t *testing.T) {
	t.Parallel()
	b := readyBoard(t, sharedPlane(t), boardOptions{change: func(c *kubelet.Config) { c.NodeStatusReportFrequency = 10 * time.Second }})
	beat := func() time.Time { return condition(b.mustNode(t), corev1.NodeReady).LastHeartbeatTime.Time }
	last := beat()
	next := func() (pause time.Duration) {
		eventually(t, 30*time.Second, func(context.Context) error {
			now := beat()
			if pause = now.Sub(last); pause == 0 {
				return errors.New("no heartbeat")
			}
			last = now
			return nil
		})
		return pause
	}
	next() // the first one may be early
	for range 3 {
		if pause := next(); pause < 9*time.Second || pause > 12*time.Second {
			t.Errorf("a heartbeat after %v, want 10 s", pause)
		}
	}
}
