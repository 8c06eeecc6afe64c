// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"

	"github.com/picolet/picolet/emulator/segment"
)

// Net is a board's network: the cable between its access point and the segment.
type Net struct {
	board *Board

	mu      sync.Mutex
	port    *segment.Port
	settled uint32 // frames of the board that the segment has dealt with
	owes    bool
}

var _ segment.Station = (*Net)(nil)

func (n *Net) init(b *Board) { n.board = b }

func (n *Net) attach(s *segment.Segment) {
	if s == nil {
		return
	}
	p := s.Attach(n)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.port = p
}

func (n *Net) detach() {
	n.mu.Lock()
	p := n.port
	n.port = nil
	n.mu.Unlock()
	if p != nil {
		p.Detach()
	}
}

// fromBoard carries a frame of the board to the segment, and tells the board's process
// when the segment has dealt with it.
func (n *Net) fromBoard(frame []byte) {
	n.mu.Lock()
	p := n.port
	n.mu.Unlock()
	if p != nil {
		p.Send(frame)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.settled++
	n.tell()
}

// Receive implements segment.Station.
func (n *Net) Receive(frame []byte) {
	n.board.process.put(appendMessage(nil, kindFrame, frame), true)
}

// Owes implements segment.Station.
func (n *Net) Owes(owes bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.owes = owes
	n.tell()
}

func (n *Net) tell() {
	state := binary.BigEndian.AppendUint32(nil, n.settled)
	if n.owes {
		state = append(state, 1)
	} else {
		state = append(state, 0)
	}
	n.board.process.put(appendMessage(nil, kindSettled, state), false)
}

var errNoLease = errors.New("the board has no address by DHCP")

// Addr is the address that DHCP has given the board, if it has one.
func (n *Net) Addr() (netip.Addr, bool) {
	c := n.board.config
	if c.Segment == nil {
		return netip.Addr{}, false
	}
	return c.Segment.LeaseOf(c.MAC)
}

// Dial opens a TCP connection from the segment's host to a port of the board. On its
// way are the faults of the air.
func (n *Net) Dial(ctx context.Context, port uint16) (net.Conn, error) {
	a, ok := n.Addr()
	if !ok {
		return nil, fmt.Errorf("dial port %d: %w", port, errNoLease)
	}
	return n.board.config.Segment.Dial(ctx, netip.AddrPortFrom(a, port))
}

// Transport reaches the board by HTTP, whatever host a URL names. Connections are not
// kept.
func (n *Net) Transport() *http.Transport {
	return &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			_, p, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, err
			}
			port, err := strconv.ParseUint(p, 10, 16)
			if err != nil {
				return nil, err
			}
			return n.Dial(ctx, uint16(port))
		},
	}
}
