// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
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
