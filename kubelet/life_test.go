// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

// live lets d pass and answers what is asked on the API stream; nothing is
// said on the others. It returns the operations asked for, with their times.
func (r *rig) live(d time.Duration, answer func(op operation) (code int, body string)) (asked []operation, at []time.Duration) {
	r.t.Helper()
	for end := r.now + d; r.now < end; {
		if r.k.client.state != streamAsked {
			r.advance(end-r.now, true)
			if r.k.client.state != streamAsked {
				continue // a request of another stream, or the end
			}
		}
		op := r.k.client.op
		asked, at = append(asked, op), append(at, r.now)
		code, body := answer(op)
		r.reply(StreamAPI, code, body)
	}
	return asked, at
}

// well answers as an API server does that has the node.
func well(op operation) (int, string) {
	switch op {
	case createEvent:
		return 201, `{}`
	case renewLease:
		return 200, createdLease
	}
	return 200, createdNode
}

// onlineRig is a ready rig whose dials succeed.
func onlineRig(t *testing.T, change func(c *Config)) *rig {
	r := newRig(t, change)
	r.open(StreamAPI)
	r.net = true
	r.ready()
	return r
}

// While leases fail for long the node may be marked Unknown, which a lease does
// not undo: the status goes out although nothing of it changed.
func TestStatusAfterLateHeartbeats(t *testing.T) {
	t.Parallel()
	r := onlineRig(t, nil)
	asked, at := r.live(40*time.Second, func(op operation) (int, string) {
		if op == renewLease && r.now < 35*time.Second {
			return 500, `{}`
		}
		return well(op)
	})
	for i, op := range asked {
		if op == patchStatus {
			if at[i] < 20*time.Second || at[i] > 32*time.Second {
				t.Errorf("the status went out at %v", at[i])
			}
			return
		}
	}
	t.Errorf("no status: %v", asked)
}

// Until the status of a node that was there has arrived, no lease is touched.
func TestNoLeaseBeforeTheStatus(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.open(StreamAPI)
	r.net = true
	r.reply(StreamAPI, 200, `{"metadata":{"uid":"u-1","labels":{"kubernetes.io/hostname":"pico-1","kubernetes.io/os":"linux",`+
		`"kubernetes.io/arch":"arm","node.kubernetes.io/instance-type":"rp2040-pico","picolet.dev/board":"test"}}}`)
	failures := 0
	asked, _ := r.live(time.Minute, func(op operation) (int, string) {
		if op == patchStatus && failures < 5 {
			failures++
			return 500, `{}`
		}
		return well(op)
	})
	for i, op := range asked {
		if op.task() == leaseRenewal {
			if i < 6 {
				t.Errorf("lease before the status: %v", asked)
			}
			return
		}
	}
	t.Errorf("no lease: %v", asked)
}

// renewTime only grows, also when the time of day is set back.
func TestRenewTimeOnlyGrows(t *testing.T) {
	t.Parallel()
	r := onlineRig(t, func(c *Config) { c.ConfigMaps = []ObjectName{} })
	r.full = true
	for i := range 6 {
		r.advance(15*time.Second, true)
		back := startOfTests.Add(r.now - time.Duration(i)*time.Hour).Format(dateLayout)
		r.receive(StreamAPI, fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nDate: %s\r\nContent-Length: %d\r\n\r\n%s", back, len(createdLease), createdLease), 0)
	}
	times := regexp.MustCompile(`"renewTime": "([^"]+)"`).FindAllStringSubmatch(r.said.String(), -1)
	if len(times) < 6 || r.k.clock.Steps() < 4 {
		t.Fatalf("%d renewals, %d steps back", len(times), r.k.clock.Steps())
	}
	for i := 1; i < len(times); i++ {
		if times[i][1] <= times[i-1][1] {
			t.Errorf("renewTime %s after %s", times[i][1], times[i-1][1])
		}
	}
}

// Something that puts an extended resource back each time is given in to.
func TestRepairsAreBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.open(StreamAPI)
	r.net = true
	drops := 0
	r.live(time.Minute, func(op operation) (int, string) {
		switch op {
		case getNode:
			return 200, `{"metadata":{"uid":"u-1"},"status":{"capacity":{"example.com/a":"1"}}}`
		case dropResources:
			drops++
		}
		return well(op)
	})
	if r.k.registered != done || drops == 0 || drops > maxRepairs {
		t.Errorf("registered: %v, after %d repairs", r.k.registered == done, drops)
	}
}

// A poller comes back to watching once that is allowed.
func TestPollingEnds(t *testing.T) {
	t.Parallel()
	r := onlineRig(t, nil)
	r.reply(StreamWatch, 403, `{}`)
	r.reply(StreamWatch, 404, notFoundBody)
	for end := r.now + 2*watchAgain; r.now < end && r.k.watchers[0].op != watchConfigMap; {
		r.live(time.Second, well)
		switch w := &r.k.watchers[0]; {
		case w.state == streamAsked && w.op == getConfigMap:
			r.reply(StreamWatch, 404, notFoundBody)
		case w.state == streamAsked && w.op == listConfigMap:
			r.reply(StreamWatch, 200, `{"kind":"ConfigMapList","metadata":{"resourceVersion":"5"},"items":[]}`)
		}
	}
	if r.k.watchers[0].op != watchConfigMap || r.now < watchAgain || r.now > watchAgain+2*pollInterval {
		t.Errorf("watches at %v: %v", r.now, r.k.watchers[0].op == watchConfigMap)
	}
}

// A quiet watch is left alone for as long as it was asked for, and given up
// when the server does not end it by itself.
func TestQuietWatch(t *testing.T) {
	t.Parallel()
	r := onlineRig(t, nil)
	r.reply(StreamWatch, 200, `{"kind":"ConfigMapList","metadata":{"resourceVersion":"5"},"items":[]}`)
	r.receive(StreamWatch, r.response(200, "Transfer-Encoding: chunked", ""), 0)
	r.said.Reset()
	r.live(watchTimeout+watchTimeout/10, well)
	if strings.Contains(r.said.String(), "close watch0") {
		t.Errorf("the watch was given up early:\n%s", r.said.String())
	}
	r.live(2*watchGrace, well)
	if !strings.Contains(r.said.String(), "close watch0") {
		t.Error("a watch that never ends was not given up")
	}
}

// When more happens than can be told, the newest Events are lost and counted.
func TestEventsOverflow(t *testing.T) {
	t.Parallel()
	r := onlineRig(t, nil)
	for i := range 3 * maxEvents {
		r.k.events.add("ConfigApplied", false, 1).text(itoa(i)).text(strings.Repeat("x", 2*maxEventMessage))
	}
	if r.k.events.n != maxEvents || r.k.events.dropped != 2*maxEvents {
		t.Errorf("%d wait, %d were dropped", r.k.events.n, r.k.events.dropped)
	}
	asked, _ := r.live(time.Minute, well)
	sent := 0
	for _, op := range asked {
		if op == createEvent {
			sent++
		}
	}
	if sent != maxEvents || r.k.events.n != 0 {
		t.Errorf("%d Events were sent, %d wait", sent, r.k.events.n)
	}
}

// An answer that comes before its whole request was sent leaves the framing in
// doubt: the stream is not used again.
func TestAnswerBeforeTheRequestEnds(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.k.Opened(r.now, StreamAPI)
	r.k.Output()
	r.k.Sent(r.now, StreamAPI, 10)
	r.k.Receive(r.now, StreamAPI, r.response(404, "", notFoundBody))
	if out := r.k.Output(); !out.Close.Has(StreamAPI) {
		t.Errorf("the stream was kept: %+v", out)
	}
}

// What stays wrong or away is told once, not with every look.
func TestToldOnce(t *testing.T) {
	t.Parallel()
	r := onlineRig(t, nil)
	r.reply(StreamWatch, 403, `{}`) // polls from now on
	for _, poll := range []struct {
		code int
		body string
	}{
		{404, notFoundBody}, {404, notFoundBody},
		{200, `{"metadata":{"name":"pico-config","namespace":"default","resourceVersion":"1"},"data":{"pin_1":7}}`},
		{200, `{"metadata":{"name":"pico-config","namespace":"default","resourceVersion":"2"},"data":{"pin_1":8}}`},
	} {
		for end := r.now + time.Minute; r.k.watchers[0].state != streamAsked && r.now < end; {
			r.live(time.Second, well)
		}
		r.reply(StreamWatch, poll.code, poll.body)
	}
	log := r.logText()
	for _, message := range []string{"No such ConfigMap", "ConfigMap is refused"} {
		if n := strings.Count(log, message); n != 1 {
			t.Errorf("%q was logged %d times:\n%s", message, n, log)
		}
	}
	if r.k.configsRejected != 2 {
		t.Errorf("%d refusals were counted, want 2", r.k.configsRejected)
	}
}
