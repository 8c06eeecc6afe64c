// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/kubelet"
)

// configured makes a Ready board that reads ConfigMaps of these names, of which
// there is none yet.
func configured(tb testing.TB, p *plane, o boardOptions, maps ...string) *testBoard {
	tb.Helper()
	for _, name := range maps {
		p.allowConfigMap(tb, gatewaySubject(gatewayAccount), name)
	}
	o.change = readsConfigMaps(maps...)
	return readyBoard(tb, p, o)
}

func readsConfigMaps(maps ...string) func(*kubelet.Config) {
	return func(c *kubelet.Config) {
		for _, name := range maps {
			c.ConfigMaps = append(c.ConfigMaps, kubelet.ObjectName{Namespace: namespace, Name: name})
		}
	}
}

// data is what a ConfigMap holds.
type data map[string]string

// setConfig creates or replaces a ConfigMap, which is deleted when the test ends.
func (p *plane) setConfig(tb testing.TB, name string, d data) *corev1.ConfigMap {
	tb.Helper()
	maps := p.client.CoreV1().ConfigMaps(namespace)
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: d}
	made, err := maps.Update(tb.Context(), m, metav1.UpdateOptions{})
	if isNotFound(err) {
		made, err = maps.Create(tb.Context(), m, metav1.CreateOptions{})
		tb.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			if err := maps.Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !isNotFound(err) {
				tb.Errorf("deleting ConfigMap %s: %v", name, err)
			}
		})
	}
	must(tb, err)
	return made
}

// waitPin waits until a pin is in a state, written as ConfigMaps write it.
func (b *testBoard) waitPin(tb testing.TB, pin int, want string) {
	tb.Helper()
	eventually(tb, 10*time.Second, func(context.Context) error { return b.checkPin(pin, want) })
}

func (b *testBoard) checkPin(pin int, want string) error {
	state, err := b.hardware.Pin(pin)
	if got := string(state.AppendText(nil)); err != nil || got != want {
		return fmt.Errorf("pin %d of %s is %s, %v, want %s", pin, b.name, got, err, want)
	}
	return nil
}

// waitMemory waits until the board's memory region has bytes at offset, as its
// kubelet port shows it.
func (b *testBoard) waitMemory(tb testing.TB, offset int, want ...byte) {
	tb.Helper()
	eventually(tb, 10*time.Second, func(ctx context.Context) error {
		var region struct{ Hex string }
		url := fmt.Sprintf("http://%s/pico/memory?offset=%d&length=%d", b.port, offset, len(want))
		if err := getJSON(ctx, url, &region); err != nil {
			return err
		}
		if got, err := hex.DecodeString(region.Hex); err != nil || !slices.Equal(got, want) {
			return fmt.Errorf("memory at %d is %q, want %x", offset, region.Hex, want)
		}
		return nil
	})
}

// From its creation to its deletion and back, a ConfigMap takes effect on the
// board, and its last state stays in force.
func TestConfigMapLife(t *testing.T) {
	t.Parallel()
	p, name := sharedPlane(t), unique("life")
	b := configured(t, p, boardOptions{}, name)
	if err := b.checkPin(15, "FLOATING"); err != nil {
		t.Error(err)
	}

	p.setConfig(t, name, data{"memory_values": "0=0x42,1=0x43", "pin_15": "HIGH", "color": "red"})
	b.waitPin(t, 15, "HIGH")
	b.waitMemory(t, 0, 0x42, 0x43, 0)
	p.waitEvent(t, b.name, "ConfigApplied", namespace+"/"+name+": 3 entries applied, 0 rejected")

	p.mustKubectl(t, "--namespace="+namespace, "patch", "configmap", name, "--type=merge", `--patch={"data":{"pin_15":"PWM:128","memory_values":"1=7"}}`)
	b.waitPin(t, 15, "PWM:128")
	b.waitMemory(t, 0, 0x42, 7, 0)

	p.mustKubectl(t, "--namespace="+namespace, "delete", "configmap", name)
	waitLog(t, b.log, 10*time.Second, "the last good configuration stays")
	if err := b.checkPin(15, "PWM:128"); err != nil {
		t.Error("after the ConfigMap was deleted:", err)
	}
	b.waitMemory(t, 0, 0x42, 7, 0)

	p.setConfig(t, name, data{"pin_15": "LOW"})
	b.waitPin(t, 15, "LOW")
	b.waitMemory(t, 0, 0x42, 7, 0)
}

// What a board takes of one ConfigMap.
func TestConfigMapSizes(t *testing.T) {
	t.Parallel()
	p, name := sharedPlane(t), unique("size")
	b := configured(t, p, boardOptions{}, name)

	ten := data{}
	for pin := range 10 {
		ten[fmt.Sprintf("pin_%d", pin)] = fmt.Sprintf("PWM:%d", 10*pin)
	}
	p.setConfig(t, name, ten)
	for pin := range 10 {
		b.waitPin(t, pin, fmt.Sprintf("PWM:%d", 10*pin))
	}

	var want []byte
	var text strings.Builder
	for i := 0; text.Len() < 800; i++ {
		want = append(want, byte(i+1))
		fmt.Fprintf(&text, "%d=0x%02x,", 500+i, byte(i+1))
	}
	p.setConfig(t, name, data{"memory_values": text.String()})
	b.waitMemory(t, 500, want...)
	t.Logf("a value of %d bytes was applied", text.Len())
}

// A ConfigMap of 1 MB, the most that Kubernetes takes, is refused as a whole,
// and costs the node nothing.
func TestConfigMapOfAMegabyteIsRefused(t *testing.T) {
	t.Parallel()
	p, name := sharedPlane(t), unique("huge")
	b := configured(t, p, boardOptions{}, name)
	p.setConfig(t, name, data{"pin_2": "HIGH"})
	b.waitPin(t, 2, "HIGH")
	before := condition(b.mustNode(t), corev1.NodeReady)

	p.setConfig(t, name, data{"pin_2": "LOW", "note": strings.Repeat("x", 1_000_000)})
	e := p.waitEvent(t, b.name, "ConfigRejected", namespace+"/"+name)
	if e.Type != corev1.EventTypeWarning {
		t.Errorf("Event ConfigRejected is of type %s, want Warning", e.Type)
	}
	if err := b.checkPin(2, "HIGH"); err != nil {
		t.Error("after 1 MB:", err)
	}

	p.setConfig(t, name, data{"pin_2": "PWM:3"})
	b.waitPin(t, 2, "PWM:3")
	b.waitRenewals(t, 1)
	after := condition(b.mustNode(t), corev1.NodeReady)
	if after.Status != corev1.ConditionTrue || !after.LastTransitionTime.Equal(&before.LastTransitionTime) {
		t.Errorf("Ready is %v, was %v", after, before)
	}
}

// What is wrong in a ConfigMap is skipped and told; the rest is applied.
func TestWrongEntriesAreSkippedAndTold(t *testing.T) {
	t.Parallel()
	p, name := sharedPlane(t), unique("wrong")
	b := configured(t, p, boardOptions{}, name)
	p.setConfig(t, name, data{
		"memory_values": "0=0x10,1024=1,2=0x12",
		"pin_3":         "SIDEWAYS",
		"pin_4":         "HIGH",
		"pin_23":        "LOW", // the Pico W does not lead it out
		"pin_99":        "LOW",
	})
	b.waitPin(t, 4, "HIGH")
	b.waitPin(t, 3, "FLOATING")
	b.waitMemory(t, 0, 0x10, 0, 0x12)
	p.waitEvent(t, b.name, "ConfigRejected", namespace+"/"+name+": skipped ")
	p.waitEvent(t, b.name, "ConfigApplied", "3 entries applied, 4 rejected")
	logs, err := getText(t.Context(), "http://"+b.port+"/logs")
	must(t, err)
	for _, want := range []string{"address out of range 0-1023", "unknown pin mode", "the board has no such pin", "want pin_0 to pin_31"} {
		if !strings.Contains(logs, want) {
			t.Errorf("/logs does not say %q:\n%s", want, logs)
		}
	}
	metrics, err := getText(t.Context(), "http://"+b.port+"/metrics")
	must(t, err)
	if !strings.Contains(metrics, "config_entries_rejected_total 4\n") {
		t.Errorf("/metrics does not count 4 wrong entries:\n%s", metrics)
	}
}

// Several ConfigMaps make one configuration, each by what it names.
func TestTwoConfigMapsForOneBoard(t *testing.T) {
	t.Parallel()
	p, one, two := sharedPlane(t), unique("one"), unique("two")
	b := configured(t, p, boardOptions{}, one, two)
	p.setConfig(t, one, data{"pin_1": "HIGH", "memory_values": "0=1"})
	p.setConfig(t, two, data{"pin_2": "HIGH", "memory_values": "1=2"})
	b.waitPin(t, 1, "HIGH")
	b.waitPin(t, 2, "HIGH")
	b.waitMemory(t, 0, 1, 2)
	p.mustKubectl(t, "--namespace="+namespace, "delete", "configmap", one)
	p.setConfig(t, two, data{"pin_2": "LOW"})
	b.waitPin(t, 2, "LOW")
	if err := b.checkPin(1, "HIGH"); err != nil {
		t.Error(err)
	}
}

// A board that was configured once is so after a power cut, before it reaches
// any network.
func TestConfigurationSurvivesAPowerCut(t *testing.T) {
	t.Parallel()
	p, name := sharedPlane(t), unique("kept")
	b := configured(t, p, boardOptions{}, name)
	p.setConfig(t, name, data{"pin_7": "PWM:200", "memory_values": "9=0x99"})
	b.waitPin(t, 7, "PWM:200")
	b.waitMemory(t, 9, 0x99)

	b.powerOff(t)
	b.options.dialer = noNetwork{}
	b.powerOn(t)
	b.waitPin(t, 7, "PWM:200")
	b.waitMemory(t, 9, 0x99)
	waitLog(t, b.log, 10*time.Second, "Stored configuration applied")
}

// noNetwork is a link that is down.
type noNetwork struct{}

func (noNetwork) Dial(context.Context) (net.Conn, error) { return nil, errors.New("no network") }

// changes is the number of changes that latency is measured over.
const changes = 100

// TestChangeReachesTheBoardWithinASecond is the one test that measures time: it
// is what was promised. It does not run beside others.
func TestChangeReachesTheBoardWithinASecond(t *testing.T) {
	p, name := sharedPlane(t), unique("latency")
	seen := make(chan board.PinState, changes)
	o := boardOptions{}
	o.virtual.OnChange = func(_ int, s board.PinState) { seen <- s }
	configured(t, p, o, name)
	p.setConfig(t, name, data{"pin_0": "LOW"})
	waitChange(t, seen, board.PinState{Mode: board.PinLow})

	took := make([]time.Duration, 0, changes)
	for i := range changes {
		began := time.Now()
		p.setConfig(t, name, data{"pin_0": fmt.Sprintf("PWM:%d", i)})
		waitChange(t, seen, board.PinState{Mode: board.PinPWM, Duty: uint8(i)})
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	t.Logf("from the update to the pin: min %v, median %v, p99 %v, max %v of %d",
		took[0], took[changes/2], percentile(took, 99), took[changes-1], changes)
	if p99 := percentile(took, 99); p99 >= time.Second {
		t.Errorf("p99 of %d changes is %v, want under 1s", changes, p99)
	}
}

func waitChange(t *testing.T, seen <-chan board.PinState, want board.PinState) {
	t.Helper()
	select {
	case got := <-seen:
		if got != want {
			t.Fatalf("the pin changed to %v, want %v", got, want)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("the pin did not change to %v", want)
	}
}

// percentile returns the nearest-rank percentile of sorted durations.
func percentile(sorted []time.Duration, p int) time.Duration {
	return sorted[(len(sorted)*p+99)/100-1]
}
