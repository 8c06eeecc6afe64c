// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/emulator"
	"github.com/picolet/picolet/kubelet"
)

// soak is how long TestPicoWHoldsItsLease lets its board run, in emulated time.
// "make soak" gives an hour.
var soak = flag.Duration("soak", 2*time.Minute, "emulated time that the soaked board runs")

// measurement is the file that TestPicoWHoldsItsLease writes for firmware/footprint.
var measurement = flag.String("measurement", "", "file to write what the soaked board took of its RAM to, in JSON")

// maxReady is the time from power on to a node that is Ready. The reference
// firmware needs 11.9 s in the same emulator.
const maxReady = 5 * time.Second

// From power on by a UF2 file for the firmware and one for the settings to a node
// as the contract has it, which answers on its kubelet port.
func TestPicoWJoinsTheCluster(t *testing.T) {
	t.Parallel()
	p := sharedPlane(t)
	b := bootPico(t, p, picoOptions{})
	b.say(t, "Node registered", maxReady) // its conditions came with it
	b.waitReady(t)
	t.Logf("console:\n%s", b.Console().Text())

	text := p.mustKubectl(t, "get", "node", b.name, "--output=json")
	var n corev1.Node
	must(t, json.Unmarshal([]byte(text), &n))
	addr, ok := b.Net().Addr()
	if !ok {
		t.Fatal("DHCP has given the board no address")
	}
	facts := b.facts(t)
	t.Run("has the labels of the reference", func(t *testing.T) { checkLabels(t, &n, "rp2040") })
	t.Run("has the resources of a Pico W", func(t *testing.T) { checkResources(t, &n) })
	t.Run("has five conditions", func(t *testing.T) { checkConditions(t, &n) })
	t.Run("can be reached", func(t *testing.T) { checkAddresses(t, &n, "127.0.0.1:10250") })
	t.Run("has all of nodeInfo", func(t *testing.T) { checkNodeInfo(t, text, facts, kubelet.OldestVersion) })
	t.Run("is the board in the emulator", func(t *testing.T) { checkPicoFacts(t, facts) })
	t.Run("is tainted", func(t *testing.T) {
		want := corev1.Taint{Key: "picolet.dev/board", Value: "rp2040", Effect: corev1.TaintEffectNoSchedule}
		if !slices.Contains(n.Spec.Taints, want) {
			t.Errorf("taints %v, want %v among them", n.Spec.Taints, want)
		}
	})
	for _, tt := range picoPortTests {
		t.Run(tt.path, func(t *testing.T) { b.checkAnswer(t, tt.method, tt.path, tt.body, tt.code, tt.holds) })
	}
	t.Run("hides its secrets", func(t *testing.T) { b.checkSecrets(t) })
	t.Run("answers fast", func(t *testing.T) { b.checkHealthzTime(t) })
	t.Run("has a name by multicast DNS", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if found, err := b.segment.LookupMDNS(ctx, b.name+".local"); err != nil || found != addr {
			t.Errorf("%s.local is %v, %v, want %v", b.name, found, err, addr)
		}
	})
	b.checkDriver(t)
	b.noReboot(t)
}

// facts are what the board says of itself on its port.
func (b *picoW) facts(t *testing.T) board.Facts {
	t.Helper()
	var status struct {
		Board struct {
			ID, SystemUUID, BootID, OSImage, KernelVersion, ResetReason string
		}
	}
	text, err := b.get(t.Context(), "/pico/status")
	must(t, err)
	must(t, json.Unmarshal([]byte(text), &status))
	var spec struct {
		SystemUUID string `json:"system_uuid"`
	}
	text, err = b.get(t.Context(), "/spec")
	must(t, err)
	must(t, json.Unmarshal([]byte(text), &spec))
	s := status.Board
	return board.Facts{
		ID: s.ID, SystemUUID: spec.SystemUUID, BootID: s.BootID, OSImage: s.OSImage,
		KernelVersion: s.KernelVersion, ResetReason: s.ResetReason,
	}
}

// checkPicoFacts checks facts that the emulated hardware decides.
func checkPicoFacts(t *testing.T, facts board.Facts) {
	if facts.ID != "e661010203040506" { // of the emulated flash chip
		t.Errorf("the board's ID is %q, want the unique id of its flash", facts.ID)
	}
	if facts.ResetReason != "power-on" || !strings.HasPrefix(facts.KernelVersion, "tinygo-0.41") || !strings.Contains(facts.OSImage, "Pico W") {
		t.Errorf("facts %+v", facts)
	}
}

// picoPortTests are requests to the kubelet port, with what their answers hold.
var picoPortTests = []struct {
	method, path, body string
	code               int
	holds              string
}{
	{"GET", "/healthz", "", 200, "ok"},
	{"GET", "/readyz", "", 200, "ok"},
	{"GET", "/pods", "", 200, `"kind":"PodList"`},
	{"GET", "/spec", "", 200, `"num_cores":2`},
	{"GET", "/metrics", "", 200, "\npicolet_network_state{state=\"Up\"} 1\n"},
	{"GET", "/metrics/resource", "", 200, "node_memory_working_set_bytes "},
	{"GET", "/stats/summary", "", 200, `"workingSetBytes":`},
	{"GET", "/logs", "", 200, `msg="Node registered"`},
	{"GET", "/pico/status", "", 200, `"resetReason":"power-on"`},
	{"GET", "/pico/memory?offset=1020&length=4", "", 200, `"hex":"00000000"`},
	{"GET", "/pico/gpio", "", 200, `"15":"FLOATING"`},
	{"POST", "/pico/command", `{"command":"set_pin","pin":15,"value":"HIGH"}`, 200, `"status":"Success"`},
	{"POST", "/pico/command", `{"command":"set_pin","pin":24,"value":"HIGH"}`, 400, "no such pin"}, // the Wi-Fi chip's
	{"GET", "/nowhere", "", 404, `"reason":"NotFound"`},
	{"DELETE", "/healthz", "", 405, `"code":405`},
}

func (b *picoW) checkAnswer(t *testing.T, method, path, body string, code int, holds string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://board:10250"+path, strings.NewReader(body))
	must(t, err)
	answer, err := b.client().Do(r)
	must(t, err)
	text := readBody(t, answer)
	if answer.StatusCode != code || !strings.Contains(text, holds) {
		t.Errorf("%s %s: %s\n%s\nwant %d with %q", method, path, answer.Status, text, code, holds)
	}
}

// checkSecrets looks for the passphrase wherever the board tells of itself.
func (b *picoW) checkSecrets(t *testing.T) {
	said := b.Console().Text()
	for _, path := range []string{"/pico/status", "/metrics", "/logs", "/configz", "/spec", "/pico/memory"} {
		text, err := b.get(t.Context(), path)
		must(t, err)
		said += text
	}
	if strings.Contains(said, picoPassphrase) {
		t.Error("the passphrase of the Wi-Fi is told")
	}
}

// checkHealthzTime asks for /healthz and compares emulated times, of which the
// median is taken: the host may be slow at any moment.
func (b *picoW) checkHealthzTime(t *testing.T) {
	must(t, b.SetPace(t.Context(), emulator.PaceHost))
	defer func() { must(t, b.SetPace(context.WithoutCancel(t.Context()), emulator.PaceAnswered)) }()
	var took []time.Duration
	for range 21 {
		before, err := b.Stats(t.Context())
		must(t, err)
		_, err = b.get(t.Context(), "/healthz")
		must(t, err)
		after, err := b.Stats(t.Context())
		must(t, err)
		took = append(took, after.Now-before.Now)
	}
	slices.Sort(took)
	t.Logf("/healthz: median %v, slowest %v", took[10], took[20])
	if took[10] > 100*time.Millisecond {
		t.Errorf("/healthz takes %v, want at most 100 ms", took[10])
	}
}

// checkDriver checks that the firmware has broken no rule of the Wi-Fi chip's bus.
func (b *picoW) checkDriver(t *testing.T) {
	t.Helper()
	stats, err := b.Stats(t.Context())
	must(t, err)
	if len(stats.Violations) > 0 {
		t.Errorf("rules of the Wi-Fi chip's bus were broken: %q", stats.Violations)
	}
}

// The same image, with each edge of the bus to the Wi-Fi chip emulated.
func TestPicoWJoinsTheClusterByPins(t *testing.T) {
	t.Parallel()
	b := readyPico(t, sharedPlane(t), picoOptions{link: emulator.LinkPin})
	b.checkDriver(t)
	b.noReboot(t)
}

// While nothing happens, the lease is renewed each 10 s, by the link, and keeps the
// node Ready.
func TestPicoWHoldsItsLease(t *testing.T) {
	t.Parallel()
	b, _ := startLinkGateway(t, sharedPlane(t)).bootPico(t)
	b.waitReady(t)
	must(t, b.Sleep(t.Context(), 30*time.Second))
	before := b.metrics(t)
	for range *soak / time.Minute {
		must(t, b.Sleep(t.Context(), time.Minute))
		if c := condition(b.mustNode(t), corev1.NodeReady); c.Status != corev1.ConditionTrue {
			t.Fatalf("the node is %v", c)
		}
	}
	after := b.metrics(t)
	const renewals = `picolet_api_requests_total{operation="renew_lease",outcome="2xx"}`
	elapsed := time.Duration((after["picolet_uptime_seconds"] - before["picolet_uptime_seconds"]) * float64(time.Second))
	got := int(after[renewals] - before[renewals])
	if want := int(elapsed / (leaseDuration / 2)); got < want { // a busy host answers late
		t.Errorf("the lease was renewed %d times in %v, want at least %d", got, elapsed, want)
	}
	t.Logf("after %v: %d renewals, heap in use %.0f B (%.0f B before)", elapsed, got, after["picolet_heap_used_bytes"], before["picolet_heap_used_bytes"])
	if used := after["picolet_heap_used_bytes"]; used == 0 || used > maxHeap {
		t.Errorf("heap in use %.0f B, want at most %d", used, maxHeap)
	}
	b.writeMeasurement(t, after)
	lease, err := b.lease(t.Context())
	must(t, err)
	must(t, checkHolder(lease))
	must(t, checkOwner(lease, b.mustNode(t)))
	b.checkDriver(t)
	b.noReboot(t)
}

// picoStack is the size of the main stack, of the firmware's target.
func picoStack(t *testing.T) float64 {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "firmware", "pico-w", "pico-w.json"))
	must(t, err)
	var target struct {
		Size float64 `json:"default-stack-size"`
	}
	must(t, json.Unmarshal(text, &target))
	return target.Size
}

// writeMeasurement tells firmware/footprint what the run took.
func (b *picoW) writeMeasurement(t *testing.T, metrics map[string]float64) {
	t.Helper()
	if *measurement == "" {
		return
	}
	text := fmt.Sprintf(`{"heap": %.0f, "stack": %.0f, "run": "%v, emulated"}`,
		metrics["picolet_heap_used_bytes"], picoStack(t)-metrics["picolet_stack_unused_bytes"], *soak)
	must(t, os.WriteFile(*measurement, []byte(text+"\n"), 0o644))
}

// maxHeap is the budget of the heap in use, in bytes.
const maxHeap = 64 << 10

func readBody(t *testing.T, answer *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(answer.Body)
	must(t, errors.Join(err, answer.Body.Close()))
	return string(text)
}
