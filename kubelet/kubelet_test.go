// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"strings"
	"testing"
	"time"

	"github.com/picolet/picolet/kubelet/logring"
)

// A kubelet may start long after its board booted, as on a Linux machine: it
// must be as quick as at boot, and tell the board's uptime.
func TestStartLateInTheBoardsLife(t *testing.T) {
	t.Parallel()
	r := &rig{t: t, k: new(Kubelet), board: newTestBoard()}
	if err := r.k.Configure(r.board.config()); err != nil {
		t.Fatal(err)
	}
	const late = 400 * 24 * time.Hour
	r.now = late
	r.k.Start(r.now)
	r.act()
	r.ready()
	if r.now != late {
		t.Errorf("it took %v to be ready", r.now-late)
	}
	_, metrics := r.get("/metrics")
	if !strings.Contains(string(metrics), "picolet_uptime_seconds 34560000.100\n") {
		t.Errorf("metrics:\n%s", metrics)
	}
	if _, body := r.get("/readyz"); string(body) != "ok" {
		t.Errorf("readyz: %s", body)
	}
	if _, stats := r.get("/stats/summary"); !strings.Contains(string(stats), `"startTime":"2026-02-28T23:59:50Z"`) {
		t.Errorf("stats: %s", stats)
	}
}

// What the driver of a kubelet logs has the time of day, once that is known.
func TestRecordHasTheTimeOfDay(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.now = 1500 * time.Millisecond
	r.k.Record(r.now, logring.Warn, "Before").End()
	r.open(StreamAPI)
	r.reply(StreamAPI, 404, notFoundBody)
	r.k.Record(r.now+time.Second, logring.Info, "After").Str("ssid", "lab").End()
	log := r.logText()
	for _, want := range []string{`+1.500s WARN msg="Before"`, `2026-02-28T23:59:52.000000Z INFO msg="After" ssid=lab`} {
		if !strings.Contains(log, want+"\n") {
			t.Errorf("the log lacks %q:\n%s", want, log)
		}
	}
}
