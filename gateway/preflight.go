// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ErrClusterAdmin says that the gateway's credentials may do anything. Every
// board's requests would pass through a process that holds the cluster.
var ErrClusterAdmin = errors.New("the gateway has the rights of a cluster administrator")

// ErrRightsMissing says that the gateway cannot act for nodes.
var ErrRightsMissing = errors.New("the gateway lacks rights")

const remedy = "apply deploy/rbac.yaml (kubectl apply -f deploy/rbac.yaml) and run as ServiceAccount picolet-gateway of namespace picolet-system"

// nodeMode is the mode of constrained impersonation that the gateway uses
// (KEP-5284; k8s.io/apiserver/pkg/endpoints/filters/impersonation).
const nodeMode = "arbitrary-node"

// probeNode is a node that the gateway asks for to see whether it may act for
// nodes at all. It need not exist.
const probeNode = "picolet-gateway-probe"

// Preflight asks the API server whether the gateway has the rights it needs,
// and not all rights there are. The error wraps [ErrClusterAdmin] or
// [ErrRightsMissing], names the identity and lists everything that is missing;
// any other error says that the API server could not be asked.
func (g *Gateway) Preflight(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*upstreamTimeout)
	defer cancel()
	review, err := g.client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("asking API server %s who the gateway is: %w", g.upstream.base.Host, err)
	}
	identity := review.Status.UserInfo.Username
	g.rights.setIdentity(identity)
	if err := g.refuseClusterAdmin(ctx, identity); err != nil {
		return err
	}
	missing, err := g.missingRights(ctx)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: %s may not %s: %s", ErrRightsMissing, identity, strings.Join(missing, "; "), remedy)
	}
	return g.probe(ctx, identity)
}

// allRights are rights that none but an administrator has.
var allRights = []authorizationv1.ResourceAttributes{
	{Verb: "*", Group: "*", Resource: "*"},
	{Verb: "impersonate", Resource: "groups", Name: "system:masters"},
}

func (g *Gateway) refuseClusterAdmin(ctx context.Context, identity string) error {
	admin := false
	for _, right := range allRights {
		has, err := g.may(ctx, right)
		if err != nil {
			return err
		}
		admin = admin || has
	}
	if admin && !g.config.AllowClusterAdmin {
		return fmt.Errorf("%w as %s: %s, or allow it explicitly on a cluster that holds nothing of worth", ErrClusterAdmin, identity, remedy)
	}
	g.upstream.withGroup.Store(admin)
	return nil
}

// neededRights are the gateway's rights on the API server, taken from the table
// of operations.
func neededRights() []authorizationv1.ResourceAttributes {
	needed := []authorizationv1.ResourceAttributes{
		{Verb: "impersonate:" + nodeMode, Group: authenticationv1.GroupName, Resource: "nodes"},
	}
	for _, op := range operations {
		if op.own {
			continue
		}
		right := authorizationv1.ResourceAttributes{Verb: "impersonate-on:" + nodeMode + ":" + op.verb, Group: op.group, Namespace: op.namespace}
		right.Resource, right.Subresource, _ = strings.Cut(op.resource, "/")
		if !slices.Contains(needed, right) {
			needed = append(needed, right)
		}
	}
	return needed
}

func (g *Gateway) missingRights(ctx context.Context) (missing []string, err error) {
	for _, right := range neededRights() {
		has, err := g.may(ctx, right)
		if err != nil {
			return nil, err
		}
		if !has {
			missing = append(missing, describe(right))
		}
	}
	return missing, nil
}

func describe(a authorizationv1.ResourceAttributes) string {
	s := a.Verb + " " + a.Resource
	if a.Subresource != "" {
		s += "/" + a.Subresource
	}
	if a.Group != "" {
		s += "." + a.Group
	}
	if a.Namespace != "" {
		s += " in namespace " + a.Namespace
	}
	return s
}

func (g *Gateway) may(ctx context.Context, a authorizationv1.ResourceAttributes) (bool, error) {
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &a}}
	review, err := g.client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("asking API server %s for the gateway's right to %s: %w", g.upstream.base.Host, describe(a), err)
	}
	return review.Status.Allowed, nil
}

// probe reads a node as that node: the API server must know constrained
// impersonation, and confine nodes by the Node authorizer.
func (g *Gateway) probe(ctx context.Context, identity string) error {
	a, err := g.upstream.do(ctx, request{method: http.MethodGet, path: "/api/v1/nodes/" + probeNode, node: probeNode})
	switch {
	case err != nil:
		return err
	case a.code == http.StatusOK || a.code == http.StatusNotFound:
		return nil
	case a.code == http.StatusForbidden && aboutImpersonation(a.body):
		return fmt.Errorf("%w: the API server does not let %s act for a node by constrained impersonation: it must be Kubernetes 1.36 or newer with feature ConstrainedImpersonation", ErrRightsMissing, identity)
	case a.code == http.StatusForbidden:
		return fmt.Errorf("%w: the API server does not let a node read itself: it must run with --authorization-mode=Node,RBAC: %s", ErrRightsMissing, excerpt(a.body))
	}
	return fmt.Errorf("API server %s answered %d to a node that reads itself: %s", g.upstream.base.Host, a.code, excerpt(a.body))
}
