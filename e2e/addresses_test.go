// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/picolet/picolet/gateway"
	"github.com/picolet/picolet/netns"
	"github.com/picolet/picolet/replica"
)

// TestNodeAddresses: a board's node has the addresses that an API server expects,
// and kubectl logs reaches it by them; where the API server prefers Hostname, only
// without that one.
func TestNodeAddresses(t *testing.T) {
	t.Parallel()
	ip := corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: netns.Address().String()}
	logs := func(ctx context.Context, p *plane, node string) (string, error) {
		out, err := p.kubectl(ctx, "--namespace=kube-system", "logs", "picolet-"+node).CombinedOutput()
		return string(out), err
	}
	for name, prefers := range map[string]string{"InternalIP first": "InternalIP,ExternalIP,Hostname", "Hostname first": "Hostname,InternalDNS,InternalIP,ExternalDNS,ExternalIP"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := linkPlane(t, "kubelet-preferred-address-types="+prefers)
			for _, left := range []bool{false, true} {
				t.Run(fmt.Sprintf("without Hostname %v", left), func(t *testing.T) {
					r := startReplica(t, p, func(c *replica.Config) { c.Nodes = gateway.NodeSettings{NoHostnameAddress: left} })
					b := r.board(t)
					want := []corev1.NodeAddress{ip, {Type: corev1.NodeHostName, Address: b.name}}
					if left {
						want = want[:1]
					}
					var n corev1.Node
					must(t, json.Unmarshal([]byte(p.mustKubectl(t, "get", "node", b.name, "--output=json")), &n))
					if !slices.Equal(n.Status.Addresses, want) {
						t.Errorf("addresses %v, want %v", n.Status.Addresses, want)
					}
					wants, fails := "Node registered", strings.HasPrefix(prefers, "Hostname") && !left
					if fails {
						wants = "lookup " + b.name
					}
					eventually(t, time.Minute, func(ctx context.Context) error { // as soon as the pod is there, and the port has its certificate
						out, err := logs(ctx, p, b.name)
						if !strings.Contains(out, wants) || (err != nil) != fails {
							return errors.Join(err, fmt.Errorf("kubectl logs: %q, want %q", out, wants))
						}
						return nil
					})
				})
			}
		})
	}
}
