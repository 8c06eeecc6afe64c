// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
)

// How long decisions are kept, as the kubelet does
// (pkg/kubelet/apis/config/v1beta1/defaults.go), and how many
// (k8s.io/apiserver/plugin/pkg/authorizer/webhook).
const (
	allowTTL     = 5 * time.Minute
	denyTTL      = 30 * time.Second
	maxDecisions = 8192
	maxKey       = 10_000 // bytes of a question whose answer is kept
)

// authorizer asks the API server what a client may do.
type authorizer struct {
	reviews authorizationclient.SubjectAccessReviewInterface
	cache   *cache.LRUExpireCache  // the question as JSON: bool
	slots   map[bool]chan struct{} // by whether the client has a certificate
}

func newAuthorizer(reviews authorizationclient.SubjectAccessReviewInterface) *authorizer {
	return &authorizer{reviews: reviews, cache: cache.NewLRUExpireCache(maxDecisions), slots: map[bool]chan struct{}{
		true: make(chan struct{}, maxCertifiedAccess), false: make(chan struct{}, maxTokenAccess),
	}}
}

// authorize lets a user pass who may do verb on one of the subresources of a
// node (KEP-2862).
func (a *authorizer) authorize(ctx context.Context, user *client, node, verb string, subresources []string) *refusal {
	for _, sub := range subresources {
		allowed, refused := a.may(ctx, user, authorizationv1.ResourceAttributes{
			Verb: verb, Version: "v1", Resource: "nodes", Subresource: sub, Name: node,
		})
		if refused != nil || allowed {
			return refused
		}
	}
	return refuse(http.StatusForbidden, "Forbidden: user %q may not %s nodes/%s of node %s; a ClusterRole can allow it",
		user.Username, verb, strings.Join(subresources, " or nodes/"), node)
}

func (a *authorizer) may(ctx context.Context, user *client, what authorizationv1.ResourceAttributes) (bool, *refusal) {
	spec := authorizationv1.SubjectAccessReviewSpec{
		ResourceAttributes: &what, User: user.Username, UID: user.UID, Groups: user.Groups, Extra: extra(user.UserInfo),
	}
	question, err := json.Marshal(spec)
	if err != nil {
		panic(err) // a SubjectAccessReview has no field that cannot be marshalled
	}
	key := string(question)
	if allowed, ok := a.cache.Get(key); ok {
		return allowed.(bool), nil
	}
	allowed, refused := a.review(ctx, spec, a.slots[user.certified])
	if refused == nil && len(key) <= maxKey {
		ttl := denyTTL
		if allowed {
			ttl = allowTTL
		}
		a.cache.Add(key, allowed, ttl)
	}
	return allowed, refused
}

func extra(user *authenticationv1.UserInfo) map[string]authorizationv1.ExtraValue {
	if len(user.Extra) == 0 {
		return nil
	}
	e := make(map[string]authorizationv1.ExtraValue, len(user.Extra))
	for k, v := range user.Extra {
		e[k] = authorizationv1.ExtraValue(v)
	}
	return e
}

func (a *authorizer) review(ctx context.Context, spec authorizationv1.SubjectAccessReviewSpec, slots chan struct{}) (bool, *refusal) {
	ctx, cancel := context.WithTimeout(ctx, reviewTimeout)
	defer cancel()
	if !take(ctx, slots) {
		return false, busy("too many clients wait for the API server to review them")
	}
	defer func() { <-slots }()
	review, err := a.reviews.Create(ctx, &authorizationv1.SubjectAccessReview{Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		return false, busy("the API server could not say what user %q may do", spec.User).because(err)
	}
	return review.Status.Allowed && !review.Status.Denied, nil
}
