// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"fmt"
	"strings"

	"github.com/picolet/picolet/deploy"
	"github.com/picolet/picolet/enrolment"
	"github.com/picolet/picolet/gateway"
)

// Preflight asks the API server whether the gateway has the rights that it needs,
// see [gateway.Gateway.Preflight], and those for links and kubelet ports beside.
func (r *Replica) Preflight(ctx context.Context) error {
	rights, err := r.config.rights()
	if err != nil {
		return err
	}
	return r.gateway.Preflight(ctx, rights...)
}

// rights are those that the manifests give beside deploy/rbac.yaml, as far as they
// are needed.
func (c *Config) rights() (all []gateway.Right, err error) {
	for _, m := range []struct {
		name   string
		text   []byte
		needed bool
	}{
		{"deploy/enrolment.yaml", deploy.Enrolment, !c.NoLinks},
		{"deploy/kubelet-port.yaml", deploy.KubeletPort, len(c.Addresses) > 0},
		{"deploy/certificates.yaml", deploy.Certificates, c.Identity == gateway.IdentityCertificates},
	} {
		if !m.needed {
			continue
		}
		given, err := deploy.Rights(m.text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		for _, right := range given {
			if strings.HasPrefix(right.Verb, "impersonate-on:") && !c.constrained() {
				continue
			}
			if right.Namespace == enrolment.DefaultNamespace {
				right.Namespace = c.Namespace
			}
			all = append(all, gateway.Right{ResourceAttributes: right, Manifest: m.name})
		}
	}
	return all, nil
}

// constrained tells whether the gateway may act for nodes by constrained
// impersonation.
func (c *Config) constrained() bool {
	return c.Identity != gateway.IdentityPlain && c.Identity != gateway.IdentityCertificates
}
