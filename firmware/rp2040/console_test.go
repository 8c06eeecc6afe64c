// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package rp2040

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/picolet/picolet/kubelet/logring"
)

// fakePort takes so many bytes, and then no more.
type fakePort struct {
	room int
	said strings.Builder
}

func (p *fakePort) ready() bool { return p.room > 0 }
func (p *fakePort) put(b byte)  { p.room--; p.said.WriteByte(b) }

func TestConsoleWritesTheLogAsThePortTakesIt(t *testing.T) {
	t.Parallel()
	var ring logring.Ring
	ring.Configure(make([]byte, 512))
	c := Console{Ring: &ring}
	p := &fakePort{room: 10}
	if c.poll(p) || p.said.Len() > 0 {
		t.Error("an empty log says something")
	}
	ring.Begin(time.Second, 0, logring.Info, "One").End()
	ring.Begin(2*time.Second, 0, logring.Warn, "Two").End()
	polls := 0
	for c.poll(p) {
		polls++
		p.room = 10
	}
	if want := "+1.000s INFO msg=\"One\"\r\n+2.000s WARN msg=\"Two\"\r\n"; p.said.String() != want || polls < 3 {
		t.Errorf("after %d polls the port has %q, want %q", polls, p.said.String(), want)
	}
}

func TestConsoleSaysWhatItLost(t *testing.T) {
	t.Parallel()
	var ring logring.Ring
	ring.Configure(make([]byte, 128))
	c := Console{Ring: &ring}
	p := &fakePort{room: 5}
	for i := range int64(20) {
		ring.Begin(0, 0, logring.Info, "Entry").Int("n", i).End()
		c.poll(p)
	}
	p.room = 1 << 20
	if c.poll(p) {
		t.Error("something is left though the port takes all")
	}
	lines := strings.Split(strings.TrimSuffix(p.said.String(), "\r\n"), "\r\n")
	kept := int(ring.Last() - ring.First() + 1)
	if len(lines) != kept+2 || !strings.HasSuffix(lines[0], "n=0") || lines[1] != fmt.Sprintf("... %d lines lost", 19-kept) || !strings.HasSuffix(lines[len(lines)-1], "n=19") {
		t.Errorf("the port has %q, want the first line, what was lost, and the %d last", lines, kept)
	}
}

// TestConsoleAllocatesNothing, for the longest line there is.
func TestConsoleAllocatesNothing(t *testing.T) {
	var ring logring.Ring
	ring.Configure(make([]byte, 1024))
	c := Console{Ring: &ring}
	long := strings.Repeat("x", 2*logring.MaxText)
	p := &countingPort{}
	if n := testing.AllocsPerRun(100, func() {
		ring.Begin(0, 1_800_000_000_000_000, logring.Error, long).End()
		c.poll(p)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if p.n < 100*logring.MaxText {
		t.Errorf("%d bytes came out of 100 lines of more than %d", p.n, logring.MaxText)
	}
}

// countingPort takes everything.
type countingPort struct{ n int }

func (p *countingPort) ready() bool { return true }
func (p *countingPort) put(byte)    { p.n++ }
