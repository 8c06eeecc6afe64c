// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
)

// Times and sizes of the kubelet's own webhooks
// (pkg/kubelet/apis/config/v1beta1/defaults.go).
const (
	tokenTTL      = 2 * time.Minute
	reviewTimeout = 10 * time.Second
	maxTokens     = 4096 // in each cache
	// goodTTL is how long a token is remembered as one that was good: its next review
	// is no guess.
	goodTTL = time.Hour
)

// Reviews under way at one time. Those of one kind do not wait for those of another, so
// that nobody without a certificate of this cluster holds up the API server.
const (
	maxTokenReviews    = 64 // who has this token?
	maxTokenAccess     = 64 // what may who has a token do?
	maxCertifiedAccess = 64 // what may who has a certificate do?
)

const authenticatedGroup = "system:authenticated"

// authenticator finds out who a client is: by certificate of the cluster's
// client CA, else by bearer token.
type authenticator struct {
	ca      *clientCA
	tokens  authenticationclient.TokenReviewInterface
	good    *cache.LRUExpireCache // SHA-256 of a token: identity
	bad     *cache.LRUExpireCache // SHA-256 of a token that nobody has
	flights singleflight.Group    // reviews under way, by that hash
	guesses *guesses
	slots   chan struct{}
	now     func() time.Time
}

// identity is the user of a token, as was reviewed.
type identity struct {
	user  *authenticationv1.UserInfo
	until time.Time // when it must be reviewed again
}

func newAuthenticator(ca *clientCA, tokens authenticationclient.TokenReviewInterface) *authenticator {
	return &authenticator{
		ca: ca, tokens: tokens, guesses: newGuesses(), now: time.Now,
		good: cache.NewLRUExpireCache(maxTokens), bad: cache.NewLRUExpireCache(maxTokens),
		slots: make(chan struct{}, maxTokenReviews),
	}
}

// authenticate refuses who is nobody. As with a kubelet, a certificate that
// proves nothing does not keep a good token out.
func (a *authenticator) authenticate(r *http.Request) (*client, *refusal) {
	user, refused := a.byCertificate(r.TLS)
	if user != nil {
		return &client{UserInfo: user, certified: true}, nil
	}
	if token := bearer(r.Header); token != "" {
		if user, refused = a.byToken(r.Context(), connOf(r.Context()).client, token); user != nil {
			return &client{UserInfo: user}, nil
		}
	}
	return nil, refused
}

// client is who asks.
type client struct {
	*authenticationv1.UserInfo
	certified bool // by a certificate of the cluster's client CA
}

// byCertificate reads a user as the API server does (CommonNameUserConversion
// of k8s.io/apiserver/pkg/authentication/request/x509).
func (a *authenticator) byCertificate(state *tls.ConnectionState) (*authenticationv1.UserInfo, *refusal) {
	if state == nil || len(state.PeerCertificates) == 0 {
		return nil, unauthorized("bring a client certificate of this cluster, or a bearer token")
	}
	pool := a.ca.pool.Load()
	switch {
	case pool == nil && !a.ca.synced.Load():
		return nil, busy("the cluster's client CA is not known yet")
	case pool == nil:
		return nil, unauthorized("this cluster has no client CA: bring a bearer token")
	}
	leaf := state.PeerCertificates[0]
	if err := verify(leaf, state.PeerCertificates[1:], pool); err != nil || leaf.Subject.CommonName == "" {
		return nil, unauthorized("the client certificate is none of this cluster's client CA")
	}
	return known(authenticationv1.UserInfo{Username: leaf.Subject.CommonName, Groups: leaf.Subject.Organization}), nil
}

func verify(leaf *x509.Certificate, others []*x509.Certificate, roots *x509.CertPool) error {
	between := x509.NewCertPool()
	for _, c := range others {
		between.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err
}

// known is a user as SubjectAccessReview wants it.
func known(u authenticationv1.UserInfo) *authenticationv1.UserInfo {
	if u.Username != "system:anonymous" && !slices.Contains(u.Groups, authenticatedGroup) {
		u.Groups = append(slices.Clip(u.Groups), authenticatedGroup)
	}
	return &u
}

// byToken finds out who the client at an address is by its token. A token is asked for
// once, however many requests bring it meanwhile.
func (a *authenticator) byToken(ctx context.Context, addr, token string) (*authenticationv1.UserInfo, *refusal) {
	key := sha256.Sum256([]byte(token))
	known, ok := a.good.Get(key)
	if ok && !a.now().After(known.(identity).until) {
		return known.(identity).user, nil
	}
	if _, isBad := a.bad.Get(key); isBad {
		return nil, badToken()
	}
	result, _, _ := a.flights.Do(string(key[:]), func() (any, error) {
		return a.examine(context.WithoutCancel(ctx), addr, token, key, ok), nil
	})
	r := result.(reviewed)
	return r.user, r.refused
}

// reviewed is what one review of a token came to.
type reviewed struct {
	user    *authenticationv1.UserInfo
	refused *refusal
}

// examine has a token reviewed and keeps the result. A token that was good before is
// not limited as a guess.
func (a *authenticator) examine(ctx context.Context, addr, token string, key [sha256.Size]byte, wasGood bool) reviewed {
	if !wasGood {
		done, refused := a.guesses.begin(addr)
		if refused != nil {
			return reviewed{refused: refused}
		}
		defer done()
	}
	user, refused := a.review(ctx, token)
	switch {
	case refused != nil:
		return reviewed{refused: refused}
	case user == nil:
		a.good.Remove(key)
		a.bad.Add(key, nil, tokenTTL)
		return reviewed{refused: badToken()}
	}
	a.good.Add(key, identity{user, a.now().Add(tokenTTL)}, goodTTL)
	return reviewed{user: user}
}

func badToken() *refusal {
	return unauthorized("this cluster did not issue the bearer token, or it has expired")
}

// review asks the API server; the user is nil where the token is nobody's.
func (a *authenticator) review(ctx context.Context, token string) (*authenticationv1.UserInfo, *refusal) {
	ctx, cancel := context.WithTimeout(ctx, reviewTimeout)
	defer cancel()
	if !take(ctx, a.slots) {
		return nil, busy("too many clients wait for the API server to review them")
	}
	defer func() { <-a.slots }()
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
	review, err := a.tokens.Create(ctx, review, metav1.CreateOptions{})
	switch {
	case err != nil:
		return nil, busy("the API server could not review the token").because(err)
	case !review.Status.Authenticated || review.Status.User.Username == "":
		return nil, nil
	}
	return known(review.Status.User), nil
}

// take waits for a slot until ctx ends.
func take(ctx context.Context, slots chan struct{}) bool {
	select {
	case slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func unauthorized(hint string) *refusal {
	r := refuse(http.StatusUnauthorized, "Unauthorized: %s", hint)
	r.hangUp = true
	return r
}

// bearer returns the token of an Authorization header (RFC 6750, section 2.1).
func bearer(h http.Header) string {
	scheme, token, _ := strings.Cut(h.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
