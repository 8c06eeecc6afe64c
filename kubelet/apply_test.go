// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"fmt"
	"strings"
	"testing"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/kubelet/configmap"
)

// read has a watcher of the kubelet read its ConfigMap, as a list, a watch or a poll
// does.
func (r *rig) read(i int, version int, data string) {
	r.t.Helper()
	w := &r.k.watchers[i]
	w.decoder.Reset(configmap.Object, w.name.Namespace, w.name.Name, &w.staged)
	body := fmt.Sprintf(`{"metadata":{"name":%q,"namespace":%q,"resourceVersion":"%d"},"data":{%s}}`, w.name.Name, w.name.Namespace, version, data)
	ev, _, err := w.decoder.Feed([]byte(body))
	if ev != configmap.Applied || err != nil {
		r.t.Fatalf("event %v, %v", ev, err)
	}
	r.k.watchEvent(r.now, w, ev)
	r.k.Tick(r.now)
	r.act()
}

// setPin sets a pin as a command does.
func (r *rig) setPin(n int, value string) {
	r.t.Helper()
	state, _ := configmap.ParsePinState([]byte(value))
	if err := r.k.setPin(n, state); err != nil {
		r.t.Fatal(err)
	}
}

// checkPins checks the pins by number, and the LED.
func (r *rig) checkPins(what, want string) {
	r.t.Helper()
	var got []string
	for pin, s := range r.board.pins {
		if s.Mode != board.PinFloating {
			got = append(got, fmt.Sprintf("%d=%s", pin, s.AppendText(nil)))
		}
	}
	if r.board.led {
		got = append(got, "led")
	}
	if text := strings.Join(got, " "); text != want {
		r.t.Errorf("%s: %s, want %s", what, text, want)
	}
}

// TestCommandHoldsUntilItsEntryChanges: a pin and the LED stay as a command has set
// them, whatever else happens to the ConfigMap, until that entry changes.
func TestCommandHoldsUntilItsEntryChanges(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.read(0, 1, `"pin_2":"HIGH","pin_3":"LOW","led":"HIGH"`)
	r.checkPins("ConfigMap", "2=HIGH 3=LOW led")
	r.setPin(2, "LOW")
	r.k.setLED(false)
	r.checkPins("command", "2=LOW 3=LOW")
	r.read(0, 2, `"pin_2":"HIGH","pin_3":"LOW","led":"HIGH"`)
	r.checkPins("annotation, list or poll", "2=LOW 3=LOW")
	if v, _ := r.k.applied.Version("default", "pico-config"); v.ResourceVersion != 2 {
		t.Errorf("resourceVersion %d, want 2", v.ResourceVersion)
	}
	r.read(0, 3, `"pin_2":"HIGH","pin_3":"HIGH","led":"HIGH"`)
	r.checkPins("another entry", "2=LOW 3=HIGH")
	r.read(0, 4, `"pin_3":"HIGH"`)
	r.read(0, 5, `"pin_2":"HIGH","pin_3":"HIGH","led":"HIGH"`)
	r.checkPins("entry removed and back", "2=LOW 3=HIGH")
	r.read(0, 6, `"pin_2":"PWM:9","pin_3":"HIGH","led":"LOW"`)
	r.checkPins("the entry itself", "2=PWM:9 3=HIGH")
	r.read(0, 7, `"pin_2":"HIGH","pin_3":"HIGH","led":"HIGH"`)
	r.checkPins("and again", "2=HIGH 3=HIGH led")

	r.setPin(2, "LOW")
	r.advance(storeInterval, false)
	r.boot(nil)
	r.checkPins("restart", "2=HIGH 3=HIGH led")
	r.setPin(2, "LOW")
	r.read(0, 7, `"pin_2":"HIGH","pin_3":"HIGH","led":"HIGH"`)
	r.checkPins("first list after the restart", "2=LOW 3=HIGH led")
}

// TestCommandHoldsAgainstEntriesOfOthers: of two ConfigMaps that name a pin the one
// that changed last wins, and one that did not change drives nothing, although the
// board rejects some of it.
func TestCommandHoldsAgainstEntriesOfOthers(t *testing.T) {
	t.Parallel()
	maps := func(c *Config) { c.ConfigMaps = []ObjectName{{"default", "a"}, {"default", "b"}} }
	const a, b = `"pin_2":"HIGH","pin_24":"HIGH"`, `"pin_2":"LOW"`
	r := newRig(t, maps)
	r.read(0, 1, a)
	r.read(1, 2, b)
	r.checkPins("both", "2=LOW")
	r.read(0, 3, a)
	r.checkPins("the first again", "2=LOW")
	r.setPin(2, "PWM:1")
	r.read(0, 4, a)
	r.read(1, 5, b)
	r.checkPins("both again", "2=PWM:1")
	if r.k.configsApplied != 2 || r.k.entriesRejected != 1 {
		t.Errorf("%d applied, %d entries rejected", r.k.configsApplied, r.k.entriesRejected)
	}
	r.read(0, 6, a+`,"pin_3":"LOW"`)
	r.checkPins("the first with another entry", "2=HIGH 3=LOW")
}

// TestRejectedEntryAfterRestart: what the board rejected is tried again after a
// restart, which may have been made for that.
func TestRejectedEntryAfterRestart(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.read(0, 1, `"pin_22":"PWM:1","pin_3":"LOW"`)
	r.boot(nil)
	r.read(0, 1, `"pin_22":"PWM:1","pin_3":"LOW"`)
	if r.board.rejected != 2 || r.k.configsApplied != 0 {
		t.Errorf("rejected %d times, %d ConfigMaps applied", r.board.rejected, r.k.configsApplied)
	}
	r.read(0, 2, `"pin_22":"PWM:1","pin_3":"LOW"`)
	if r.board.rejected != 2 {
		t.Errorf("tried again without a restart")
	}
}

// TestRejectedEvent: the Event about wrong entries names the first, and the nearest
// key of one that is misspelled; the others are counted.
func TestRejectedEvent(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]string{
		`"Pin_2":"HIGH"`:                         "default/pico-config: skipped Pin_2: no such key, want pin_2",
		`"pin15":"HIGH","pin_2":"X","pin_3":"X"`: "default/pico-config: skipped pin15: no such key, want pin_15; skipped 2 more, see the board's log",
	} {
		r := onlineRig(t, nil)
		r.read(0, 1, data)
		if !strings.Contains(r.body, `"message":"`+want+`"`) || !strings.Contains(r.body, `"type":"Warning"`) {
			t.Errorf("%s: Event %s, want %s", data, r.body, want)
		}
	}
}
