// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/soypat/lneto"
	"github.com/soypat/lneto/dns"
	wire "github.com/soypat/lneto/tcp"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/firmware/network/tcp"
	"github.com/picolet/picolet/kubelet"
)

const (
	get     = "GET /healthz HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n"
	keepGet = "GET /healthz HTTP/1.1\r\nHost: b\r\n\r\n"
	metrics = "GET /metrics HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n"
)

func TestServe(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "192.0.2.1:8080").up()
	begin := l.now
	c := l.client.dial(get)
	l.until(time.Second, "the answer", func() bool { return c.eof })
	if !bytes.HasPrefix(c.got, []byte("HTTP/1.1 200 ")) || !bytes.HasSuffix(c.got, []byte("\r\n\r\nok")) {
		t.Errorf("answer is %q", c.got)
	}
	if took := l.now - begin; took > 4*l.delay {
		t.Errorf("took %v, of 1 ms a frame", took)
	}
	l.run(5 * time.Second)
	for i := range l.n.lingers {
		if l.n.lingers[i].used() {
			t.Errorf("connection lingers: %+v", l.n.lingers[i])
		}
	}
}

// An answer larger than all buffers comes whole, whatever the network does.
func TestServeWithLoss(t *testing.T) {
	t.Parallel()
	for _, loss := range []float64{0, 0.05, 0.1, 0.2} {
		for seed := range uint64(5) {
			t.Run(fmt.Sprintf("%.0f%%/%d", loss*100, seed), func(t *testing.T) {
				t.Parallel()
				l := newLAN(t, "192.0.2.1:8080")
				l.seed.Seed(seed, 0)
				l.up()
				l.loss = loss
				c := l.client.dial(metrics)
				l.until(time.Minute, "the answer", func() bool { return c.eof || c.err != nil })
				if c.err != nil && loss < 0.2 || !bytes.Contains(c.got, []byte("picolet_")) && c.err == nil {
					t.Errorf("%v after %d bytes", c.err, len(c.got))
				}
			})
		}
	}
}

// With loss, the node is registered, and its lease goes on.
func TestRegisterWithLoss(t *testing.T) {
	t.Parallel()
	for _, loss := range []float64{0.05, 0.1, 0.2} {
		for seed := range uint64(10) {
			t.Run(fmt.Sprintf("%.0f%%/%d", loss*100, seed), func(t *testing.T) {
				t.Parallel()
				l := newLAN(t, "picolet.example.org:8080")
				l.seed.Seed(seed, 0)
				l.dns.addresses, l.dns.ttl = [][4]byte{gatewayIP}, 60
				l.loss = loss
				api := newAPI()
				l.gateway.serve = api.answer
				l.n.LinkUp(0)
				l.until(30*time.Second, "the node is registered", l.registered)
				leases := api.requests["PATCH apis"]
				l.run(2 * time.Minute)
				if n := api.requests["PATCH apis"] - leases; n < 9 {
					t.Errorf("%d leases in two minutes", n)
				}
			})
		}
	}
}

func TestPipeline(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "192.0.2.1:8080").up()
	c := l.client.dial(keepGet + keepGet + get)
	l.until(20*time.Second, "three answers", func() bool { return c.eof })
	if n := bytes.Count(c.got, []byte("HTTP/1.1 200 ")); n != 3 {
		t.Errorf("%d answers: %q", n, c.got)
	}
}

// A client that sends no more may still read its answer.
func TestClientClosesHalf(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]string{"short": get, "long": metrics} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLAN(t, "192.0.2.1:8080").up()
			c := l.client.dial(request)
			c.fin = true
			l.until(10*time.Second, "the answer", func() bool { return c.eof })
			if !bytes.HasPrefix(c.got, []byte("HTTP/1.1 200 ")) || name == "long" && !bytes.HasSuffix(c.got, []byte("0\r\n\r\n")) {
				t.Errorf("answer is %q", c.got)
			}
		})
	}
}

func TestClientGoesAway(t *testing.T) {
	t.Parallel()
	tests := map[string]func(l *lan, c *peer){
		"without a request": func(_ *lan, c *peer) { c.pending = nil; c.fin = true },
		"by a reset":        func(l *lan, c *peer) { l.client.reset(c) },
		"in silence":        func(l *lan, _ *peer) { l.client.off = true },
	}
	for name, leave := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLAN(t, "192.0.2.1:8080").up()
			c := l.client.dial("GET /hea")
			l.run(10 * time.Millisecond)
			leave(l, c)
			l.run(20 * time.Second)
			for s := kubelet.StreamServed; int(s) < kubelet.NumStreams; s++ {
				if l.n.streams[s].used() {
					t.Errorf("stream %d is still in use", s)
				}
			}
		})
	}
}

func (h *host) reset(c *peer) {
	var buf [MaxFrame]byte
	h.send(h.net.sendSegment(buf[:], c.to, c.conn.Reset(), nil), buf[:])
}

// Two hundred clients at once neither harm the kubelet's own streams nor stay
// without an answer for good.
func TestManyClients(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "192.0.2.1:8080").up()
	l.run(5 * time.Second)
	streams := [2]route{l.n.streams[kubelet.StreamAPI].to, l.n.streams[kubelet.StreamWatch].to}
	for range 200 {
		l.client.dial(get)
	}
	l.run(2 * time.Minute)
	answers := map[string]int{}
	for _, c := range l.client.conns {
		if len(c.got) > 12 {
			answers[string(c.got[9:12])]++
		} else if c.err == nil {
			t.Errorf("client waits: %+v", c)
		}
	}
	// All send in step, and give up after the same number of retransmissions:
	// those that found the board full each time.
	if n := answers["200"] + answers["429"] + answers["503"]; n < 150 || answers["200"] < 40 {
		t.Errorf("%d clients of 200 were answered: %v", n, answers)
	}
	if got := [2]route{l.n.streams[kubelet.StreamAPI].to, l.n.streams[kubelet.StreamWatch].to}; got != streams {
		t.Errorf("streams to the gateway were lost: %v, were %v", got, streams)
	}
	c := l.client.dial(get)
	l.until(time.Second, "an answer afterwards", func() bool { return bytes.HasPrefix(c.got, []byte("HTTP/1.1 200 ")) })
}

// Clients that only connect take up the kubelet's connections for seconds; those
// that only send SYNs take up nothing.
func TestSynFlood(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "192.0.2.1:8080").up()
	var buf [MaxFrame]byte
	for i := range 20_000 {
		to := route{mac: boardMAC, peer: boardIP, local: uint16(i), remote: kubeletPort}
		seg := wire.Segment{SEQ: wire.Value(i), Flags: wire.FlagSYN, WND: 1000}
		size := l.client.net.sendSegment(buf[:], to, seg, nil)
		if i%100 == 0 {
			l.run(time.Millisecond)
		}
		l.n.Receive(l.now, buf[:size])
	}
	c := l.client.dial(get)
	l.until(10*time.Second, "the answer", func() bool { return c.eof })
	if l.n.State() != board.NetworkUp || l.n.state.Begun[board.NetworkUp] != 1 {
		t.Errorf("state %v, began %v", l.n.State(), l.n.state.Begun)
	}
}

// A number that the board has not given, or not lately, proves nothing.
func TestCookies(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "192.0.2.1:8080").up()
	syn := segment{Segment: wire.Segment{SEQ: 100, Flags: wire.FlagSYN, WND: 1000}, peer: clientIP, mac: l.client.net.mac, local: kubeletPort, remote: 5555}
	l.n.receiveStranger(l.now, &syn)
	cookie := l.n.refused.list[(l.n.refused.first+l.n.refused.n-1)%maxRefused].seg.SEQ
	ack := syn
	ack.Segment = wire.Segment{SEQ: 101, ACK: cookie + 1, Flags: wire.FlagACK, WND: 1000}
	tests := map[string]struct {
		change func(*segment)
		later  time.Duration
		ok     bool
	}{
		"right":         {func(*segment) {}, 0, true},
		"right later":   {func(*segment) {}, 50 * time.Second, true},
		"too late":      {func(*segment) {}, 90 * time.Second, false},
		"other number":  {func(s *segment) { s.ACK++ }, 0, false},
		"other SYN":     {func(s *segment) { s.SEQ++ }, 0, false},
		"other port":    {func(s *segment) { s.remote++ }, 0, false},
		"other address": {func(s *segment) { s.peer[3]-- }, 0, false},
	}
	for name, tt := range tests {
		n := *l.n
		in := ack
		tt.change(&in)
		n.passCookies(l.now + tt.later)
		iss, err := n.cookies.ValidateSYNCookie(in.peer[:], n.address[:], in.remote, in.local, in.SEQ-1, in.ACK)
		if (err == nil) != tt.ok || tt.ok && iss != cookie {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A segment of a connection that the board knew before its reboot is refused,
// so that the peer does not wait.
func TestStrayIsRefused(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "192.0.2.1:8080").up()
	for _, port := range []uint16{kubeletPort, 22} {
		c := l.client.dial("")
		c.conn.Accept(l.now, 1, 2, 1000)
		c.to.remote, c.pending = port, []byte(get)
		l.until(time.Second, "a RST", func() bool { return c.err != nil })
		if c.err != tcp.ErrReset {
			t.Errorf("port %d: %v", port, c.err)
		}
	}
}

func TestPing(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "192.0.2.1:8080").up()
	var buf [MaxFrame]byte
	for size, answered := range map[int]bool{8: true, 64: true, 72: true, 73: false, 1400: false} {
		body := buf[bodyStart : bodyStart+size]
		clear(body)
		body[0], body[size-1] = 8, byte(size)
		var sum lneto.CRC791
		binary.BigEndian.PutUint16(body[2:], sum.PayloadSum16(body))
		l.client.net.header(buf[:], boardMAC, clientIP, boardIP, lneto.IPProtoICMP, size)
		var reply []byte
		l.onFrame = func(toBoard bool, f []byte) bool {
			if !toBoard && f[23] == 1 {
				reply = bytes.Clone(f[bodyStart:])
			}
			return true
		}
		l.client.send(bodyStart+size, buf[:])
		l.run(10 * time.Millisecond)
		if answered != (reply != nil) || answered && (reply[0] != 0 || !bytes.Equal(reply[4:], body[4:])) {
			t.Errorf("ping of %d bytes: %x", size, reply)
		}
	}
}

func TestMDNS(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "192.0.2.1:8080").up()
	l.run(5 * time.Second)
	if n := len(l.client.udp); n != announcements {
		t.Fatalf("%d announcements", n)
	}
	question := func(name string, kind, class uint16) []byte {
		p := appendName(appendHeader(nil, 77, 0, 1, 0, 0), name)
		p = binary.BigEndian.AppendUint16(p, kind)
		return binary.BigEndian.AppendUint16(p, class)
	}
	known := appendA(append(question("pico-1.local", typeA, 1), 0xc0, dnsHeader), dnsClassIN, 100, boardIP)
	known[7] = 1
	old := bytes.Clone(known)
	binary.BigEndian.PutUint32(old[len(old)-10:], 50)
	tests := map[string]struct {
		question []byte
		from     uint16
		want     string // multicast, unicast, legacy or nothing
	}{
		"address":      {question("pico-1.local", typeA, 1), mdnsPort, "multicast"},
		"any":          {question("PICO-1.LOCAL", typeANY, 1), mdnsPort, "multicast"},
		"IPv6":         {question("pico-1.local", 28, 1), mdnsPort, "multicast"},
		"by unicast":   {question("pico-1.local", typeA, 0x8001), mdnsPort, "unicast"},
		"legacy":       {question("pico-1.local", typeA, 1), 40000, "legacy"},
		"is known":     {known, mdnsPort, "nothing"},
		"is known old": {old, mdnsPort, "multicast"},
		"other name":   {question("pico-2.local", typeA, 1), mdnsPort, "nothing"},
		"longer name":  {question("a.pico-1.local", typeA, 1), mdnsPort, "nothing"},
		"shorter name": {question("pico-1", typeA, 1), mdnsPort, "nothing"},
		"beyond local": {question("pico-1.local.org", typeA, 1), mdnsPort, "nothing"},
		"other class":  {question("pico-1.local", typeA, 3), mdnsPort, "nothing"},
		"broken":       {question("pico-1.local", typeA, 1)[:20], mdnsPort, "nothing"},
		"answer":       {append([]byte{0, 0, 0x84}, question("pico-1.local", typeA, 1)[3:]...), mdnsPort, "nothing"},
	}
	for name, tt := range tests {
		l.run(2 * time.Second)
		l.client.udp = nil
		l.client.sendUDP(tt.from, mdnsPort, multicastDNS, MulticastMAC, tt.question)
		l.run(time.Second)
		if got := mdnsAnswer(t, l.client.udp); got != tt.want {
			t.Errorf("%s: answered by %s, want %s", name, got, tt.want)
		}
	}
}

// mdnsAnswer checks that an answer tells the board's address, and says how.
func mdnsAnswer(t *testing.T, got []packet) string {
	t.Helper()
	if len(got) == 0 {
		return "nothing"
	}
	p := got[0]
	m := message(p.payload[udpSize:])
	f, _ := dns.NewFrame(m)
	off, how := dnsHeader, "unicast"
	if p.dst == multicastDNS {
		how = "multicast"
	}
	if f.QDCount() == 1 {
		how = "legacy"
		_, off, _ = m.question(off)
	}
	r, _, ok := m.record(off)
	if len(got) != 1 || !ok || r.size != 4 || [4]byte(m[r.data:r.data+4]) != boardIP || !m.nameIs(r.name, "pico-1.local") {
		t.Errorf("answers are %+v", got)
	}
	if (how == "legacy") != (f.TxID() == 77) || (how == "legacy") == (r.class == dnsClassIN|dnsFlush) {
		t.Errorf("answer by %s is %x", how, m)
	}
	return how
}

// An idle board sleeps: it is woken by what it has to do, and by frames.
func TestIdle(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "192.0.2.1:8080").up()
	l.run(time.Minute)
	polls, sent := l.polls, l.n.state.Sent
	l.run(10 * time.Minute)
	if perMinute := (l.polls - polls) / 10; perMinute > 60 {
		t.Errorf("polled %d times a minute", perMinute)
	}
	t.Logf("%d polls, %d bytes sent a minute", (l.polls-polls)/10, (l.n.state.Sent-sent)/10)
}

func TestReboot(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "192.0.2.1:8080").up()
	c := l.client.dial("POST /pico/command HTTP/1.1\r\nHost: b\r\nContent-Type: application/json\r\nContent-Length: 20\r\nConnection: close\r\n\r\n{\"command\":\"reboot\"}")
	for end := l.now + 3*time.Second; !l.n.ResetDue(l.now) && l.step(end); {
	}
	if !l.n.ResetDue(l.now) || l.now > 5*time.Second || !bytes.HasPrefix(c.got, []byte("HTTP/1.1 2")) {
		t.Errorf("at %v: due %v, answer %q", l.now, l.n.ResetDue(l.now), c.got)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	k := new(kubelet.Kubelet)
	good := Config{Kubelet: k, MAC: boardMAC, Hostname: "a", Gateway: "gw:1", Seed: 1}
	tests := map[string]struct {
		change func(*Config)
		want   error
	}{
		"good":              {func(*Config) {}, nil},
		"good address":      {func(c *Config) { c.Gateway = "10.0.0.1:65535" }, nil},
		"name with digits":  {func(c *Config) { c.Gateway = "gw-1.example.org:8080" }, nil},
		"no kubelet":        {func(c *Config) { c.Kubelet = nil }, ErrKubelet},
		"no MAC":            {func(c *Config) { c.MAC = [6]byte{} }, ErrMAC},
		"MAC of a group":    {func(c *Config) { c.MAC = MulticastMAC }, ErrMAC},
		"no hostname":       {func(c *Config) { c.Hostname = "" }, ErrHostname},
		"hostname too long": {func(c *Config) { c.Hostname = strings.Repeat("a", 64) }, ErrHostname},
		"hostname ends in.": {func(c *Config) { c.Hostname = "a." }, ErrHostname},
		"no seed":           {func(c *Config) { c.Seed = 0 }, ErrSeed},
		"no gateway":        {func(c *Config) { c.Gateway = "" }, ErrGateway},
		"no port":           {func(c *Config) { c.Gateway = "gw" }, ErrGateway},
		"port zero":         {func(c *Config) { c.Gateway = "gw:0" }, ErrGateway},
		"port too large":    {func(c *Config) { c.Gateway = "gw:65536" }, ErrGateway},
		"no host":           {func(c *Config) { c.Gateway = ":80" }, ErrGateway},
		"IPv6":              {func(c *Config) { c.Gateway = "[::1]:80" }, ErrGateway},
		"address too long":  {func(c *Config) { c.Gateway = "10.0.0.1.2:80" }, ErrGateway},
		"address too short": {func(c *Config) { c.Gateway = "10.0.1:80" }, ErrGateway},
		"address too large": {func(c *Config) { c.Gateway = "10.0.0.256:80" }, ErrGateway},
		"octal address":     {func(c *Config) { c.Gateway = "010.0.0.1:80" }, ErrGateway},
		"group address":     {func(c *Config) { c.Gateway = "224.0.0.1:80" }, ErrGateway},
	}
	for name, tt := range tests {
		c := good
		tt.change(&c)
		if n, err := New(c); err != tt.want || (n == nil) != (err != nil) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}
