// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
)

// nodeMode is the mode of constrained impersonation that the gateway uses
// (KEP-5284; k8s.io/apiserver/pkg/endpoints/filters/impersonation).
const nodeMode = "arbitrary-node"

// probeNode is a node that the gateway asks for to see whether it may act for
// nodes at all. It need not exist.
const probeNode = "picolet-gateway-probe"

// constrainedRights are those of [IdentityConstrained], taken from the table of
// operations.
func constrainedRights() []Right {
	needed := []Right{{Manifest: ownManifest, ResourceAttributes: authorizationv1.ResourceAttributes{
		Verb: "impersonate:" + nodeMode, Group: authenticationv1.GroupName, Resource: "nodes",
	}}}
	for _, op := range operations {
		if op.own {
			continue
		}
		right := Right{Manifest: ownManifest, ResourceAttributes: authorizationv1.ResourceAttributes{
			Verb: "impersonate-on:" + nodeMode + ":" + op.verb, Group: op.group, Namespace: op.namespace,
		}}
		right.Resource, right.Subresource, _ = strings.Cut(op.resource, "/")
		if !slices.Contains(needed, right) {
			needed = append(needed, right)
		}
	}
	return needed
}

// plainRights are those of [IdentityPlain]. A Role can name the users one by one,
// so they are asked for by name: that of the probe, and of the boards whose names
// are known.
func (c *Config) plainRights() []Right {
	right := func(resource, name string) Right {
		return Right{Manifest: plainManifest, ResourceAttributes: authorizationv1.ResourceAttributes{Verb: "impersonate", Resource: resource, Name: name}}
	}
	needed := []Right{right("groups", nodesGroup), {Manifest: plainManifest, ResourceAttributes: probeUser}}
	for _, name := range c.NodeNames {
		if !strings.ContainsAny(name, `*?[\`) {
			needed = append(needed, right("users", nodeUserPrefix+name))
		}
	}
	return needed
}

// certificateRights are those of [IdentityCertificates], but for the Secrets, of
// whose namespace the gateway knows nothing.
func certificateRights() []Right {
	right := func(verb, resource, name string) Right {
		r := Right{Manifest: certificatesManifest, ResourceAttributes: authorizationv1.ResourceAttributes{
			Verb: verb, Group: certificatesv1.GroupName, Name: name,
		}}
		r.Resource, r.Subresource, _ = strings.Cut(resource, "/")
		return r
	}
	return []Right{
		right("create", "certificatesigningrequests", ""),
		right("get", "certificatesigningrequests", ""),
		right("update", "certificatesigningrequests/approval", ""),
		right("approve", "signers", certificatesv1.KubeAPIServerClientKubeletSignerName),
	}
}

// gainIdentity settles how the gateway acts for nodes, unless rights are lacking
// for that, or others are lacking already.
func (g *Gateway) gainIdentity(ctx context.Context, identity string, admin bool, lacking []Right) error {
	mode, missing, err := g.findIdentity(ctx, identity, admin)
	if err != nil {
		return err
	}
	for _, right := range lacking { // those that were named beside may be the same
		if !slices.Contains(missing, right) {
			missing = append(missing, right)
		}
	}
	if len(missing) > 0 {
		return missingRights(identity, missing)
	}
	return g.settle(ctx, mode)
}

// findIdentity returns the way to act for nodes, and what is missing for it.
func (g *Gateway) findIdentity(ctx context.Context, identity string, admin bool) (mode IdentityMode, missing []Right, err error) {
	switch mode = g.config.Identity; {
	case mode == IdentityCertificates:
		missing, err = g.lacking(ctx, certificateRights())
		return mode, missing, err
	case admin: // who has every right, that to the plain kind among them
		return IdentityPlain, nil, g.probe(ctx, identity, IdentityPlain)
	case mode == IdentityPlain:
		missing, err = g.impersonation(ctx, identity, mode)
		return mode, missing, err
	}
	return g.findImpersonation(ctx, identity)
}

// findImpersonation is for who did not ask for the plain kind. Whoever has the
// right to that gets it: an API server with both remembers for each client which
// kind it granted last, and tries that first
// (k8s.io/apiserver/pkg/endpoints/filters/impersonation, modeIndexCache). One
// request that only the plain kind lets through, and all that follow are taken for
// the plain kind, without the group system:nodes, and are refused.
func (g *Gateway) findImpersonation(ctx context.Context, identity string) (IdentityMode, []Right, error) {
	plain, err := g.may(ctx, probeUser)
	switch {
	case err != nil:
		return "", nil, err
	case plain && g.config.Identity == IdentityConstrained:
		return "", nil, fmt.Errorf("%s may impersonate users beside, which would interfere with constrained impersonation: run kubectl delete -f %s, or use plain impersonation", identity, plainManifest)
	case plain:
		missing, err := g.impersonation(ctx, identity, IdentityPlain)
		return IdentityPlain, missing, err
	}
	missing, err := g.impersonation(ctx, identity, IdentityConstrained)
	return IdentityConstrained, missing, err
}

// impersonation tries one kind of it, if nothing is missing for that. Whether an
// API server knows the constrained kind cannot be asked for, only tried.
func (g *Gateway) impersonation(ctx context.Context, identity string, mode IdentityMode) (missing []Right, err error) {
	needed := constrainedRights()
	if mode == IdentityPlain {
		needed = g.config.plainRights()
	}
	missing, err = g.lacking(ctx, needed)
	if err != nil || len(missing) > 0 {
		return missing, err
	}
	return nil, g.probe(ctx, identity, mode)
}

// probe reads a node as that node: the API server must know the mode, and confine
// nodes by the Node authorizer.
func (g *Gateway) probe(ctx context.Context, identity string, mode IdentityMode) error {
	a, err := g.upstream.do(ctx, request{method: http.MethodGet, path: "/api/v1/nodes/" + probeNode, node: probeNode, mode: mode})
	switch {
	case err != nil:
		return err
	case a.code == http.StatusOK || a.code == http.StatusNotFound:
		return nil
	case a.code == http.StatusForbidden && aboutImpersonation(a.body) && mode == IdentityConstrained:
		return fmt.Errorf("%w: the API server does not let %s act for a node by constrained impersonation: it must be Kubernetes 1.36 or newer with feature ConstrainedImpersonation; for others choose between %s and %s, by their comments", ErrRightsMissing, identity, plainManifest, certificatesManifest)
	case a.code == http.StatusForbidden && aboutImpersonation(a.body):
		return fmt.Errorf("%w: the API server does not let %s act for a node by impersonation: %s", ErrRightsMissing, identity, excerpt(a.body))
	case a.code == http.StatusForbidden:
		return fmt.Errorf("%w: the API server does not let a node read itself: it must run with --authorization-mode=Node,RBAC: %s", ErrRightsMissing, excerpt(a.body))
	}
	return fmt.Errorf("API server %s answered %d to a node that reads itself: %s", g.upstream.base.Host, a.code, excerpt(a.body))
}

// probeUser is a right of who may impersonate plainly.
var probeUser = authorizationv1.ResourceAttributes{Verb: "impersonate", Resource: "users", Name: nodeUserPrefix + probeNode}

// anyUser is a right of who may impersonate every user: that one reads all Secrets.
var anyUser = authorizationv1.ResourceAttributes{Verb: "impersonate", Resource: "users", Name: "system:kube-controller-manager"}

// settle keeps the way that was found, and says so if it was another before.
func (g *Gateway) settle(ctx context.Context, mode IdentityMode) error {
	wide := false
	if mode == IdentityPlain {
		var err error
		if wide, err = g.may(ctx, anyUser); err != nil {
			return err
		}
	}
	g.upstream.identity.Store(&mode)
	if !g.rights.settle(mode) {
		return nil
	}
	g.log.Info("Way to act for nodes found", "identity", string(mode))
	if wide {
		g.log.Warn("The gateway can act for any user of the cluster: have deploy/plain-impersonation.yaml name the users, or use constrained impersonation or certificates")
	}
	return nil
}
