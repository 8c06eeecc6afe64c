// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Limits of what is asked of a board. It works on five connections, and gives
// its own clients 5 s.
const (
	boardTimeout  = 15 * time.Second // for a request with its answer
	queueTimeout  = 5 * time.Second  // for the board to have time
	idleToBoard   = 5 * time.Second  // less than the 15 s after which a board closes
	maxBoardHead  = 8 << 10          // bytes of an answer's head
	maxBoardBody  = 4 << 20          // bytes of its body
	maxBuffered   = 64 << 10         // bytes that are read before the client gets any
	boardReadSize = 2 << 10
)

// boardClient asks boards over HTTP/1.1.
type boardClient struct {
	transport *http.Transport
}

// newBoardClient makes a client that opens as many connections to a board as
// it works on requests.
func newBoardClient(boards Boards, perBoard int) *boardClient {
	return &boardClient{transport: &http.Transport{
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			node, _, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, err
			}
			return boards.Dial(ctx, node)
		},
		MaxConnsPerHost:        perBoard,
		MaxIdleConnsPerHost:    1,
		IdleConnTimeout:        idleToBoard,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxBoardHead,
		ReadBufferSize:         boardReadSize,
		WriteBufferSize:        boardReadSize,
	}}
}

func (b *boardClient) close() { b.transport.CloseIdleConnections() }

// boardRequest is what is asked of a board. It is made from the table of
// routes: nothing of a client's head gets into it.
type boardRequest struct {
	method, path string
	query        url.Values
	body         []byte
}

// boardAnswer is what a board said. A short one is read to its end, so that the
// board need not wait for the client; a long one goes on in rest.
type boardAnswer struct {
	code        int
	contentType string
	head        []byte
	rest        io.Reader // nil: head is all
	close       func()
}

// ask sends a request to the board of p, when its turn comes. The caller closes
// the answer.
func (s *Server) ask(ctx context.Context, p *port, q boardRequest) (*boardAnswer, *refusal) {
	queue, stop := context.WithTimeout(ctx, queueTimeout)
	defer stop()
	if !take(queue, p.busy) {
		return nil, busy("the board of node %s is busy with %d other requests: try again later", p.node.Name, cap(p.busy))
	}
	ctx, cancel := context.WithTimeout(ctx, boardTimeout)
	release := func() {
		cancel()
		<-p.busy
	}
	a, err := s.boards.do(ctx, p, q)
	if err != nil {
		timedOut := errors.Is(ctx.Err(), context.DeadlineExceeded) || isTimeout(err)
		release()
		return nil, noAnswer(p.node.Name, timedOut, err)
	}
	closeBody := a.close
	a.close = func() {
		closeBody()
		release()
	}
	if a.rest == nil {
		a.close()
		a.close = func() {}
	}
	return a, a.check(p.node.Name)
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

func noAnswer(node string, timedOut bool, err error) *refusal {
	if timedOut {
		return refuse(http.StatusGatewayTimeout, "the board of node %s did not answer in time", node).because(err)
	}
	return refuse(http.StatusBadGateway, "the board of node %s does not answer", node).because(err)
}

// check refuses answers that are not the client's business.
func (a *boardAnswer) check(node string) *refusal {
	switch {
	case a.code < 200 || a.code/100 == 3 || a.code == http.StatusUnauthorized: // through its link a board asks for no token
		a.close()
		return refuse(http.StatusBadGateway, "the board of node %s gave the answer %d, which a linked board does not give", node, a.code)
	}
	return nil
}

func (b *boardClient) do(ctx context.Context, p *port, q boardRequest) (*boardAnswer, error) {
	u := url.URL{Scheme: "http", Host: p.node.Name, Path: q.path, RawQuery: q.query.Encode()}
	r, err := http.NewRequestWithContext(ctx, q.method, u.String(), bytes.NewReader(q.body))
	if err != nil {
		return nil, err
	}
	r.Header["User-Agent"] = nil // a board reads none: save its air
	if len(q.body) > 0 {
		r.Header.Set("Content-Type", jsonType)
	}
	resp, err := b.transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	return readAnswer(resp)
}

// readAnswer reads the first part of an answer's body.
func readAnswer(resp *http.Response) (*boardAnswer, error) {
	a := &boardAnswer{
		code: resp.StatusCode, contentType: resp.Header.Get("Content-Type"),
		close: func() { _ = resp.Body.Close() },
	}
	var err error
	if a.head, err = io.ReadAll(io.LimitReader(resp.Body, maxBuffered)); err != nil {
		a.close()
		return nil, fmt.Errorf("its answer was cut: %w", err)
	}
	if len(a.head) == maxBuffered {
		a.rest = &bounded{r: resp.Body, left: maxBoardBody - maxBuffered}
	}
	return a, nil
}

var errTooLong = fmt.Errorf("the board's answer is longer than %d bytes", maxBoardBody)

// bounded reads left bytes, and fails where there are more.
type bounded struct {
	r    io.Reader
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, errTooLong
	}
	return n, err
}
