// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// TestNodeNamesAreRequired where the cluster has machines as nodes.
func TestNodeNamesAreRequired(t *testing.T) {
	t.Parallel()
	node := func(name, runtime string) *corev1.Node {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
		n.Status.NodeInfo.ContainerRuntimeVersion = runtime
		return n
	}
	board, unborn, machine := node("pico-1", "picolet://v1"), node("pico-2", ""), node("worker-1", "containerd://2.1.0")
	for name, tt := range map[string]struct {
		config Config
		nodes  []runtime.Object
		deny   bool
		want   string // "": it may run
	}{
		"no node":             {},
		"boards":              {nodes: []runtime.Object{board, unborn}},
		"a machine":           {nodes: []runtime.Object{board, machine}, want: "node worker-1 is not a board"},
		"named":               {config: Config{NodeNames: []string{"pico-*"}}, nodes: []runtime.Object{machine}},
		"plain HTTP":          {config: Config{NoLinks: true}, nodes: []runtime.Object{machine}, want: "node worker-1"},
		"plain HTTP by name":  {config: Config{NoLinks: true, InsecureBoards: map[string]netip.Addr{"pico-1": {}}}, nodes: []runtime.Object{machine}},
		"links and some HTTP": {config: Config{InsecureBoards: map[string]netip.Addr{"pico-1": {}}}, nodes: []runtime.Object{machine}, want: "node worker-1"},
		"no right":            {deny: true, want: "kubectl apply -f deploy/rbac.yaml"},
		"no right, named":     {config: Config{NodeNames: []string{"pico-*"}}, deny: true},
	} {
		client := fake.NewClientset(tt.nodes...)
		if tt.deny {
			client.PrependReactor("list", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "nodes"}, "", nil)
			})
		}
		err := (&Replica{config: tt.config, client: client}).CheckNodeNames(t.Context())
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case tt.want != "" && (!errors.Is(err, ErrNodeNames) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "--node-names")):
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
}
