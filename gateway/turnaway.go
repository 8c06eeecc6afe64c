// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"time"
)

const (
	// maxTurnedAway bounds the connections that are told why they are closed; further
	// ones are closed at once.
	maxTurnedAway = 64
	turnAwayTime  = 5 * time.Second
	maxDiscarded  = 64 << 10 // bytes
	retryTurned   = 10       // seconds
)

// turnAway tells a connection beyond the limits why it is closed. It does not wait for
// that.
func (l *boardListener) turnAway(c net.Conn) {
	l.gateway.metrics.refused.WithLabelValues("connections").Inc()
	if l.turnedAway.Add(1) > maxTurnedAway {
		l.turnedAway.Add(-1)
		_ = c.Close()
		return
	}
	go func() {
		defer l.turnedAway.Add(-1)
		defer c.Close()
		answerOnce(c, unavailable("connections", retryTurned, "all connections that this gateway takes are in use: try again later, or start another gateway"))
	}()
}

// answerOnce answers the first request on a connection without having read all of it.
// What is unread when a connection is closed has it reset, which can cost the board the
// answer (RFC 9112, section 9.6): so the rest is read first, as far as it comes in time.
func answerOnce(c net.Conn, r *refusal) {
	_ = c.SetDeadline(time.Now().Add(turnAwayTime))
	if n, err := c.Read(make([]byte, 1<<10)); n == 0 || err != nil {
		return // before a request no answer is expected
	}
	if _, err := c.Write(r.response()); err != nil {
		return
	}
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(c, maxDiscarded))
}

// response is the refusal as a whole answer, after which the connection ends.
func (r *refusal) response() []byte {
	body := r.status().JSON()
	answer := http.Response{
		StatusCode: r.code, ProtoMajor: 1, ProtoMinor: 1, Close: true,
		Header:        http.Header{"Content-Type": {jsonType}},
		ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)),
	}
	r.setRetryAfter(answer.Header)
	var raw bytes.Buffer
	_ = answer.Write(&raw) // a buffer takes everything
	return raw.Bytes()
}
