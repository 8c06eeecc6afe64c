// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package segment

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

const (
	// maxConnections bounds the forwarded connections of a segment. What comes
	// beyond is refused.
	maxConnections = 512
	dialTimeout    = 5 * time.Second
)

// connections are those that are forwarded at present.
type connections struct {
	mu     sync.Mutex
	open   map[*splice]struct{}
	closed bool
	active sync.WaitGroup
}

// splice is a station's connection joined to one of this machine's.
type splice struct {
	station  netip.Addr
	guest    *gonet.TCPConn
	endpoint tcpip.Endpoint // of guest
	peer     *net.TCPConn
	once     sync.Once
}

// accept is asked what becomes of a connection that a station opens. It is refused
// with a reset if the table does not name its port, or nobody listens there.
func (s *Segment) accept(r *tcp.ForwarderRequest) {
	id := r.ID()
	peer, err := s.dialPeer(id.LocalPort)
	if err != nil {
		r.Complete(true)
		s.config.Logger.Debug("Connection refused", "port", id.LocalPort, "err", err)
		return
	}
	var queue waiter.Queue
	endpoint, terr := r.CreateEndpoint(&queue)
	r.Complete(false)
	if terr != nil { // the station has not completed its handshake
		reset(peer)
		return
	}
	c := &splice{
		station: netip.AddrFrom4(id.RemoteAddress.As4()), guest: gonet.NewTCPConn(&queue, endpoint), endpoint: endpoint, peer: peer,
	}
	if !s.conns.add(c) {
		c.abort()
		return
	}
	if !s.isAttached(c.station) { // no longer
		c.abort()
	}
	go func() {
		defer s.conns.remove(c)
		c.run()
	}()
}

var (
	errNotForwarded = errors.New("the port is not in the table")
	errNotTCP       = errors.New("the target is not reached by TCP")
)

func (s *Segment) dialPeer(port uint16) (*net.TCPConn, error) {
	s.mu.Lock()
	target := s.forward[port]
	s.mu.Unlock()
	if target == "" {
		return nil, errNotForwarded
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	c, err := dialer.DialContext(s.ctx, "tcp", target)
	if err != nil {
		return nil, err
	}
	peer, ok := c.(*net.TCPConn)
	if !ok {
		return nil, errors.Join(errNotTCP, c.Close())
	}
	return peer, nil
}

// run carries bytes both ways. The end of one direction is passed on; a reset ends
// both.
func (c *splice) run() {
	var both sync.WaitGroup
	both.Go(func() { c.carry(c.peer, c.guest) })
	both.Go(func() { c.carry(c.guest, c.peer) })
	both.Wait()
	_ = c.peer.Close()
	_ = c.guest.Close()
}

// halfCloser is a TCP connection whose sending direction can be closed.
type halfCloser interface {
	io.Writer
	CloseWrite() error
}

func (c *splice) carry(to halfCloser, from io.Reader) {
	_, err := io.Copy(writerOnly{to}, readerOnly{from})
	if err == nil {
		err = to.CloseWrite()
	}
	if err != nil {
		c.abort()
	}
}

// writerOnly and readerOnly keep io.Copy from handing the loop to one of the two.
type (
	writerOnly struct{ io.Writer }
	readerOnly struct{ io.Reader }
)

// abort resets both connections.
func (c *splice) abort() {
	c.once.Do(func() {
		reset(c.peer)
		c.endpoint.Abort()
	})
}

// reset ends a connection with a reset.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}

func (cs *connections) add(c *splice) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.closed || len(cs.open) >= maxConnections {
		return false
	}
	if cs.open == nil {
		cs.open = map[*splice]struct{}{}
	}
	cs.open[c] = struct{}{}
	cs.active.Add(1)
	return true
}

func (cs *connections) remove(c *splice) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.open, c)
	cs.active.Done()
}

// abort resets the connections of a station.
func (cs *connections) abort(station netip.Addr) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for c := range cs.open {
		if c.station == station {
			c.abort()
		}
	}
}

// close resets all connections and waits for their end.
func (cs *connections) close() {
	cs.mu.Lock()
	cs.closed = true
	for c := range cs.open {
		c.abort()
	}
	cs.mu.Unlock()
	cs.active.Wait()
}
