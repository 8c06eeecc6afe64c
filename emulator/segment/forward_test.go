// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package segment_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/picolet/picolet/emulator/segment"
)

func TestConnectionsGoWhereTheTableSays(t *testing.T) {
	t.Parallel()
	addr, accepted := peer(t)
	s := newSegment(t, segment.Config{Forward: map[uint16]string{6080: addr}})
	g := newGuest(t, s, 9)
	c := g.mustDial(t, 6080)
	p := <-accepted
	defer p.Close()
	say(t, c, "from the board")
	hear(t, p, "from the board")
	say(t, p, "to the board")
	hear(t, c, "to the board")
}

func say(t *testing.T, w io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, r io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil || string(got) != want {
		t.Fatalf("heard %q, %v, want %q", got, err, want)
	}
}

func TestOtherPortsAreRefused(t *testing.T) {
	t.Parallel()
	addr, _ := peer(t)
	dead, _ := net.Listen("tcp", "127.0.0.1:0")
	_ = dead.Close()
	s := newSegment(t, segment.Config{Forward: map[uint16]string{6080: addr, 6081: dead.Addr().String()}})
	g := newGuest(t, s, 9)
	refused := func(what string, port uint16) {
		t.Helper()
		if c, err := g.dial(t, port); err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("%s: %v, %v", what, c, err)
		}
	}
	refused("a port that is not in the table", 22)
	refused("a port behind which nobody listens", 6081)
	if err := s.SetForward(6080, ""); err != nil {
		t.Fatal(err)
	}
	refused("a port taken from the table", 6080)
	if err := s.SetForward(22, addr); err != nil {
		t.Fatal(err)
	}
	g.mustDial(t, 22)
}

func TestEndOfOneDirectionIsPassedOn(t *testing.T) {
	t.Parallel()
	addr, accepted := peer(t)
	g := newGuest(t, newSegment(t, segment.Config{Forward: map[uint16]string{80: addr}}), 9)
	c := g.mustDial(t, 80)
	p := <-accepted
	defer p.Close()
	say(t, c, "question")
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(p); err != nil || string(got) != "question" {
		t.Fatalf("the peer heard %q, %v", got, err)
	}
	say(t, p, "answer")
	_ = p.CloseWrite()
	if got, err := io.ReadAll(c); err != nil || string(got) != "answer" {
		t.Fatalf("the guest heard %q, %v", got, err)
	}
}

func TestResetsArePassedOn(t *testing.T) {
	t.Parallel()
	addr, accepted := peer(t)
	s := newSegment(t, segment.Config{Forward: map[uint16]string{80: addr}})
	g := newGuest(t, s, 9)

	c, p := g.mustDial(t, 80), <-accepted
	say(t, c, "x")
	hear(t, p, "x")
	_ = p.SetLinger(0)
	_ = p.Close()
	if _, err := c.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "reset") {
		t.Errorf("the peer's reset: %v", err)
	}

	c, p = g.mustDial(t, 80), <-accepted
	defer p.Close()
	say(t, c, "x")
	hear(t, p, "x")
	g.port.Detach()
	if _, err := p.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the station's cable is pulled: %v", err)
	}
}

func TestClosingTheSegmentResetsConnections(t *testing.T) {
	t.Parallel()
	addr, accepted := peer(t)
	s := newSegment(t, segment.Config{Forward: map[uint16]string{80: addr}})
	c, p := newGuest(t, s, 9).mustDial(t, 80), <-accepted
	defer p.Close()
	say(t, c, "x")
	hear(t, p, "x")
	_ = s.Close()
	if _, err := p.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v", err)
	}
}

// TestSlowReaderHoldsTheWriterUp: what a peer does not read is not piled up here.
func TestSlowReaderHoldsTheWriterUp(t *testing.T) {
	t.Parallel()
	addr, accepted := peer(t)
	g := newGuest(t, newSegment(t, segment.Config{Forward: map[uint16]string{80: addr}}), 9)
	c, p := g.mustDial(t, 80), <-accepted
	defer p.Close()
	_ = c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	const much = 64 << 20
	n, err := c.Write(make([]byte, much))
	if err == nil || n > much/2 {
		t.Fatalf("%d bytes went nowhere, %v", n, err)
	}
	_ = c.CloseWrite()
	got, err := io.Copy(io.Discard, p)
	if err != nil || got < int64(n) {
		t.Errorf("the peer read %d bytes of %d, %v", got, n, err)
	}
}

func TestHostDialsAStation(t *testing.T) {
	t.Parallel()
	s := newSegment(t, segment.Config{})
	g := newGuest(t, s, 9)
	l := g.listen(t, 10250)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}
	}()
	c, err := s.Dial(t.Context(), netip.AddrPortFrom(g.addr, 10250))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	want := bytes.Repeat([]byte("0123456789"), 5000)
	go func() { _, _ = c.Write(want) }()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("echo of %d bytes: %v", len(got), err)
	}

	if _, err := s.Dial(t.Context(), netip.AddrPortFrom(g.addr, 1)); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("dialling a closed port: %v", err)
	}
	for _, outside := range []string{"10.42.1.2:80", "10.42.0.1:80", "127.0.0.1:80"} {
		if _, err := s.Dial(t.Context(), netip.MustParseAddrPort(outside)); err == nil || !strings.Contains(err.Error(), "no station") {
			t.Errorf("dialling %s: %v", outside, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Dial(ctx, netip.MustParseAddrPort("10.42.0.77:80")); err == nil {
		t.Error("dialled a station that is not there")
	}
}

func TestDebtsOfConnections(t *testing.T) {
	t.Parallel()
	addr, accepted := peer(t)
	s := newSegment(t, segment.Config{Forward: map[uint16]string{80: addr}})
	g := newGuest(t, s, 9)
	c, p := g.mustDial(t, 80), <-accepted
	defer p.Close()
	eventually(t, "nothing is owed on a connection that is open and silent", func() bool { return !g.owes() })
	say(t, c, "question")
	eventually(t, "an answer is owed", g.owes)
	hear(t, p, "question")
	if !g.owes() {
		t.Error("the answer is owed no more, and has not come")
	}
	say(t, p, "the head of a long answer")
	hear(t, c, "the head of a long answer")
	eventually(t, "nothing is owed after the head of the answer", func() bool { return !g.owes() })

	g.setMute(true)
	say(t, p, "what is not acknowledged")
	hear(t, c, "what is not acknowledged")
	eventually(t, "the host will say again what is not acknowledged", g.owes)
	g.setMute(false)
	eventually(t, "it has been acknowledged", func() bool { return !g.owes() })

	_ = p.SetLinger(0)
	_ = p.Close()
	eventually(t, "the end", func() bool { return !g.owes() })
}

func TestDebtsOfConnectionsFromTheHost(t *testing.T) {
	t.Parallel()
	s := newSegment(t, segment.Config{})
	g := newGuest(t, s, 9)
	l := g.listen(t, 10250)
	c, err := s.Dial(t.Context(), netip.AddrPortFrom(g.addr, 10250))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	served, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer served.Close()
	if !g.owes() {
		t.Error("the host has opened a connection and owes its question")
	}
	say(t, c, "question")
	hear(t, served, "question")
	if !g.owes() {
		t.Error("a conversation is going on")
	}
	say(t, served, "answer")
	hear(t, c, "answer")
	eventually(t, "the conversation is over", func() bool { return !g.owes() })
}

func TestDebtsExpire(t *testing.T) {
	t.Parallel()
	addr, accepted := peer(t)
	s := newSegment(t, segment.Config{Forward: map[uint16]string{80: addr}, AnswerLimit: 100 * time.Millisecond})
	g := newGuest(t, s, 9)
	c, p := g.mustDial(t, 80), <-accepted
	defer p.Close()
	say(t, c, "question")
	eventually(t, "an answer is owed", g.owes)
	eventually(t, "it is owed no more", func() bool { return !g.owes() })
}
