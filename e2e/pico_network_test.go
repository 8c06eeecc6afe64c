// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"
	"time"

	"github.com/picolet/picolet/emulator"
	"github.com/picolet/picolet/emulator/segment"
)

// After a loss of Wi-Fi the address is kept while no DHCP server answers.
func TestPicoWKeepsItsLeaseWithoutServer(t *testing.T) {
	t.Parallel()
	requireTime(t)
	b := readyPico(t, sharedPlane(t), picoOptions{pace: emulator.PaceHost})
	b.segment.SetFaults(segment.Faults{NoDHCP: true})
	b.rejoin(t)
	b.say(t, "Gateway is reached", maxBack)
	b.waitRenewed(t, b.waitLease(t))
	b.waitReady(t)
	b.noReboot(t)
}

// An access point that has forgotten the board passes nothing on, and sends no
// event: the board leaves it after 5 minutes, and joins again.
func TestPicoWLeavesASilentNetwork(t *testing.T) {
	t.Parallel()
	requireTime(t)
	b := readyPico(t, sharedPlane(t), picoOptions{pace: emulator.PaceHost})
	all := emulator.Impairment{Loss: 1}
	must(t, b.Fault().Uplink(t.Context(), all))
	must(t, b.Fault().Downlink(t.Context(), all))
	must(t, b.SetPace(t.Context(), emulator.PaceFree)) // nobody answers
	begin := b.State().Now
	b.say(t, "Wi-Fi network is silent, joining again", 6*time.Minute)
	if took := b.State().Now - begin; took < 4*time.Minute {
		t.Errorf("the network was left after %v", took)
	}
	b.say(t, "Wi-Fi joined", maxBack)
	must(t, b.SetPace(t.Context(), emulator.PaceHost))
	must(t, b.Fault().Uplink(t.Context(), emulator.Impairment{}))
	must(t, b.Fault().Downlink(t.Context(), emulator.Impairment{}))
	b.say(t, "Gateway is reached", 2*maxBack)
	b.waitReady(t)
	b.noReboot(t)
	b.checkDriver(t)
}
