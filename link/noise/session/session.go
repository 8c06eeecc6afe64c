// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/picolet/picolet/link"
	"github.com/picolet/picolet/link/noise"
)

// Sizes in bytes of what a session holds.
const (
	readChunk = 2048
	maxOut    = 4096 // frames gathered for one Write; one more may come on top

	// DefaultMemory is the default of Board.Memory and Gateway.Memory.
	DefaultMemory = 12 << 10
)

// farewellTime bounds how long Close waits for the peer to take what is pending.
const farewellTime = 500 * time.Millisecond

// Board is what the board's end of a session needs.
type Board struct {
	Key        noise.Key       // Required
	GatewayKey noise.PublicKey // Required
	Hello      noise.Hello     // Required
	Memory     int             // Optional [12 KiB]: of received data in all streams; see noise.Buffers
	Idle       time.Duration   // Optional [15s]: see noise.Config

	// Optional [announcements are ignored]: stores a key that the gateway has announced,
	// and reports whether it did. It must return at once, and call no method of the
	// session.
	Store func(a noise.Announcement) bool
}

// Peer is a board that has proved its key.
type Peer struct {
	Key   noise.PublicKey
	Hello noise.Hello // what the board says of itself; unchecked

	// GatewayKey is that of the gateway's keys by which the board knows it.
	GatewayKey noise.PublicKey
}

// Gateway is what the gateway's end of a session needs.
type Gateway struct {
	Key      noise.Key   // Required
	MoreKeys []noise.Key // Optional [none]: see noise.Config

	// Required: decides on a board that has proved its key. It returns "" to
	// admit it, and otherwise what the board shall log: up to noise.MaxRefusal
	// bytes of printable ASCII; and how long it shall wait before it dials again, 0
	// to leave that to the board. ctx ends with the handshake's time.
	Admit func(ctx context.Context, p Peer) (refusal string, delay time.Duration)

	// Optional [no bound]: waits until the session may compute with a message of the
	// handshake, and returns an error when ctx ends, which it does with the session.
	// done is called right after the computation.
	Compute func(ctx context.Context) (done func(), err error)

	// Optional [none]: is called when the board has stored the key of an Announce. It
	// must return at once, and call no method of the session.
	Acknowledged func(a noise.Announcement)

	Memory int           // Optional [12 KiB]: of received data in all streams; see noise.Buffers
	Idle   time.Duration // Optional [15s]: see noise.Config
}

// Session is one encrypted connection with its streams. Its methods are safe for
// use by several goroutines.
type Session struct {
	conn   net.Conn
	board  bool // this end is the board's
	peer   Peer
	booted time.Time
	ctx    context.Context // ends with the link
	cancel context.CancelFunc

	running atomic.Int32  // goroutines
	gone    chan struct{} // closed by the last

	compute func(context.Context) (done func(), err error) // nil: at any time; the reader's

	mu sync.Mutex
	// Each wakes only those whom a change concerns: all use mu.
	changed sync.Cond // the handshake, or which streams are open or can be
	pending sync.Cond // out has something, or the session has ended
	readers [noise.NumStreams]sync.Cond
	writers [noise.NumStreams]sync.Cond
	opening int  // calls that wait for a free stream
	up      bool // at the last update

	link    noise.Link
	onStore func(noise.Announcement) bool // Board.Store, or Gateway.Acknowledged
	err     error                         // why the session ended; set before ctx ends
	cause   error                         // what the connection said
	out     []byte
	spare   []byte
	alarm   *time.Timer   // for the link's Tick
	waiting noise.Streams // writers that wait for room

	deadline *time.Timer // of the end: see hasten
}

var (
	_ net.Listener = (*Session)(nil)
	_ link.Dialer  = (*Session)(nil)
)

// Dial does the board's part of the handshake on conn, which it closes at the end of
// the session or on failure.
func Dial(ctx context.Context, conn net.Conn, b Board) (*Session, error) {
	s, err := start(conn, noise.Config{
		Role: noise.Board, Key: b.Key, GatewayKey: b.GatewayKey, Hello: b.Hello, Idle: b.Idle,
	}, b.Memory, nil)
	if err != nil {
		return nil, err
	}
	s.peer.Key = b.GatewayKey
	s.setStore(b.Store)
	return s.established(ctx)
}

// Accept does the gateway's part of the handshake on conn, which it closes at the end
// of the session or on failure.
func Accept(ctx context.Context, conn net.Conn, g Gateway) (*Session, error) {
	if g.Admit == nil {
		_ = conn.Close()
		return nil, noise.ErrConfig
	}
	s, err := start(conn, noise.Config{Role: noise.Gateway, Key: g.Key, MoreKeys: g.MoreKeys, Idle: g.Idle}, g.Memory, g.Compute)
	if err != nil {
		return nil, err
	}
	if g.Acknowledged != nil {
		s.setStore(func(a noise.Announcement) bool { g.Acknowledged(a); return true })
	}
	s.decide(ctx, g.Admit)
	return s.established(ctx)
}

func start(conn net.Conn, c noise.Config, memory int, compute func(context.Context) (func(), error)) (*Session, error) {
	if memory == 0 {
		memory = DefaultMemory
	}
	c.Random = rand.Reader
	c.Receive = noise.Buffers(make([]byte, max(memory, 0)))
	s := &Session{conn: conn, board: c.Role == noise.Board, booted: time.Now(), gone: make(chan struct{}), compute: compute}
	s.changed.L, s.pending.L = &s.mu, &s.mu
	for i := range s.readers {
		s.readers[i].L, s.writers[i].L = &s.mu, &s.mu
	}
	if err := s.link.Configure(c); err != nil {
		_ = conn.Close()
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.link.Start(s.now())
	s.alarm = time.AfterFunc(time.Hour, s.tick)
	s.update()
	s.running.Store(2)
	go s.read()
	go s.write()
	return s, nil
}

// decide asks admit about the board, when it has proved its key.
func (s *Session) decide(ctx context.Context, admit func(context.Context, Peer) (string, time.Duration)) {
	if s.wait(ctx, s.link.Asking) != nil {
		return
	}
	s.mu.Lock()
	s.peer = Peer{Key: s.link.Peer(), Hello: s.link.Hello(), GatewayKey: s.link.OwnKey()}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, noise.HandshakeTime)
	defer cancel()
	refusal, delay := admit(ctx, s.peer)
	s.mu.Lock()
	defer s.mu.Unlock()
	if refusal == "" {
		s.link.Admit(s.now())
	} else {
		s.link.SetDelay(delay)
		s.link.Refuse(s.now(), refusal)
	}
	s.update()
}

// established waits for the end of the handshake.
func (s *Session) established(ctx context.Context) (*Session, error) {
	if err := s.wait(ctx, s.link.Up); err != nil {
		s.abort(err)
		return nil, fmt.Errorf("no link with %s: %w", s.conn.RemoteAddr(), err)
	}
	return s, nil
}

// wait returns nil when is, called with the lock held, says so, and an error when the
// session or ctx ended before.
func (s *Session) wait(ctx context.Context, is func() bool) error {
	defer context.AfterFunc(ctx, func() { s.wake(&s.changed) })()
	s.mu.Lock()
	defer s.mu.Unlock()
	for !is() {
		if s.err != nil {
			return s.err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		s.changed.Wait()
	}
	return nil
}

// wake lets those look again who wait for c.
func (s *Session) wake(c *sync.Cond) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.Broadcast()
}

// now is the link's time.
func (s *Session) now() time.Duration { return time.Since(s.booted) }

// tick is called by the alarm.
func (s *Session) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.link.Tick(s.now())
	s.update()
}

// update follows every input of the link: it gathers what is to be written, sets the
// alarm and wakes whom the change concerns.
func (s *Session) update() {
	s.announcements()
	s.gather()
	if err := s.link.Err(); err != nil && s.err == nil {
		s.finish(err)
	}
	if s.err != nil {
		s.wakeAll()
		return
	}
	o := s.link.Output()
	s.alarm.Reset(o.Wake - s.now())
	if len(s.out) > 0 {
		s.pending.Signal()
	}
	if o.Offered || s.opening > 0 || !s.up {
		s.changed.Broadcast()
	}
	s.up = s.link.Up()
	s.wakeStreams(o)
}

func (s *Session) wakeStreams(o noise.Output) {
	closed := o.Finished | o.Reset
	for id := range noise.Stream(noise.NumStreams) {
		if (o.Data | closed).Has(id) {
			s.readers[id].Broadcast()
		}
		if closed.Has(id) {
			s.writers[id].Broadcast()
		}
	}
	s.wakeWriter(o)
}

// wakeWriter lets the writer go on whose turn it is, if there is room.
func (s *Session) wakeWriter(o noise.Output) {
	if next := s.first(o); next != noise.NumStreams && len(s.out) < maxOut {
		s.writers[next].Broadcast()
	}
}

func (s *Session) wakeAll() {
	s.changed.Broadcast()
	s.pending.Broadcast()
	for i := range s.readers {
		s.readers[i].Broadcast()
		s.writers[i].Broadcast()
	}
}

// gather seals frames, as long as one Write holds them.
func (s *Session) gather() {
	for len(s.out) < maxOut {
		p := s.link.Pending()
		if len(p) == 0 {
			return
		}
		s.out = append(s.out, p...)
		s.link.Sent(s.now(), len(p))
	}
}

// finish notes why the session ended.
func (s *Session) finish(err error) {
	switch {
	case errors.Is(err, noise.ErrRefused) && s.link.Refusal() != "":
		err = fmt.Errorf("%w: %s", err, s.link.Refusal())
	case errors.Is(err, noise.ErrEnded):
		err = fmt.Errorf("%w: %s", err, s.link.Reason())
	case s.cause != nil:
		err = fmt.Errorf("%w: %w", err, s.cause)
	}
	s.err = err
	s.hasten()
	s.alarm.Stop()
	s.cancel()
}

// hasten closes the connection after farewellTime, if its last words are not out
// before.
func (s *Session) hasten() {
	if s.deadline == nil {
		s.deadline = time.AfterFunc(farewellTime, func() { _ = s.conn.Close() })
	}
}

// Done is closed when the session has ended; then Err tells why.
func (s *Session) Done() <-chan struct{} { return s.ctx.Done() }

// Err tells why the session has ended, nil while it has not: one of the errors of
// package noise, perhaps with more.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Peer is the other end: on a board, its Hello is empty.
func (s *Session) Peer() Peer { return s.peer }

// Addr is the local address of the connection.
func (s *Session) Addr() net.Addr { return s.conn.LocalAddr() }

// Close ends the session as a program does that stops.
func (s *Session) Close() error { return s.End(noise.EndShutdown) }

// End ends the session and tells the peer why, if it still reads. It returns within
// a second, when all that the session started has ended; without that only where the
// connection does not end by its Close.
func (s *Session) End(why noise.Reason) error { return s.EndFor(why, 0) }

// EndFor is End, and asks the peer to wait so long before it dials again; 0 leaves that to
// the peer. See noise.Link.SetDelay.
func (s *Session) EndFor(why noise.Reason, delay time.Duration) error {
	s.mu.Lock()
	s.link.SetDelay(delay)
	s.link.End(s.now(), why)
	s.hasten()
	s.update()
	s.mu.Unlock()
	s.waitGone()
	return nil
}

// abort ends the session without a word.
func (s *Session) abort(err error) {
	s.mu.Lock()
	if s.err == nil {
		s.finish(err)
	}
	s.wakeAll()
	s.mu.Unlock()
	s.waitGone()
}

// ended is called by each goroutine at its end.
func (s *Session) ended() {
	if s.running.Add(-1) == 0 {
		close(s.gone)
	}
}

// waitGone waits for the goroutines to end, a second at most.
func (s *Session) waitGone() {
	late := time.NewTimer(2 * farewellTime)
	defer late.Stop()
	select {
	case <-s.gone:
	case <-late.C:
	}
}
