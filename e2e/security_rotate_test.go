// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/picolet/picolet/cluster"
	"github.com/picolet/picolet/deploy"
	"github.com/picolet/picolet/enrolment"
	"github.com/picolet/picolet/link/noise"
)

// TestGatewayKeyIsRotated: without its Secret, a gateway that starts has a new key.
// Boards that know the old one get no further than the handshake.
func TestGatewayKeyIsRotated(t *testing.T) {
	t.Parallel()
	p, err := startPlane(t.Context(), t.TempDir(), cluster.Options{Binary: requireBinary(t).Path, Datastore: cluster.Memory})
	must(t, err)
	t.Cleanup(p.Kill) // its own: the key is that of all gateways
	for _, manifests := range [][]byte{deploy.Devices, deploy.Enrolment, deploy.KubeletPort} {
		must(t, deploy.Apply(t.Context(), p.config, manifests))
	}
	_, key := newLinkKey(t)
	before := startReplica(t, p)
	before.device(t, key.Public, "rotated", ptr.To(true))
	s, err := before.dial(t, key, "rotated")
	must(t, err)
	must(t, s.Close())

	must(t, p.client.CoreV1().Secrets(gatewayNamespace).Delete(t.Context(), enrolment.GatewayKeySecret, metav1.DeleteOptions{}))
	after := startReplica(t, p)
	if after.key == before.key {
		t.Fatal("the key is the old one")
	}
	provisioned := after.key
	after.key = before.key // as a board has it that was not provisioned again
	if _, err := after.dial(t, key, "rotated"); !errors.Is(err, noise.ErrHandshakeCut) {
		t.Errorf("by the old key: %v, want %v", err, noise.ErrHandshakeCut)
	}
	waitLog(t, after.log, gracePeriod, "outcome=key")
	after.key = provisioned
	s, err = after.dial(t, key, "rotated")
	must(t, err)
	must(t, s.Close())
}
