// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
)

const asNodeUser = "system:node:"

// asNodes reads each Node as that node, which every node may do (KEP-5284,
// impersonate:arbitrary-node).
type asNodes struct{ client rest.Interface }

var _ Nodes = asNodes{}

func (a asNodes) Node(ctx context.Context, name string) (*corev1.Node, error) {
	node := new(corev1.Node)
	err := a.client.Get().Resource("nodes").Name(name).
		SetHeader(authenticationv1.ImpersonateUserHeader, asNodeUser+name).
		Do(ctx).Into(node)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("as %s%s: %w", asNodeUser, name, err)
	}
	return node, nil
}

// nodesPage is how many Nodes FindMachine reads at a time.
const nodesPage = 500

// FindMachine returns a Node that is not a board's; nil if there is none.
func FindMachine(ctx context.Context, nodes coreclient.NodeInterface) (*corev1.Node, error) {
	for o := (metav1.ListOptions{Limit: nodesPage}); ; {
		list, err := nodes.List(ctx, o)
		if err != nil {
			return nil, err
		}
		for i := range list.Items {
			if n := &list.Items[i]; !IsBoard(n) {
				return n, nil
			}
		}
		if o.Continue = list.Continue; o.Continue == "" {
			return nil, nil
		}
	}
}
