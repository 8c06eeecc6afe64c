// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Fifty boards behind one gateway are Ready, and all get what their one
// ConfigMap says, by one watch upstream.
func TestFiftyBoardsShareAGateway(t *testing.T) {
	t.Parallel()
	const boards = 50
	p, name := sharedPlane(t), unique("shared")
	account := p.secondAccount(t)
	p.allowConfigMap(t, gatewaySubject(account), name)
	g := ownGateway(t, p, account, anyPort)
	all := make([]*testBoard, 0, boards)
	for range boards {
		all = append(all, startBoard(t, p, boardOptions{gateway: g.addr, change: readsConfigMaps(name)}))
	}
	eventually(t, time.Minute, func(ctx context.Context) error { return p.allReady(ctx, all) })
	p.setConfig(t, name, data{"pin_0": "HIGH"})
	for _, b := range all {
		b.waitPin(t, 0, "HIGH")
	}

	for metric, want := range map[string]float64{
		"picolet_gateway_boards": boards, "picolet_gateway_configmap_watchers": boards, "picolet_gateway_configmaps": 1,
	} {
		if got, err := g.metric(t.Context(), metric); err != nil || got != want {
			t.Errorf("%s is %v, %v, want %v", metric, got, err, want)
		}
	}
	if n := p.watchesOf(t, account); n != 1 {
		t.Errorf("the API server saw %d watches of this gateway, want 1", n)
	}
}

// allReady checks that the nodes of boards are Ready.
func (p *plane) allReady(ctx context.Context, boards []*testBoard) error {
	list, err := p.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	ready := map[string]bool{}
	for i := range list.Items {
		c := condition(&list.Items[i], corev1.NodeReady)
		ready[list.Items[i].Name] = c != nil && c.Status == corev1.ConditionTrue
	}
	missing := slices.DeleteFunc(slices.Clone(boards), func(b *testBoard) bool { return ready[b.name] })
	if len(missing) > 0 {
		return fmt.Errorf("%d of %d nodes are not Ready, %s among them", len(missing), len(boards), missing[0].name)
	}
	return nil
}

// watchesOf counts the watches that a gateway began, by the audit log.
func (p *plane) watchesOf(t *testing.T, account string) (n int) {
	t.Helper()
	var seen []audited
	eventually(t, 10*time.Second, func(context.Context) (err error) {
		seen, err = p.auditedOf(account)
		return err
	})
	for _, e := range seen {
		if e.Verb == "watch" && e.Stage == "ResponseStarted" {
			n++
		}
	}
	return n
}
