// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"

	"k8s.io/utils/ptr"

	"github.com/picolet/picolet/emulator"
	"github.com/picolet/picolet/settings"
)

// picoW boots an emulated Pico W with an approved Device, and waits until its node is
// Ready. Its clock goes as the host's, by which kubectl reckons.
func (r *replicaRun) picoW(t *testing.T) *picoW {
	t.Helper()
	private, key := newLinkKey(t)
	name := unique("pico")
	r.device(t, key.Public, name, ptr.To(true))
	b := bootPico(t, r.plane, picoOptions{
		name: name, gateway: r.links.String(), pace: emulator.PaceHost,
		settings: func(s *settings.Settings) { s.GatewayKey, s.BoardKey = r.key, private },
	})
	b.waitReady(t)
	return b
}
