// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ErrClusterAdmin says that the gateway's credentials may do anything. Every
// board's requests would pass through a process that holds the cluster.
var ErrClusterAdmin = errors.New("the gateway has the rights of a cluster administrator")

// ErrRightsMissing says that the gateway cannot act for nodes, or lacks another
// right that it needs.
var ErrRightsMissing = errors.New("the gateway lacks rights")

// The manifests that give the gateway its rights.
const (
	ownManifest          = "deploy/rbac.yaml"
	plainManifest        = "deploy/plain-impersonation.yaml"
	certificatesManifest = "deploy/certificates.yaml"

	remedy = "apply " + ownManifest + " (kubectl apply -f " + ownManifest + ") and run as ServiceAccount picolet-gateway of namespace picolet-system"
)

// A Right is one that a gateway needs at the API server.
type Right struct {
	authorizationv1.ResourceAttributes

	// Manifest is the file that gives it, such as deploy/rbac.yaml. Required.
	Manifest string
}

// Preflight asks the API server whether the gateway has the rights it needs, with
// those that the process needs beside, and not all rights there are; and with
// Identity auto it finds the way to act for nodes. The error wraps
// [ErrClusterAdmin] or [ErrRightsMissing], names the identity and lists everything
// that is missing, with the manifests that give it; any other error says that the
// API server could not be asked.
func (g *Gateway) Preflight(ctx context.Context, beside ...Right) error {
	ctx, cancel := context.WithTimeout(ctx, 3*upstreamTimeout)
	defer cancel()
	review, err := g.client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("asking API server %s who the gateway is: %w", g.upstream.base.Host, err)
	}
	identity := review.Status.UserInfo.Username
	g.rights.setIdentity(identity)
	admin, err := g.refuseClusterAdmin(ctx, identity)
	if err != nil {
		return err
	}
	lacking, err := g.lacking(ctx, beside)
	if err != nil {
		return err
	}
	return g.gainIdentity(ctx, identity, admin, lacking)
}

// allRights are rights that none but an administrator has.
var allRights = []authorizationv1.ResourceAttributes{
	{Verb: "*", Group: "*", Resource: "*"},
	{Verb: "impersonate", Resource: "groups", Name: "system:masters"},
}

func (g *Gateway) refuseClusterAdmin(ctx context.Context, identity string) (admin bool, err error) {
	for _, right := range allRights {
		has, err := g.may(ctx, right)
		if err != nil {
			return false, err
		}
		admin = admin || has
	}
	if admin && !g.config.AllowClusterAdmin {
		return false, fmt.Errorf("%w as %s: %s, or allow it explicitly on a cluster that holds nothing of worth", ErrClusterAdmin, identity, remedy)
	}
	return admin, nil
}

// lacking are those of the needed rights that the gateway does not have.
func (g *Gateway) lacking(ctx context.Context, needed []Right) (lacking []Right, err error) {
	for _, right := range needed {
		has, err := g.may(ctx, right.ResourceAttributes)
		if err != nil {
			return nil, err
		}
		if !has {
			lacking = append(lacking, right)
		}
	}
	return lacking, nil
}

// missingRights names the rights that are lacking, by the manifests that give them.
func missingRights(identity string, lacking []Right) error {
	var manifests, parts []string
	for _, right := range lacking {
		if !slices.Contains(manifests, right.Manifest) {
			manifests = append(manifests, right.Manifest)
		}
	}
	for _, manifest := range manifests {
		var what []string
		for _, right := range lacking {
			if right.Manifest == manifest {
				what = append(what, describe(right.ResourceAttributes))
			}
		}
		parts = append(parts, "may not "+strings.Join(what, "; ")+": run kubectl apply -f "+manifest)
	}
	return fmt.Errorf("%w: %s %s; the manifests give rights to ServiceAccount picolet-gateway of namespace picolet-system", ErrRightsMissing, identity, strings.Join(parts, ", and "))
}

func describe(a authorizationv1.ResourceAttributes) string {
	s := a.Verb + " " + a.Resource
	if a.Subresource != "" {
		s += "/" + a.Subresource
	}
	if a.Group != "" {
		s += "." + a.Group
	}
	if a.Name != "" {
		s += " " + a.Name
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
