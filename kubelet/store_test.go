// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"errors"
	"testing"
	"time"

	"github.com/picolet/picolet/kubelet/configmap"
)

// configure has a ConfigMap ask for data, as it arrives on a watch.
func (r *rig) configure(data string) {
	r.t.Helper()
	r.k.applyConfig(r.now, stagedConfig(r.t, data))
	r.k.Tick(r.now)
	r.act()
}

// stagedConfig is a watcher that has just read a ConfigMap with these data.
func stagedConfig(t testing.TB, data string) *watcher {
	w := &watcher{name: ObjectName{"default", "pico-config"}}
	w.decoder.Reset(configmap.Object, "default", "pico-config", &w.staged)
	body := `{"metadata":{"name":"pico-config","namespace":"default","resourceVersion":"7"},"data":{` + data + `}}`
	if ev, _, err := w.decoder.Feed([]byte(body)); ev != configmap.Applied || err != nil {
		t.Fatalf("event %v, %v", ev, err)
	}
	return w
}

// stored is what the board would begin with after a power cut.
func (r *rig) stored() (c configmap.Config) {
	r.t.Helper()
	if err := c.UnmarshalBinary(r.board.record); err != nil {
		r.t.Fatal(err)
	}
	return c
}

// A ConfigMap that changes each second is in force at once and stored once in
// 10 s; what came last is stored in the end.
func TestStoringIsRare(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	const changes = 60
	for i := range changes {
		r.configure(`"memory_values":"0=` + itoa(i) + `"`)
		if got := int(r.k.applied.Memory[0]); got != i {
			t.Fatalf("%v: %d is in force, want %d", r.now, got, i)
		}
		if late := i - int(r.stored().Memory[0]); late > 10 {
			t.Errorf("%v: what is stored is %d s old", r.now, late)
		}
		r.advance(time.Second, false)
	}
	r.advance(storeInterval, false)
	if r.board.saves != 7 || r.stored().Memory[0] != changes-1 {
		t.Errorf("stored %d times in %v, in the end %d", r.board.saves, r.now, r.stored().Memory[0])
	}
	r.advance(time.Hour, false)
	r.configure(`"memory_values":"0=99"`)
	if r.board.saves != 8 || r.stored().Memory[0] != 99 {
		t.Error("a change after a quiet time is not stored at once")
	}
}

// What waits to be stored is stored before a reset, once.
func TestStoredBeforeReset(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.configure(`"pin_1":"HIGH"`)
	r.configure(`"pin_1":"LOW"`)
	if r.board.saves != 1 {
		t.Fatalf("stored %d times", r.board.saves)
	}
	r.k.resetting, r.k.resetAt = true, r.now+resetDelay
	r.k.Tick(r.now)
	r.act()
	r.advance(resetDelay-1, false)
	if r.board.saves != 1 {
		t.Errorf("stored %d times before the reset is due", r.board.saves)
	}
	r.advance(1, false)
	if !r.out.Reset || r.board.saves != 2 || r.stored().Pins[1] != r.k.applied.Pins[1] {
		t.Errorf("reset asked: %v; stored %d times, pin 1 as %v", r.out.Reset, r.board.saves, r.stored().Pins[1])
	}
	r.advance(time.Minute, false)
	if r.board.saves != 2 {
		t.Errorf("stored %d times", r.board.saves)
	}
}

// A flash that fails is not tried again and again: each try wears it.
func TestFailedStoreWaitsForAChange(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.board.saveErr = errors.New("flash is worn out")
	r.configure(`"pin_1":"HIGH"`)
	r.board.saveErr = nil
	r.advance(time.Hour, false)
	if r.board.saves != 0 || !r.k.storing.failed {
		t.Errorf("stored %d times; failed: %v", r.board.saves, r.k.storing.failed)
	}
	r.configure(`"pin_1":"LOW"`)
	if r.board.saves != 1 || r.k.storing.failed {
		t.Errorf("after a change: stored %d times; failed: %v", r.board.saves, r.k.storing.failed)
	}
}

// The LED and the pins are as they were set before there is a network.
func TestOutputsAreRestored(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"HIGH", "LOW"} {
		r := newRig(t, nil)
		r.configure(`"led":"` + state + `","pin_1":"` + state + `"`)
		before := r.board
		r.board = newTestBoard()
		r.board.record, r.board.led = before.record, !before.led
		r.boot(nil)
		if r.board.led != (state == "HIGH") || r.board.pins[1] != before.pins[1] || r.k.client.state != streamDialing {
			t.Errorf("%s: the LED is %v, pin 1 %v", state, r.board.led, r.board.pins[1])
		}
	}
}
