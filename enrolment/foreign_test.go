// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// oneNode answers with what runs the Node, or not at all.
type oneNode struct {
	runtime string
	err     error
	hangs   bool
}

func (n oneNode) Node(ctx context.Context, name string) (*corev1.Node, error) {
	if n.hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	node.Status.NodeInfo.ContainerRuntimeVersion = n.runtime
	return node, n.err
}

// TestNodeIsLookedAtWithEachLink: a machine's keeps an enrolled board out; no answer
// does not, but it keeps one out that nobody has looked for yet.
func TestNodeIsLookedAtWithEachLink(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		node             oneNode
		enrolled, before Reason
	}{
		"a board's":   {oneNode{runtime: "picolet://v1"}, "", ""},
		"a machine's": {oneNode{runtime: "containerd://2.1.0"}, NodeNotABoard, NodeNotABoard},
		"an error":    {oneNode{err: errors.New("busy")}, "", Unavailable},
		"no answer":   {oneNode{hangs: true}, "", Unavailable},
	} {
		synctest.Test(t, func(t *testing.T) {
			e, err := New(Config{Kubernetes: nowhere, Replica: "gw", Logger: silent, Nodes: tt.node})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*lookTime)
			defer cancel()
			if got := reasonOf(e.judgeAgain(ctx, device(1, "a", true))); got != tt.enrolled {
				t.Errorf("%s: enrolled: %s, want %s", name, got, tt.enrolled)
			}
			if got := reasonOf(e.judgeAgain(ctx, device(2, "b", false))); got != tt.before {
				t.Errorf("%s: not enrolled: %s, want %s", name, got, tt.before)
			}
			e.queue.ShutDown()
			e.sink.Shutdown()
		})
	}
}
