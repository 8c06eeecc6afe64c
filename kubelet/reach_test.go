// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/picolet/picolet/board"
)

// networkSection is "network" of /pico/status.
type networkSection struct {
	State                    string
	StateAgeMs               int64
	Begun                    map[string]int
	SentBytes, ReceivedBytes uint64
}

func (r *rig) networkSection() *networkSection {
	r.t.Helper()
	var status struct{ Network *networkSection }
	_, body := r.get("/pico/status")
	if err := json.Unmarshal(body, &status); err != nil {
		r.t.Fatalf("%v\n%s", err, body)
	}
	return status.Network
}

// What the last request met decides whether a network that is up is shown so.
func TestNetworkStateFollowsTheAPIServer(t *testing.T) {
	t.Parallel()
	answer := func(code int) func(r *rig) { return func(r *rig) { r.reply(StreamAPI, code, `{}`) } }
	for _, test := range []struct {
		name  string
		board board.NetworkState
		act   func(r *rig)
		want  string
	}{
		{"nothing asked yet", board.NetworkUp, func(*rig) {}, "Up"},
		{"found", board.NetworkUp, answer(404), "Up"},
		{"refused", board.NetworkUp, answer(403), "Up"},
		{"failed by itself", board.NetworkUp, answer(500), "Up"},
		{"bad gateway", board.NetworkUp, answer(502), "NoAPIServer"},
		{"unavailable", board.NetworkUp, answer(503), "NoAPIServer"},
		{"gateway's time-out", board.NetworkUp, answer(504), "NoAPIServer"},
		{"answers again", board.NetworkUp, func(r *rig) { answer(502)(r); r.live(10*time.Second, well) }, "Up"},
		{"closed before an answer", board.NetworkUp, func(r *rig) { r.k.Closed(r.now, StreamAPI, nil); r.act() }, "NoAPIServer"},
		{"no answer", board.NetworkUp, func(r *rig) { r.advance(requestTimeout+time.Second, false) }, "NoAPIServer"},
		{"no stream", board.NetworkUp, func(r *rig) {
			r.k.Closed(r.now, StreamAPI, nil)
			r.net = false
			r.advance(dialTimeout+time.Second, false)
			r.advance(dialTimeout+time.Second, false)
		}, "Up"}, // the board knows better: it is about to say NoGateway
		{"away", board.NetworkNoGateway, answer(502), "NoGateway"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			r.board.network.State = test.board
			r.open(StreamAPI)
			r.net = true
			test.act(r)
			if got := r.networkSection(); got == nil || got.State != test.want {
				t.Errorf("network is %+v, want state %s", got, test.want)
			}
		})
	}
}

// An outage is told once when it begins and once when it ends, counted, and
// needs no reboot to end; a board may boot into it.
func TestOutageIsToldOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.open(StreamAPI)
	r.net = true
	const outage = 2 * time.Minute
	tries := 0
	r.live(outage, func(operation) (int, string) {
		tries++
		return 502, `{"kind":"Status","message":"the API server cannot be reached"}`
	})
	if tries < 15 || tries > 40 {
		t.Errorf("%d tries in %v", tries, outage)
	}
	during := r.networkSection()
	r.live(20*time.Second, well)
	if r.k.registered != done {
		t.Fatal("not registered after the outage")
	}
	r.live(20*time.Second, func(operation) (int, string) { return 504, `{}` })
	r.live(20*time.Second, well)
	after, log := r.networkSection(), r.logText()
	if during.State != "NoAPIServer" || during.Begun["NoAPIServer"] != 1 || during.StateAgeMs < outage.Milliseconds() {
		t.Errorf("during the outage: %+v", during)
	}
	if after.State != "Up" || after.Begun["NoAPIServer"] != 2 || after.Begun["Up"] != 3 || after.StateAgeMs > 20_100 {
		t.Errorf("after the outages: %+v", after)
	}
	for message, want := range map[string]int{"API server cannot answer now": 2, "API server answers again": 2} {
		if n := strings.Count(log, message); n != want {
			t.Errorf("%q was logged %d times, want %d:\n%s", message, n, want, log)
		}
	}
}

// Nor do the ConfigMap's streams fill the log while nothing answers.
func TestOutageOfAllStreamsIsToldOnce(t *testing.T) {
	t.Parallel()
	r := onlineRig(t, nil)
	r.k.Closed(r.now, StreamAPI, nil)
	r.k.Closed(r.now, StreamWatch, nil)
	before := r.k.log.Last()
	r.net = false
	r.act()
	r.advance(5*time.Minute, false)
	if n := r.k.log.Last() - before; n > 2 {
		t.Errorf("%d records in 5 minutes:\n%s", n, r.logText())
	}
}

// A board that does not tell of its network shows none.
func TestNoNetworkToTellOf(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *Config) { c.Board.Network = nil })
	if got := r.networkSection(); got != nil {
		t.Errorf("/pico/status shows %+v", got)
	}
	if _, metrics := r.get("/metrics"); strings.Contains(string(metrics), "picolet_network") {
		t.Errorf("metrics:\n%s", metrics)
	}
}
