// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"net"
	"sync"
	"sync/atomic"

	"github.com/picolet/picolet/kubelet"
)

// Bounds of what a stream holds in each direction. Reads wait with their
// buffer, so it is small; buffers for writing are shared.
const (
	readChunk  = 1024
	writeChunk = 2048
)

// event is something that happened on a connection.
type event struct {
	kind eventKind
	conn *conn
	nc   net.Conn // opened
	n    int      // received, sent: bytes
	err  error    // sent, closed
}

type eventKind uint8

const (
	opened eventKind = iota
	received
	sent
	closed
)

// conn is one connection of a stream, from its dial or accept to its end. The
// runner compares pointers to tell it from its successor on the stream. Fields
// belong to the runner's goroutine, except while a comment says otherwise.
type conn struct {
	runner *runner
	stream kubelet.Stream
	nc     net.Conn // nil: still dialling
	abort  context.CancelFunc

	buf    [readChunk]byte // the reader's, except from received to resume
	unread []byte          // part of buf that the kubelet has not taken
	resume chan struct{}   // lets the reader read on; closed at the end
	linger atomic.Bool     // set before resume is closed

	out       *[writeChunk]byte // the writer's, until sent
	outLen    int
	write     func() // c.writeChunk, bound once: go c.write() allocates nothing
	finishing bool
}

var writeBuffers = sync.Pool{New: func() any { return new([writeChunk]byte) }}

func newConn(r *runner, s kubelet.Stream) *conn {
	c := &conn{runner: r, stream: s, resume: make(chan struct{}, 1)}
	c.write = c.writeOut
	return c
}

// dial opens the connection and reads from it.
func (c *conn) dial(ctx context.Context) {
	defer c.runner.running.Done()
	nc, err := c.runner.node.opts.Dialer.Dial(ctx)
	if err != nil {
		c.runner.post(event{kind: closed, conn: c, err: err})
		return
	}
	if !c.runner.post(event{kind: opened, conn: c, nc: nc}) {
		_ = nc.Close()
	}
}

// read passes on what arrives, chunk by chunk, each when the one before was
// taken.
func (c *conn) read(nc net.Conn) {
	defer c.runner.running.Done()
	defer func() { _ = nc.Close() }()
	for {
		n, err := nc.Read(c.buf[:])
		if n > 0 && !c.deliver(n) {
			break
		}
		if err != nil {
			c.runner.post(event{kind: closed, conn: c, err: err})
			break
		}
	}
	if c.linger.Load() {
		c.runner.endLinger(nc)
	}
}

// deliver tells whether the chunk was taken and reading goes on.
func (c *conn) deliver(n int) bool {
	if !c.runner.post(event{kind: received, conn: c, n: n}) {
		return false
	}
	select {
	case _, more := <-c.resume:
		return more
	case <-c.runner.done:
		return false
	}
}

// startWrite writes a copy of p, as far as a chunk goes.
func (c *conn) startWrite(p []byte) {
	c.out = writeBuffers.Get().(*[writeChunk]byte)
	c.outLen = copy(c.out[:], p)
	c.runner.running.Add(1)
	go c.write()
}

func (c *conn) writeOut() {
	defer c.runner.running.Done()
	n, err := c.nc.Write(c.out[:c.outLen])
	c.runner.post(event{kind: sent, conn: c, n: n, err: err})
}

// writing tells whether a chunk is on its way.
func (c *conn) writing() bool { return c.out != nil }

// written takes the buffer back.
func (c *conn) written() {
	writeBuffers.Put(c.out)
	c.out = nil
}

// close ends the connection, or its dial, at once.
func (c *conn) close() {
	if c.abort != nil {
		c.abort()
	}
	close(c.resume)
	if c.nc != nil {
		_ = c.nc.Close()
	}
}

// shut ends the connection so that the peer can read everything first.
func (c *conn) shut() {
	if !c.runner.startLinger(c.nc) {
		c.close()
		return
	}
	c.linger.Store(true)
	close(c.resume)
}
