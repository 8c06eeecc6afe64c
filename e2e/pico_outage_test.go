// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"math"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/picolet/picolet/emulator"
	"github.com/picolet/picolet/emulator/segment"
)

// maxBack is the time from the end of a trouble to a node that is Ready again.
const maxBack = 30 * time.Second

// The access point goes and comes back, and all that while the clocks of board and
// cluster go alike: the node turns Unknown, and Ready again.
func TestPicoWComesBackAfterItsAccessPoint(t *testing.T) {
	t.Parallel()
	b := readyPico(t, sharedPlane(t), picoOptions{pace: emulator.PaceHost})
	must(t, b.Fault().AccessPointAway(t.Context(), true))
	b.say(t, "Wi-Fi lost", 10*time.Second)
	must(t, b.Sleep(t.Context(), time.Minute))
	if c := condition(b.mustNode(t), corev1.NodeReady); c.Status != corev1.ConditionUnknown {
		t.Errorf("a minute after its access point went, the node is %v", c)
	}
	must(t, b.Fault().AccessPointAway(t.Context(), false))
	back := b.State().Now
	b.waitReady(t)
	if took := b.State().Now - back; took > maxBack {
		t.Errorf("the node is Ready after %v, want at most %v", took, maxBack)
	}
	b.noReboot(t)
}

// Ten rounds of all that goes wrong around a board: it comes back each time,
// without a reboot, and its heap does not grow.
func TestPicoWOutlivesOutages(t *testing.T) {
	t.Parallel()
	p := ownPlane(t)
	g := ownGateway(t, p, gatewayAccount, keptAddress(t))
	b := readyPico(t, p, picoOptions{gateway: g.addr})
	before := b.leastHeap(t)
	for round := range 10 {
		must(t, b.Fault().AccessPointAway(t.Context(), true))
		must(t, b.SetPace(t.Context(), emulator.PaceFree)) // there is nobody to wait for
		must(t, b.Sleep(t.Context(), time.Minute))
		must(t, b.Fault().AccessPointAway(t.Context(), false))
		must(t, b.SetPace(t.Context(), emulator.PaceAnswered))
		b.comesBack(t, "access point")

		must(t, g.stop())
		must(t, b.Sleep(t.Context(), 15*time.Second))
		must(t, b.SetPace(t.Context(), emulator.PaceStopped)) // a start takes seconds of the host's time
		g = ownGateway(t, p, gatewayAccount, g.addr)
		must(t, b.SetPace(t.Context(), emulator.PaceAnswered))
		b.comesBack(t, "gateway")

		if round%3 > 0 {
			continue // a restart takes seconds of the host's time
		}
		p.Kill()
		must(t, b.Sleep(t.Context(), 15*time.Second))
		must(t, b.SetPace(t.Context(), emulator.PaceStopped))
		must(t, p.Restart(t.Context()))
		must(t, b.SetPace(t.Context(), emulator.PaceAnswered))
		b.comesBack(t, "API server")
	}
	after := b.leastHeap(t)
	t.Logf("heap in use: %.0f B, after ten rounds %.0f B", before, after)
	if after == 0 || after > before {
		t.Errorf("the heap in use grew from %.0f to %.0f bytes", before, after)
	}
	b.noReboot(t)
	b.checkDriver(t)
}

// comesBack waits until the board reaches the API server again, which it must
// within maxBack, and its node is Ready.
func (b *picoW) comesBack(t *testing.T, what string) {
	t.Helper()
	back := b.State().Now
	b.say(t, "API server answers again", maxBack)
	t.Logf("%s: back after %v", what, b.State().Now-back)
	b.waitReady(t)
}

// leastHeap is the least heap in use that the metrics show within the time in which
// garbage is collected once.
func (b *picoW) leastHeap(t *testing.T) float64 {
	t.Helper()
	least := math.Inf(1)
	for range 11 {
		must(t, b.Sleep(t.Context(), time.Minute))
		least = min(least, b.metrics(t)["picolet_heap_used_bytes"])
	}
	return least
}

// Each trouble has its state, a log line and a metric, and ends without a reboot.
func TestPicoWTellsWhatIsMissing(t *testing.T) {
	t.Parallel()
	requireTime(t)
	p := sharedPlane(t)
	for _, tt := range []struct {
		state string
		line  string // on the console
		begin func(*testing.T, *picoW)
		end   func(*testing.T, *picoW)
	}{
		{"NoAccessPoint", "Wi-Fi lost",
			func(t *testing.T, b *picoW) { must(t, b.Fault().AccessPointAway(t.Context(), true)) },
			func(t *testing.T, b *picoW) { must(t, b.Fault().AccessPointAway(t.Context(), false)) }},
		{"WrongPassphrase", "Wi-Fi passphrase refused",
			func(t *testing.T, b *picoW) { must(t, b.Fault().Passphrase(t.Context(), "another one")); b.rejoin(t) },
			func(t *testing.T, b *picoW) { must(t, b.Fault().Passphrase(t.Context(), picoPassphrase)) }},
		{"NoAddress", "Network has no address yet",
			func(t *testing.T, b *picoW) { b.segment.SetFaults(segment.Faults{NoDHCP: true}); b.powerCycle(t) },
			func(t *testing.T, b *picoW) { b.segment.SetFaults(segment.Faults{}) }},
		{"NoGateway", "Gateway is not reached yet",
			func(t *testing.T, b *picoW) { b.segment.SetFaults(segment.Faults{Deaf: true}) },
			func(t *testing.T, b *picoW) { b.segment.SetFaults(segment.Faults{}) }},
	} {
		t.Run(tt.state, func(t *testing.T) {
			t.Parallel()
			b := readyPico(t, p, picoOptions{pace: emulator.PaceHost})
			resets := len(b.State().Resets)
			tt.begin(t, b)
			resets += strings.Count(tt.state, "NoAddress") // that trouble begins with a power cut
			b.say(t, tt.line, time.Minute)
			must(t, b.Sleep(t.Context(), 10*time.Second))
			tt.end(t, b)
			back := b.State().Now
			b.say(t, "Gateway is reached", maxBack)
			b.waitRenewed(t, b.waitLease(t))
			b.waitReady(t)
			t.Logf("renewed %v after the trouble's end", b.State().Now-back)
			if begun := b.metrics(t)[`picolet_network_state_begun_total{state="`+tt.state+`"}`]; begun < 1 {
				t.Errorf("the metrics say that %s began %.0f times", tt.state, begun)
			}
			if got := len(b.State().Resets); got != resets {
				t.Errorf("the board was reset %d times, want %d", got, resets)
			}
		})
	}
}

// rejoin has the board join its access point again.
func (b *picoW) rejoin(t *testing.T) {
	t.Helper()
	must(t, b.Fault().AccessPointAway(t.Context(), true))
	b.say(t, "Wi-Fi lost", 10*time.Second)
	must(t, b.Fault().AccessPointAway(t.Context(), false))
}

func (b *picoW) powerCycle(t *testing.T) {
	t.Helper()
	must(t, b.PowerCut(t.Context(), emulator.Cut{}))
	must(t, b.PowerOn(t.Context()))
}

// A board that boots while there is no API server registers when there is one.
func TestPicoWWaitsForAnAPIServer(t *testing.T) {
	t.Parallel()
	requireTime(t)
	p := ownPlane(t)
	g := ownGateway(t, p, gatewayAccount, anyPort)
	p.Kill()
	b := bootPico(t, p, picoOptions{gateway: g.addr, pace: emulator.PaceHost})
	b.say(t, "API server cannot answer now", time.Minute)
	must(t, b.Sleep(t.Context(), 20*time.Second))
	if begun := b.metrics(t)[`picolet_network_state{state="NoAPIServer"}`]; begun != 1 {
		t.Errorf("the metrics do not show the state NoAPIServer")
	}
	must(t, p.Restart(t.Context()))
	b.say(t, "Node registered", maxBack)
	b.waitReady(t)
	b.noReboot(t)
}

// One frame in twenty is lost, in each direction, from the beginning.
func TestPicoWStandsLoss(t *testing.T) {
	t.Parallel()
	b := bootPico(t, sharedPlane(t), picoOptions{pace: emulator.PaceHost})
	loss := emulator.Impairment{Loss: 0.05}
	must(t, b.Fault().Uplink(t.Context(), loss))
	must(t, b.Fault().Downlink(t.Context(), loss))
	b.say(t, "Node registered", maxBack)
	b.waitReady(t)
	before := condition(b.mustNode(t), corev1.NodeReady)
	b.waitRenewals(t, 6)
	if after := condition(b.mustNode(t), corev1.NodeReady); !after.LastTransitionTime.Equal(&before.LastTransitionTime) {
		t.Errorf("Ready is %v, was %v", after, before)
	}
	b.noReboot(t)
}

// maxUnnoticed is how long a Wi-Fi chip that hangs may go unnoticed: it is asked for
// something every 10 s, and twice more if it does not answer.
const maxUnnoticed = 13 * time.Second

// The Wi-Fi chip hangs: it is switched off and on, and the board goes on.
func TestPicoWEndsAHangOfItsWifiChip(t *testing.T) {
	t.Parallel()
	requireTime(t)
	p := sharedPlane(t)
	for _, part := range []emulator.Part{emulator.WLAN, emulator.Bus} {
		t.Run(string(part), func(t *testing.T) {
			t.Parallel()
			b := readyPico(t, p, picoOptions{pace: emulator.PaceHost})
			lease := b.waitLease(t)
			must(t, b.Fault().Freeze(t.Context(), part))
			frozen := b.State().Now
			b.say(t, "Wi-Fi lost", maxUnnoticed)
			b.say(t, "API server answers again", maxBack)
			if took := b.State().Now - frozen; took > maxBack {
				t.Errorf("the API server is reached %v after the chip hung, want at most %v", took, maxBack)
			}
			b.waitRenewed(t, lease)
			b.waitReady(t)
			b.noReboot(t)
		})
	}
}
