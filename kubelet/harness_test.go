// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/picolet/picolet/board"
)

// testBoard is a board whose every value a test sets.
type testBoard struct {
	readings board.Readings
	network  board.NetworkReadings
	pins     [30]board.PinState
	led      bool
	volts    map[int]uint16 // thousandths
	record   []byte
	saveErr  error
	loadErr  error
	saves    int
	rejected int // pins that could not be set
	pinsRead int
}

func (b *testBoard) Read(_ time.Duration, r *board.Readings)               { *r = b.readings }
func (b *testBoard) ReadNetwork(_ time.Duration, r *board.NetworkReadings) { *r = b.network }

func (b *testBoard) Count() int     { return len(b.pins) }
func (b *testBoard) SetLED(on bool) { b.led = on }
func (b *testBoard) LED() bool      { return b.led }

func (b *testBoard) SetPin(pin int, s board.PinState) error {
	switch {
	case pin >= 23 && pin <= 25:
		b.rejected++
		return board.ErrNoPin
	case pin == 22 && s.Mode == board.PinPWM:
		b.rejected++
		return board.ErrNoPWM
	}
	b.pins[pin] = s
	return nil
}

func (b *testBoard) Pin(pin int) (board.PinState, error) {
	b.pinsRead++
	if pin >= 23 && pin <= 25 {
		return board.PinState{}, board.ErrNoPin
	}
	return b.pins[pin], nil
}

func (b *testBoard) Millivolts(pin int) (uint16, error) {
	v, ok := b.volts[pin]
	if !ok {
		return 0, board.ErrNoPin
	}
	return v, nil
}

func (b *testBoard) Load(p []byte) (int, error) { return copy(p, b.record), b.loadErr }

func (b *testBoard) Save(p []byte) error {
	if b.saveErr == nil {
		b.record = append(b.record[:0], p...)
		b.saves++
	}
	return b.saveErr
}

func newTestBoard() *testBoard {
	return &testBoard{readings: board.Readings{
		HeapUsed: 60 << 10, HeapPeak: 70 << 10, HeapTotal: 232 << 10, StackUnused: 1400, FlashUsed: 700 << 10, FlashTotal: 2 << 20,
		CPUTime: 1500 * time.Millisecond, HasCPUTime: true,
		TemperatureMilli: 27125, HasTemperature: true, RSSI: -61, HasRSSI: true,
	}, network: board.NetworkReadings{
		State: board.NetworkUp, Begun: [board.NumNetworkStates]uint32{board.NetworkOff: 1, board.NetworkNoAddress: 1, board.NetworkUp: 1},
		Sent: 5120, Received: 6144,
	}, volts: map[int]uint16{26: 805, 27: 0, 28: 3300}}
}

func (b *testBoard) config() Config {
	return Config{
		NodeName: "pico-1", Host: "gateway:6080", Version: "v1.37.2", Seed: 1,
		Board: board.Board{
			Facts: board.Facts{
				Model: "test", ID: "test-0001", SystemUUID: "5b2c7c1e-0000-4000-8000-000000000001", BootID: "boot-2",
				KernelVersion: "none", OSImage: "picolet test board", ResetReason: "power-on",
				Cores: 2, ClockKHz: 133000, MemoryBytes: 264 << 10, FlashBytes: 2 << 20,
			},
			Sensors: b, Pins: b, Analog: b, LED: b, Storage: b, Network: b,
		},
	}
}

// rig drives a kubelet by hand and writes down what it does.
type rig struct {
	t     testing.TB
	k     *Kubelet
	board *testBoard
	now   time.Duration
	out   Output // not yet done
	said  strings.Builder
	full  bool // write bodies down
	net   bool // dials succeed at once
	asked bool // a request was read since the last advance

	head, body string // of the last request
}

func newRig(t testing.TB, change func(c *Config)) *rig {
	r := &rig{t: t, k: new(Kubelet), board: newTestBoard()}
	r.boot(change)
	return r
}

// boot starts a new kubelet on the same board.
func (r *rig) boot(change func(c *Config)) {
	r.t.Helper()
	c := r.board.config()
	if change != nil {
		change(&c)
	}
	r.k = new(Kubelet)
	if err := r.k.Configure(c); err != nil {
		r.t.Fatal(err)
	}
	r.now = 0
	r.k.SetAddress(r.now, "192.0.2.7")
	r.k.Start(r.now)
	r.act()
}

func streamName(s Stream) string {
	switch {
	case s == StreamAPI:
		return "api"
	case s < StreamServed:
		return fmt.Sprintf("watch%d", s-StreamWatch)
	}
	return fmt.Sprintf("served%d", s-StreamServed)
}

func (r *rig) stream(name string) Stream {
	for s := range Stream(NumStreams) {
		if streamName(s) == name {
			return s
		}
	}
	r.t.Fatalf("no stream %q", name)
	return 0
}

func (r *rig) sayf(format string, args ...any) {
	fmt.Fprintf(&r.said, "%9.3f ", r.now.Seconds())
	fmt.Fprintf(&r.said, format, args...)
	r.said.WriteByte('\n')
}

// act does what the kubelet's output asks for, but for dials, which the test
// answers, and reads the requests.
func (r *rig) act() {
	r.t.Helper()
	out := r.k.Output()
	r.out = out
	for s := range Stream(NumStreams) {
		if out.Close.Has(s) {
			r.sayf("close %s", streamName(s))
		}
		if out.Dial.Has(s) {
			r.sayf("dial %s", streamName(s))
		}
	}
	for s := range Stream(NumStreams) {
		if out.Dial.Has(s) && r.net {
			r.open(s)
		}
		if out.Send.Has(s) && s < StreamServed && len(r.k.Pending(s)) > 0 {
			r.readRequest(s)
		}
	}
	if out.Reset {
		r.sayf("reset")
	}
	if r.out.Wake <= r.now && len(r.k.Pending(StreamAPI)) == 0 {
		r.t.Fatalf("%v: Wake is %v: the kubelet would never sleep", r.now, r.out.Wake)
	}
}

// request is what a kubelet asked, as parseRequest reads it: net/http where there
// is one.
type request struct {
	method, uri, contentType string
	body                     []byte
}

// readRequest takes a request off a stream and writes it down.
func (r *rig) readRequest(s Stream) {
	raw := bytes.Clone(r.k.Pending(s))
	req, err := parseRequest(raw)
	if err != nil {
		r.t.Fatalf("request on %s is not HTTP: %v\n%s", streamName(s), err, raw)
	}
	r.asked = true
	r.head, r.body = string(raw[:len(raw)-len(req.body)]), string(req.body)
	r.sayf("%s %s %s", streamName(s), req.method, req.uri)
	if len(req.body) > 0 {
		r.sayBody(req.contentType, req.body)
	}
	r.k.Sent(r.now, s, len(raw))
	r.act()
}

func (r *rig) sayBody(contentType string, body []byte) {
	var indented bytes.Buffer
	if err := json.Indent(&indented, body, "            ", "  "); err != nil {
		r.t.Fatalf("body is not JSON: %v\n%s", err, body)
	}
	if r.full {
		fmt.Fprintf(&r.said, "            %s\n            %s\n", contentType, indented.Bytes())
		return
	}
	fmt.Fprintf(&r.said, "            %s, %d bytes\n", contentType, len(body))
}

// open answers a dial.
func (r *rig) open(s Stream) {
	r.k.Opened(r.now, s)
	r.act()
}

// receive gives the kubelet bytes, size at a time; 0 for all at once.
func (r *rig) receive(s Stream, p []byte, size int) {
	for len(p) > 0 {
		n := len(p)
		if size > 0 {
			n = min(n, size)
		}
		taken := r.k.Receive(r.now, s, p[:n])
		r.act()
		if taken == 0 {
			return
		}
		p = p[taken:]
	}
}

// advance lets time pass, with a tick whenever one is asked for; to the next
// request, if stop is set.
func (r *rig) advance(d time.Duration, stop bool) {
	r.asked = false
	for end := r.now + d; ; {
		wake := max(r.out.Wake, r.now)
		if stop && r.asked {
			return
		}
		if wake > end {
			r.now = end
			return
		}
		r.now = wake
		r.k.Tick(r.now)
		r.act()
	}
}

// startOfTests is the time of day at the boot of every test.
var startOfTests = time.Date(2026, 2, 28, 23, 59, 50, 0, time.UTC)

// dateLayout is that of the Date header.
const dateLayout = "Mon, 02 Jan 2006 15:04:05 GMT"

// response is an HTTP response with a Date that fits the rig's time.
func (r *rig) response(code int, header, body string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 %d reason\r\nDate: %s\r\nContent-Type: application/json\r\n", code, startOfTests.Add(r.now).Format(dateLayout))
	if !strings.Contains(header, "Transfer-Encoding") {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	for line := range strings.Lines(header) {
		b.WriteString(strings.TrimSpace(line) + "\r\n")
	}
	return []byte(b.String() + "\r\n" + body)
}

// reply answers the request under way.
func (r *rig) reply(s Stream, code int, body string) {
	r.receive(s, r.response(code, "", body), 0)
}

// logText is the kubelet's log.
func (r *rig) logText() string {
	var b []byte
	for cursor := uint64(0); ; {
		e, ok := r.k.Log().Next(cursor)
		if !ok {
			return string(b)
		}
		cursor = e.Seq
		b = append(e.AppendText(b), '\n')
	}
}

// Answers of an API server.
const (
	notFoundBody = `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"not found","reason":"NotFound","code":404}`
	createdNode  = `{"kind":"Node","apiVersion":"v1","metadata":{"name":"pico-1","uid":"11111111-2222-3333-4444-555555555555","resourceVersion":"7"}}`
	createdLease = `{"kind":"Lease","metadata":{"name":"pico-1","resourceVersion":"8"},"spec":{"holderIdentity":"pico-1"}}`
)

// ready brings a rig to where the node is registered and the lease is kept.
func (r *rig) ready() {
	if !r.net {
		r.open(StreamAPI)
	}
	r.reply(StreamAPI, 404, notFoundBody)
	r.reply(StreamAPI, 201, createdNode)
	r.reply(StreamAPI, 404, notFoundBody)
	r.reply(StreamAPI, 201, createdLease)
	for i := 0; r.k.events.n > 0 && i < 2*maxEvents; i++ {
		r.reply(StreamAPI, 201, `{"kind":"Event"}`)
	}
	if r.k.registered != done || r.k.lease != keepLease {
		r.t.Fatalf("not ready:\n%s\n%s", r.said.String(), r.logText())
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
