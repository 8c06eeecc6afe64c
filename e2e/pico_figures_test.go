// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/picolet/picolet/emulator"
)

// figures is the document whose table TestPicoWFigures writes anew.
var figures = flag.String("figures", "", "document to write the figures of the emulated Pico W to")

// The reference is a C firmware in the same emulator, against the same API server;
// its figures were measured once and are not repeated here.
const (
	referenceBytes  = 39_700     // of Ethernet frames, both ways, in an idle minute
	referenceCycles = 16_500_000 // in an idle minute
)

// maxIdleBytes is a fence, not the aim, which is a tenth of the reference's.
const maxIdleBytes = referenceBytes / 9

// What registration, status, lease and an idle minute take of a board. An idle
// minute takes less than a ninth of the reference's bytes on the air.
func TestPicoWFigures(t *testing.T) {
	t.Parallel()
	requireTime(t)
	b := bootPico(t, sharedPlane(t), picoOptions{pace: emulator.PaceHost})
	b.say(t, "Gateway is reached", maxReady)
	reached := b.mustStats(t)
	b.say(t, "Node registered", maxReady)
	registered := b.mustStats(t)
	b.waitReady(t)
	b.waitLease(t)

	must(t, b.SetPace(t.Context(), emulator.PaceAnswered))
	must(t, b.Sleep(t.Context(), time.Minute)) // what follows on a boot is over
	const minutes = 10                         // two reports of a status that has not changed among them
	requests := b.metrics(t)
	must(t, b.Sleep(t.Context(), 10*time.Second)) // what it said about them is over
	before := b.mustStats(t)
	must(t, b.Sleep(t.Context(), minutes*time.Minute))
	after := b.mustStats(t)
	now := b.metrics(t)
	idle := airBytes(before, after) / minutes
	cycles := (after.Cycles - before.Cycles) / minutes
	if idle > maxIdleBytes {
		t.Errorf("an idle minute takes %d bytes on the air, want at most %d", idle, maxIdleBytes)
	}
	if cycles > referenceCycles {
		t.Errorf("an idle minute takes %.0f cycles, want at most %d", cycles, referenceCycles)
	}
	table := []string{
		"| what | picolet | reference |", "|---|---:|---:|",
		fmt.Sprintf("| power on to a registered node, Ready | %.2f s | 11.9 s |", registered.Now.Seconds()),
		fmt.Sprintf("| registration: requests | %s | 1 075 ms |", millis(requests, "get_node", "create_node")),
		fmt.Sprintf("| registration: cycles, bytes on the air, from the first connection on | %.0f; %d | |", registered.Cycles-reached.Cycles, airBytes(reached, registered)),
		fmt.Sprintf("| status | %s | 1 055 ms |", millis(difference(requests, now), "patch_status")),
		fmt.Sprintf("| lease renewal | %s | |", millis(difference(requests, now), "renew_lease")),
		fmt.Sprintf("| idle minute: bytes on the air, both ways | %d | 39 700 |", idle),
		fmt.Sprintf("| idle minute: cycles | %.0f | 16 500 000 |", cycles),
	}
	text := strings.Join(table, "\n") + "\n"
	t.Log("\n" + text)
	if *figures != "" {
		must(t, writeFigures(*figures, text))
	}
}

func (b *picoW) mustStats(t *testing.T) emulator.Stats {
	t.Helper()
	stats, err := b.Stats(t.Context())
	must(t, err)
	return stats
}

// airBytes are the bytes of Ethernet frames between two looks, both ways.
func airBytes(before, after emulator.Stats) int {
	sum := func(s emulator.Stats) int { return s.Wifi.BytesSent + s.Wifi.BytesReceived }
	return sum(after) - sum(before)
}

// millis is the mean time of requests of these operations, one after the other.
func millis(metrics map[string]float64, operations ...string) string {
	var all float64
	for _, o := range operations {
		label := `{operation="` + o + `"}`
		count := metrics["picolet_api_request_duration_seconds_count"+label]
		all += metrics["picolet_api_request_duration_seconds_sum"+label] / count
	}
	return fmt.Sprintf("%.1f ms", all*1000)
}

// difference is by how much each metric has grown.
func difference(before, after map[string]float64) map[string]float64 {
	grown := map[string]float64{}
	for name, v := range after {
		grown[name] = v - before[name]
	}
	return grown
}

// writeFigures puts a table into a document, between its marks.
func writeFigures(path, table string) error {
	const begin, end = "<!-- figures: written by make footprint -->\n", "<!-- figures: end -->\n"
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(text), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		return fmt.Errorf("%s lacks the lines %q and %q", path, begin, end)
	}
	return os.WriteFile(path, []byte(before+begin+table+end+after), 0o644)
}
