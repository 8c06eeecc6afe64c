// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"strings"
	"testing"
	"time"
)

// whole tells whether a status patch says more than that it is a heartbeat.
func whole(body string) bool { return strings.Contains(body, `"nodeInfo"`) }

// statuses lives for so many status patches and tells which of them were whole,
// as "W" and "s". answer may be nil.
func (r *rig) statuses(n int, answer func(i int) (code int, body string)) string {
	r.t.Helper()
	var got []byte
	for end := r.now + time.Hour; len(got) < n && r.now < end; {
		r.live(time.Second, func(op operation) (int, string) {
			if op != patchStatus {
				return well(op)
			}
			mark := byte('s')
			if whole(r.body) {
				mark = 'W'
			}
			got = append(got, mark)
			if answer != nil {
				return answer(len(got))
			}
			return well(op)
		})
	}
	return string(got)
}

// A status says no more than it must: all of it when something changed or when
// it is in doubt what the API server has, and else the time.
func TestStatusIsShortWhileNothingChanges(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, want string
		act        func(r *rig, i int) (code int, body string)
	}{
		{"nothing changes", "sssssssssssWss", nil},
		{"a condition flips", "ssWssW", func(r *rig, i int) (int, string) {
			switch i {
			case 2:
				r.board.readings.HeapUsed = 230 << 10
			case 5:
				r.board.readings.HeapUsed = 60 << 10
			}
			return 200, createdNode
		}},
		{"one fails", "sWWss", func(r *rig, i int) (int, string) {
			if i == 1 || i == 2 {
				return 500, `{}`
			}
			return 200, createdNode
		}},
		{"the node is gone and comes back", "sWss", func(r *rig, i int) (int, string) {
			if i == 1 {
				return 404, notFoundBody // what follows finds it there again
			}
			return 200, createdNode
		}},
		{"the address changes while one is under way", "sWs", func(r *rig, i int) (int, string) {
			if i == 1 {
				r.k.SetAddress(r.now, "192.0.2.8")
			}
			return 200, createdNode
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := onlineRig(t, func(c *Config) { c.NodeStatusReportFrequency = 10 * time.Second })
			act := test.act
			if act == nil {
				act = func(*rig, int) (int, string) { return 200, createdNode }
			}
			if got := r.statuses(len(test.want), func(i int) (int, string) { return act(r, i) }); got != test.want {
				t.Errorf("statuses were %s, want %s", got, test.want)
			}
		})
	}
}

// Heartbeats that were late may have had somebody else write the conditions.
func TestStatusIsWholeAfterLateHeartbeats(t *testing.T) {
	t.Parallel()
	r := onlineRig(t, nil)
	r.k.Closed(r.now, StreamAPI, nil)
	r.net = false
	r.act()
	r.advance(time.Minute, false)
	r.net = true
	if got := r.statuses(1, nil); got != "W" {
		t.Errorf("status after a minute's silence: %s", got)
	}
}

// A gateway may know that somebody else wrote the conditions. Its word counts as
// often as the status is computed, however often it comes.
func TestStatusIsWholeWhenAGatewayAsks(t *testing.T) {
	t.Parallel()
	const short = "HTTP/1.1 204 No Content\r\nETag: \"9\"\r\n"
	for _, test := range []struct {
		name, header string
		least, most  int // whole statuses in two minutes
	}{
		{"asks", "Picolet-Report: status\r\n", 6, 12}, {"asks for something else", "Picolet-Report: coffee\r\n", 0, 0}, {"does not ask", "", 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := onlineRig(t, nil)
			wholes := 0
			for end := r.now + 2*time.Minute; r.now < end && wholes <= test.most; {
				if r.k.client.state != streamAsked {
					r.advance(time.Second, true)
					continue
				}
				if r.k.client.op == patchStatus && whole(r.body) {
					wholes++
				}
				r.receive(StreamAPI, []byte(short+test.header+"\r\n"), 0)
			}
			if wholes < test.least || wholes > test.most {
				t.Errorf("%d whole statuses in two minutes, want %d to %d", wholes, test.least, test.most)
			}
		})
	}
}

// A gateway that says that it knows the stream's board is told no more who
// asks, until the next stream; an API server is told each time.
func TestIdentityIsSaidOnceToAGateway(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, header string
		want         bool // in later requests
	}{
		{"gateway", "Connection: Picolet-Node\nPicolet-Node: pico-1", false}, {"gateway behind a proxy", "Picolet-Node: pico-1", true}, {"API server", "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			r.open(StreamAPI)
			check := func(when string, want bool) {
				t.Helper()
				for _, name := range []string{"Picolet-Node: pico-1", "Picolet-Board: test-0001", "User-Agent: picolet/", "Prefer: return=minimal", "Accept: "} {
					if strings.Contains(r.head, "\r\n"+name) != want {
						t.Errorf("%s: %s in the head: %v\n%s", when, name, !want, r.head)
					}
				}
				if !strings.Contains(r.head, "\r\nHost: gateway:6080\r\n") {
					t.Errorf("%s: no Host", when)
				}
			}
			check("first request", true)
			r.receive(StreamAPI, r.response(404, test.header, notFoundBody), 0)
			check("second request", test.want)
			r.receive(StreamAPI, r.response(201, "Connection: close\n"+test.header, createdNode), 0)
			r.advance(time.Second, false)
			r.open(StreamAPI)
			check("on a new stream", true)
		})
	}
}

// A short answer brings the version of what was written as its entity tag.
func TestVersionOfAShortAnswer(t *testing.T) {
	t.Parallel()
	r := onlineRig(t, func(c *Config) { c.ConfigMaps = []ObjectName{} })
	for _, version := range []string{"41", "42"} {
		r.advance(15*time.Second, true)
		r.receive(StreamAPI, []byte("HTTP/1.1 204 No Content\r\nETag: \""+version+"\"\r\n\r\n"), 0)
		if got := string(r.k.leaseVersion.Bytes()); got != version {
			t.Errorf("version is %q, want %q", got, version)
		}
	}
	r.advance(15*time.Second, true)
	if !strings.Contains(r.body, `"resourceVersion":"42"`) {
		t.Errorf("the renewal does not name the version: %s", r.body)
	}
}

// TestStatusReportIntervalWithSlowAnswers: a status is sent each
// NodeStatusReportFrequency, however long the last one and a request before it took.
func TestStatusReportIntervalWithSlowAnswers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		frequency, answer time.Duration
		want              int // statuses in ten minutes
	}{
		{10 * time.Second, 0, 60},
		{10 * time.Second, 200 * time.Millisecond, 60},
		{10 * time.Second, 4 * time.Second, 60},
		{time.Minute, 200 * time.Millisecond, 10},
		{5 * time.Minute, 200 * time.Millisecond, 2},
	} {
		r := onlineRig(t, func(c *Config) {
			c.NodeStatusReportFrequency, c.ConfigMaps = test.frequency, []ObjectName{}
		})
		r.advance(10*time.Second, false)
		statuses := 0
		for end := r.now + 10*time.Minute; r.now < end; {
			if r.k.client.state != streamAsked {
				r.advance(end-r.now, true)
				continue
			}
			if r.k.client.op == patchStatus {
				statuses++
			}
			op := r.k.client.op
			r.advance(test.answer, false)
			code, body := well(op)
			r.reply(StreamAPI, code, body)
		}
		if statuses < test.want-1 || statuses > test.want+1 {
			t.Errorf("each %v, answered after %v: %d statuses in ten minutes, want %d", test.frequency, test.answer, statuses, test.want)
		}
	}
}
