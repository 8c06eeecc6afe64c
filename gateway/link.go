// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/picolet/picolet/link/noise"
	"github.com/picolet/picolet/link/noise/session"
)

// boardLink is one board's link. All that comes through it is of its node.
type boardLink struct {
	gateway  *Gateway
	session  *session.Session
	peer     session.Peer
	node     string
	addr     string
	admitted Admitted
	ending   atomic.Uint32 // noise.Reason of the first end from this side
	barred   atomic.Bool   // it ended because of its board's budget
	keys     *KeyRing
	stored   atomic.Pointer[noise.PublicKey] // of the gateway's keys, the one that the board has acknowledged
}

// end ends the link from this side, within a second, and may ask the board to wait before
// it dials again. It does not wait for the end.
func (l *boardLink) end(why noise.Reason) {
	if l.ending.CompareAndSwap(0, uint32(why)) {
		go func() { _ = l.session.EndFor(why, l.gateway.drain.delay(why)) }()
	}
}

// serve answers the board's requests until the link ends. It ends the link when
// ctx does, or when the board is to be cut off.
func (l *boardLink) serve(ctx context.Context, server *http.Server) {
	g := l.gateway
	for _, old := range g.links.add(l) {
		old.end(noise.EndReplaced)
	}
	g.log.Info("Board's link is up", l.attrs()...)
	l.announce()
	defer context.AfterFunc(ctx, func() { l.end(noise.EndShutdown) })()
	if g.drain.hasBegun() { // since then no list of links has this one
		l.end(noise.EndShutdown)
	}
	defer context.AfterFunc(l.admitted.Context, func() { l.end(l.admitted.reason()) })()
	stopTelling := l.startTelling(ctx)
	_ = server.Serve(&linkListener{link: l}) // ends with the session, whose error tells why
	stopTelling()
	l.end(noise.EndShutdown) // where the server ended first
	<-l.session.Done()
	_ = l.session.Close() // waits for what the session has started
	g.links.remove(l)
	l.tellEnd()
	l.admitted.Release()
}

// overlay is what the gateway sets on the link's node.
func (l *boardLink) overlay() *overlay {
	return &overlay{NodePart: l.admitted.Part, NodeSettings: l.gateway.config.Nodes, node: l.node}
}

func (l *boardLink) attrs(more ...any) []any {
	return append([]any{"node", l.node, "key", Fingerprint(l.peer.Key), "addr", l.addr}, more...)
}

func (l *boardLink) tellEnd() {
	err := l.session.Err()
	reason := l.endReason(err)
	l.gateway.metrics.linkEnds.WithLabelValues(reason).Inc()
	attrs := l.attrs("reason", reason, "err", err)
	if cause := context.Cause(l.admitted.Context); cause != nil {
		attrs = append(attrs, "cause", cause)
	}
	level := slog.LevelInfo
	if reason == "broken" {
		level = slog.LevelWarn
	}
	l.gateway.log.Log(context.Background(), level, "Board's link is down", attrs...)
}

// endReason is why a link ended, in a word.
func (l *boardLink) endReason(err error) string {
	switch {
	case l.barred.Load():
		return "budget"
	case errors.Is(err, noise.ErrClosed):
		return endWords[noise.Reason(l.ending.Load())]
	case errors.Is(err, noise.ErrEnded):
		return "board"
	case errors.Is(err, noise.ErrTruncated):
		return "cut"
	case errors.Is(err, noise.ErrSilent):
		return "silent"
	case errors.Is(err, noise.ErrStalled):
		return "stalled"
	}
	return "broken"
}

var endWords = map[noise.Reason]string{
	noise.EndShutdown: "shutdown", noise.EndReplaced: "replaced", noise.EndRevoked: "revoked",
	noise.EndKeyDropped: "key_dropped",
}

// ownNode is identify for the requests of a link: the node is the key's, and what
// the board says of itself may at most agree.
func (l *boardLink) ownNode(h http.Header, named string) (string, *refusal) {
	if claimed, sent := h[nodeHeader]; sent && claimed[0] != l.node || named != "" && named != l.node {
		return "", refuse(http.StatusForbidden, "other_node", "this link is node %q: it may not act for another", l.node)
	}
	if id, sent := h[boardHeader]; sent && id[0] != l.peer.Hello.BoardID {
		return "", refuse(http.StatusForbidden, "other_board", "this link is board %s: it may not act for another", l.peer.Hello.BoardID)
	}
	return l.node, nil
}

// linkListener accepts the streams that a board opens.
type linkListener struct{ link *boardLink }

var _ net.Listener = (*linkListener)(nil)

func (s *linkListener) Accept() (net.Conn, error) {
	c, err := s.link.session.Accept()
	if err != nil {
		return nil, err
	}
	s.link.gateway.connections.Add(1)
	return &boardConn{Conn: c, gateway: s.link.gateway, link: s.link}, nil
}

func (s *linkListener) Addr() net.Addr { return s.link.session.Addr() }

// Close is called when the server ends, for one link after the other.
func (s *linkListener) Close() error {
	s.link.end(noise.EndShutdown)
	return nil
}
