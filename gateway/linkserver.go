// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/picolet/picolet/link/noise"
	"github.com/picolet/picolet/link/noise/session"
)

// LinkConfig says who may open links.
type LinkConfig struct {
	// Key is the gateway's own. Required, or Keys.
	Key noise.Key

	// Keys are the gateway's own, where they can change. Optional [Key alone].
	Keys *KeyRing

	// Admission decides on boards. Required.
	Admission Admission

	// MaxHandshakes bounds the connections that are no links yet. One more closes
	// the one that has been waiting longest. Each may hold 25 KiB. Optional [2048].
	MaxHandshakes int

	// MaxHandshakesPerAddress is the same for each IP address. Optional [half of
	// MaxHandshakes].
	MaxHandshakesPerAddress int
}

// Validate reports every field that is missing or cannot be used.
func (c *LinkConfig) Validate() error {
	var errs []error
	if c.Key.Public == (noise.PublicKey{}) && c.Keys == nil {
		errs = append(errs, errors.New("field Key is required: give the gateway's key"))
	}
	if c.Admission == nil {
		errs = append(errs, errors.New("field Admission is required: say which boards may come in"))
	}
	for name, n := range map[string]int{"MaxHandshakes": c.MaxHandshakes, "MaxHandshakesPerAddress": c.MaxHandshakesPerAddress} {
		if n < 0 {
			errs = append(errs, fmt.Errorf("field %s is %d: give a positive number, or 0 for the default", name, n))
		}
	}
	return errors.Join(errs...)
}

func (c LinkConfig) withDefaults() LinkConfig {
	if c.Keys == nil {
		c.Keys = NewKeyRing(c.Key)
	}
	c.MaxHandshakes = cmp.Or(c.MaxHandshakes, 2048)
	c.MaxHandshakesPerAddress = cmp.Or(c.MaxHandshakesPerAddress, max(c.MaxHandshakes/2, 1))
	return c
}

// linkServer takes links from one listener.
type linkServer struct {
	*Gateway
	config  LinkConfig
	waiting *anteroom
	server  *http.Server
	loud    *rate.Limiter // of log lines about handshakes that failed
	running sync.WaitGroup
}

// ServeLinks takes boards' encrypted links from ln until ctx ends; then it ends them,
// all at once where Drain has not done so, and returns nil. What boards ask for is
// answered as by Serve, each as the node that its key was admitted for. It may be
// called once, beside Serve or alone.
func (g *Gateway) ServeLinks(ctx context.Context, ln net.Listener, c LinkConfig) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("configuration of links: %w", err)
	}
	if g.linksServed.Swap(true) {
		return errors.New("a Gateway takes links from one listener: make another by New")
	}
	c = c.withDefaults()
	s := &linkServer{
		Gateway: g, config: c, server: g.server(), loud: rate.NewLimiter(1, 20),
		waiting: newAnteroom(c.MaxHandshakes, c.MaxHandshakesPerAddress),
	}
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	failed := make(chan error, 2)
	s.running.Go(func() { failed <- g.standing(serving) })
	s.running.Go(func() { failed <- s.accept(serving, ln) })
	s.running.Go(func() { s.stopAccepting(ln) })
	s.running.Go(func() { s.followKeys(serving) })
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	g.drain.begin(0)
	cancel()
	g.cache.close() // ends the watches
	s.running.Wait()
	return errors.Join(err, s.server.Close())
}

// stopAccepting turns boards away that are no links yet, from when the gateway stops.
func (s *linkServer) stopAccepting(ln net.Listener) {
	<-s.drain.begun
	_ = ln.Close()
	s.waiting.close()
}

// accept takes connections until the gateway stops, and returns when ctx ends.
func (s *linkServer) accept(ctx context.Context, ln net.Listener) error {
	for pause := time.Duration(0); ; {
		c, err := ln.Accept()
		switch {
		case err == nil:
			pause = 0
			s.running.Go(func() { s.take(ctx, c) })
		case s.drain.hasBegun():
			<-ctx.Done()
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("listener for links: %w", err)
		default: // as without a free file descriptor
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.log.Warn("Cannot take a connection: trying again", "err", err)
			sleep(ctx, pause)
		}
	}
}

// take makes a link of a connection, and serves it.
func (s *linkServer) take(ctx context.Context, nc net.Conn) {
	if tcp, ok := nc.(*net.TCPConn); ok {
		_ = tcp.SetKeepAlive(false) // a link has its own, which spares the board's air
	}
	c := &linkConn{Conn: nc, metrics: s.metrics, addr: hostOf(nc.RemoteAddr())}
	shaking, cancel := context.WithCancel(ctx)
	defer cancel()
	c.cancel = cancel
	s.waiting.enter(c)
	l, err := s.shake(shaking, c)
	s.waiting.leave(c)
	s.tellHandshake(c, err)
	if err != nil {
		_ = nc.Close()
		return
	}
	l.serve(ctx, s.server)
}

// errSilent is why a connection that never said a word was closed.
var errSilent = errors.New("nothing came in time")

// shake lets a board prove its key and has Admission decide. Memory for a link is
// taken when the first byte is there.
func (s *linkServer) shake(ctx context.Context, c *linkConn) (*boardLink, error) {
	if s.links.count() >= s.Gateway.config.MaxBoards {
		return nil, errFull
	}
	if err := c.awaitFirst(noise.HandshakeTime); err != nil {
		return nil, fmt.Errorf("%w: %w", errSilent, err)
	}
	l := &boardLink{gateway: s.Gateway, addr: c.addr, keys: s.config.Keys}
	c.shaking.Store(true)
	var refused error
	var err error
	l.session, err = session.Accept(ctx, c, l.withKeys(session.Gateway{Compute: s.places.acquire, Admit: func(ctx context.Context, p session.Peer) (string, time.Duration) {
		if refused = s.admit(ctx, l, p); refused != nil {
			return refused.Error(), retryDelay(refused)
		}
		return "", 0
	}}))
	switch {
	case refused != nil:
		return nil, &refusedError{l, refused}
	case err != nil && l.admitted.Release != nil:
		l.admitted.Release()
		return nil, err
	case err != nil:
		return nil, err
	}
	if l.admitted.Heard != nil {
		c.heard.Store(&l.admitted.Heard)
	}
	return l, nil
}

func (s *linkServer) admit(ctx context.Context, l *boardLink, p session.Peer) (err error) {
	l.peer = p
	l.peer.Hello.JoinToken = "" // done with, after Admit
	if err := s.budgets.mayLink(p.Key); err != nil {
		return err
	}
	l.admitted, err = s.config.Admission.Admit(ctx, Newcomer{Key: p.Key, Hello: p.Hello, Address: l.addr, GatewayKey: p.GatewayKey})
	l.node = l.admitted.Node
	return err
}

// refusedError is a board that Admission turned away.
type refusedError struct {
	link  *boardLink
	cause error
}

func (e *refusedError) Error() string { return "refused: " + e.cause.Error() }
func (e *refusedError) Unwrap() error { return e.cause }

// tellHandshake counts a handshake, and logs one that failed, as far as strangers
// cannot fill the log by that.
func (s *linkServer) tellHandshake(c *linkConn, err error) {
	outcome := c.outcome(err)
	s.metrics.handshakes.WithLabelValues(outcome).Inc()
	if err == nil {
		return
	}
	level := slog.LevelDebug
	if !errors.Is(err, ErrTold) && s.loud.Allow() {
		level = slog.LevelWarn
	}
	attrs := []any{"addr", c.addr, "outcome", outcome, "err", err}
	if refused, ok := errors.AsType[*refusedError](err); ok {
		p := refused.link.peer
		attrs = append(attrs, "key", Fingerprint(p.Key), "node", p.Hello.NodeName, "board", p.Hello.BoardID)
	}
	s.log.Log(context.Background(), level, "No link with a board", attrs...)
}

// errFull refuses a link beyond Config.MaxBoards.
var errFull = errors.New("all links of this gateway are in use; raise --max-boards or start another gateway")

// outcome is how a handshake ended, in a word.
func (c *linkConn) outcome(err error) string {
	if err == nil {
		return "up"
	}
	if c.evicted.Load() {
		return "crowded"
	}
	if _, ok := errors.AsType[*refusedError](err); ok {
		return "refused"
	}
	for _, known := range outcomes {
		if errors.Is(err, known.err) {
			return known.word
		}
	}
	return "broken"
}

var outcomes = []struct {
	err  error
	word string
}{
	{errFull, "full"},
	{errSilent, "silent"},
	{noise.ErrHandshakeTimeout, "timeout"},
	{context.DeadlineExceeded, "timeout"},
	{context.Canceled, "shutdown"},
	{noise.ErrVersion, "garbage"},
	{noise.ErrFrameLength, "garbage"},
	{noise.ErrHandshake, "key"},
	{noise.ErrFrame, "unproved"},
	{noise.ErrHandshakeCut, "cut"},
}

// linkConn is the connection of a link: it counts bytes, and tells that the board
// is there.
type linkConn struct {
	net.Conn
	metrics *metrics
	addr    string
	first   []byte // read by awaitFirst
	heard   atomic.Pointer[func()]
	evicted atomic.Bool

	shaking atomic.Bool        // the handshake is under way
	cancel  context.CancelFunc // of the handshake
}

// evict ends a handshake for another's.
func (c *linkConn) evict() {
	c.evicted.Store(true)
	c.cancel()
	_ = c.Conn.Close()
}

// awaitFirst waits for the first byte.
func (c *linkConn) awaitFirst(limit time.Duration) error {
	if err := c.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	var b [1]byte
	if _, err := io.ReadFull(c.Conn, b[:]); err != nil {
		return err
	}
	c.first = b[:]
	_ = c.SetReadDeadline(time.Time{}) // a connection that is closed shows it when it is read
	return nil
}

// Read returns what awaitFirst has read, and then what comes.
func (c *linkConn) Read(p []byte) (n int, err error) {
	if len(c.first) > 0 {
		n = copy(p, c.first)
		c.first = c.first[n:]
	} else {
		n, err = c.Conn.Read(p)
	}
	if n > 0 {
		c.metrics.linkReceived.Add(float64(n))
		if heard := c.heard.Load(); heard != nil {
			(*heard)()
		}
	}
	return n, err
}

func (c *linkConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.metrics.linkSent.Add(float64(n))
	return n, err
}

func hostOf(addr net.Addr) string {
	host, _, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	return host
}
