// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/picolet/picolet/link"
)

// exchange is a request of a kubelet and its answer, as they were on the wire.
type exchange struct {
	method, path   string
	code           int
	took           time.Duration // from the first byte written to the last one read
	sent, received int           // bytes
}

// recorder is a Dialer that notes the exchanges on its streams. It is for
// kubelets without ConfigMaps, whose answers all end.
type recorder struct {
	link.Dialer
	seen chan exchange
}

func newRecorder(addr string) *recorder {
	return &recorder{Dialer: link.TCP(addr), seen: make(chan exchange, 64)}
}

var _ link.Dialer = (*recorder)(nil)

func (r *recorder) Dial(ctx context.Context) (net.Conn, error) {
	c, err := r.Dialer.Dial(ctx)
	if err != nil {
		return nil, err
	}
	return &recorded{Conn: c, to: r}, nil
}

// wait waits for the next exchange of a method on a path that ends in suffix.
func (r *recorder) wait(tb testing.TB, method, suffix string) exchange {
	tb.Helper()
	limit := time.After(30 * time.Second)
	for {
		select {
		case x := <-r.seen:
			if x.method == method && strings.HasSuffix(x.path, suffix) {
				return x
			}
		case <-limit:
			tb.Fatalf("no %s of %s", method, suffix)
		}
	}
}

func (r *recorder) add(x exchange) {
	select {
	case r.seen <- x:
	default: // nobody waits any more
	}
}

// recorded is a stream on which one request follows the other's answer.
type recorded struct {
	net.Conn
	to *recorder

	mu       sync.Mutex // Read and Write are called by two goroutines
	began    time.Time
	request  []byte
	response []byte
}

func (c *recorded) Write(p []byte) (int, error) {
	c.mu.Lock()
	if len(c.request) == 0 {
		c.began = time.Now()
	}
	c.request = append(c.request, p...)
	c.mu.Unlock()
	return c.Conn.Write(p)
}

func (c *recorded) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.response = append(c.response, p[:n]...)
	if x, ok := c.whole(); ok {
		c.to.add(x)
		c.request, c.response = nil, nil
	}
	return n, err
}

// whole returns the exchange once its answer is complete.
func (c *recorded) whole() (exchange, bool) {
	request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(c.request)))
	if err != nil {
		return exchange{}, false
	}
	answer, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(c.response)), request)
	if err != nil {
		return exchange{}, false
	}
	_, err = io.Copy(io.Discard, answer.Body)
	if errors.Join(err, answer.Body.Close()) != nil {
		return exchange{}, false
	}
	return exchange{request.Method, request.URL.Path, answer.StatusCode, time.Since(c.began), len(c.request), len(c.response)}, true
}
