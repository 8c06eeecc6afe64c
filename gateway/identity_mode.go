// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/client-go/rest"
)

// An IdentityMode is a way to act for a node at the API server. Whichever it is,
// the API server sees user system:node:<name> in group system:nodes, and confines
// it by the Node authorizer and NodeRestriction.
type IdentityMode string

const (
	// IdentityAuto is plain impersonation where the gateway was given the right to
	// it, which is opt-in, and else constrained impersonation. Preflight finds out.
	IdentityAuto IdentityMode = "auto"

	// IdentityConstrained is constrained impersonation (KEP-5284), with the rights
	// of deploy/rbac.yaml: the gateway's credentials turn into nothing but nodes,
	// and for them do only what a board may ask for.
	IdentityConstrained IdentityMode = "constrained"

	// IdentityPlain is impersonation of user and group, with the rights of
	// deploy/plain-impersonation.yaml, which says what they are good for in the
	// wrong hands.
	IdentityPlain IdentityMode = "plain"

	// IdentityCertificates is a client certificate for each node, with the rights
	// of deploy/certificates.yaml, for clusters that forbid impersonation.
	IdentityCertificates IdentityMode = "certificates"
)

// Credentials are the nodes' own, for [IdentityCertificates].
type Credentials interface {
	// Transport returns the way to the API server as that node. It may ask for a
	// certificate first, and returns when ctx ends, at the latest. A transport is
	// good for one request: ask again for the next.
	Transport(ctx context.Context, node string) (http.RoundTripper, error)
}

// A credentialsError says that there is no way to act as a node now.
type credentialsError struct {
	node string
	err  error
}

func (e *credentialsError) Error() string {
	return fmt.Sprintf("credentials of node %s: %v", e.node, e.err)
}
func (e *credentialsError) Unwrap() error { return e.err }

func isCredentials(err error) bool {
	_, is := errors.AsType[*credentialsError](err)
	return is
}

// unauthorized says what a 401 to a node's request means.
func (u *upstream) unauthorized() string {
	if u.mode() == IdentityCertificates {
		return "the API server does not take a node's client certificate: its --client-ca-file must hold the CA of the signer kubernetes.io/kube-apiserver-client-kubelet"
	}
	return "the API server does not take the gateway's own credentials: renew its token or certificate"
}

func (c *Config) validateIdentity() error {
	switch c.Identity {
	case "", IdentityAuto, IdentityConstrained, IdentityPlain:
		return nil
	case IdentityCertificates:
		if c.Credentials == nil {
			return errors.New("field Credentials is required with Identity certificates: give the nodes' credentials")
		}
		return nil
	}
	return fmt.Errorf("field Identity is %q: give %s, %s, %s or %s", c.Identity, IdentityAuto, IdentityConstrained, IdentityPlain, IdentityCertificates)
}

// actAs names the node in the head of a request, which holds no other identity,
// and returns the transport for it.
func (u *upstream) actAs(req *http.Request, node string, mode IdentityMode) (http.RoundTripper, error) {
	switch mode {
	case IdentityCertificates:
		t, err := u.credentials.Transport(req.Context(), node)
		if err != nil {
			return nil, &credentialsError{node, err}
		}
		return t, nil
	case IdentityPlain:
		req.Header.Set(authenticationv1.ImpersonateGroupHeader, nodesGroup)
	}
	// A name without groups keeps a request in the API server's arbitrary-node mode
	// of impersonation (KEP-5284): the server adds the group system:nodes itself.
	req.Header.Set(authenticationv1.ImpersonateUserHeader, nodeUserPrefix+node)
	return u.transport, nil
}

// mode is the way to act for nodes, as far as it is known.
func (u *upstream) mode() IdentityMode { return *u.identity.Load() }

// NodeConfig returns the configuration of a client that acts as a node, in the
// same way as the gateway does for boards. The way is looked up with each request,
// so the client can be made before Preflight has found it. Such a client is for
// what the gateway itself has to do for the node: nothing bounds its requests but
// the API server. It cannot upgrade connections.
func (g *Gateway) NodeConfig(node string) *rest.Config {
	return &rest.Config{
		Host:      g.upstream.base.String(),
		Transport: &nodeTransport{upstream: g.upstream, node: node},
		QPS:       -1,
		UserAgent: g.config.Kubernetes.UserAgent,
	}
}

// nodeTransport sends requests as one node.
type nodeTransport struct {
	upstream *upstream
	node     string
}

var _ http.RoundTripper = (*nodeTransport)(nil)

// RoundTrip implements http.RoundTripper.
func (t *nodeTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	req := r.Clone(r.Context())
	for name := range req.Header {
		if isIdentityHeader(name) {
			req.Header.Del(name)
		}
	}
	transport, err := t.upstream.actAs(req, t.node, t.upstream.mode())
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, err
	}
	return transport.RoundTrip(req)
}
