// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package fleet runs kubelets: it gives each the byte streams, the clock and
// the kubelet port that the portable core asks for, and reboots it when it
// says so. What a node tells the API server, and when, is decided by the
// kubelet alone.
//
// One goroutine owns a kubelet, and every input passes through it. Each open
// stream has a goroutine that reads and, while something is to be written,
// one that writes; each holds one chunk of bytes at most. So a peer that
// stalls costs its stream and never the kubelet, and a kubelet that takes
// nothing lets its peer wait.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/picolet/picolet/kubelet"
	"github.com/picolet/picolet/kubelet/logring"
	"github.com/picolet/picolet/link"
)

// Kubelet is the machine that a Node drives, as *kubelet.Kubelet is one: see
// there for what the methods mean. It is larger than an interface should be,
// because it is the whole of the machine's inputs and outputs.
type Kubelet interface {
	Start(now time.Duration)
	Tick(now time.Duration)
	Opened(now time.Duration, s kubelet.Stream)
	Closed(now time.Duration, s kubelet.Stream, cause error)
	Receive(now time.Duration, s kubelet.Stream, p []byte) int
	Accept(now time.Duration) (kubelet.Stream, bool)
	Pending(s kubelet.Stream) []byte
	Sent(now time.Duration, s kubelet.Stream, n int)
	SetAddress(now time.Duration, ip string)
	Output() kubelet.Output
	Log() *logring.Ring
}

// Options say what a Node consists of.
type Options struct {
	// Name is the node's name in logs and errors. Required.
	Name string

	// Boot returns the kubelet for a boot of the board, 0 for the first. It is
	// called again each time that the kubelet asks for a reset. Required.
	Boot func(boot int) (Kubelet, error)

	// Dialer opens streams to the API server or gateway. Required.
	Dialer link.Dialer

	// Listener takes the connections to the kubelet port. Run closes it.
	// Optional [no port].
	Listener net.Listener

	// Busy is what a client of the port reads when the kubelet can take no
	// further connection. Optional [kubelet.Busy()].
	Busy []byte

	// Uptime is how long ago the board booted, asked whenever a kubelet
	// starts. Optional [the board boots with its kubelet].
	Uptime func() time.Duration

	// FixedAddress leaves the address to the kubelet's configuration. Optional
	// [the local address of what was dialled is reported to the kubelet].
	FixedAddress bool

	// Log takes what the kubelet logs. Optional [nothing is logged].
	Log *slog.Logger
}

// Validate reports every field that is missing.
func (o *Options) Validate() error {
	var errs []error
	if o.Name == "" {
		errs = append(errs, errors.New("field Name is required: give the node's name"))
	}
	if o.Boot == nil {
		errs = append(errs, errors.New("field Boot is required: give a function that returns a kubelet"))
	}
	if o.Dialer == nil {
		errs = append(errs, errors.New("field Dialer is required: give the way to the API server or gateway"))
	}
	return errors.Join(errs...)
}

// Node is one board with its kubelet.
type Node struct {
	opts    Options
	accepts chan net.Conn
}

// NewNode returns a Node, ready to Run.
func NewNode(o Options) (*Node, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("node %q: %w", o.Name, err)
	}
	if o.Busy == nil {
		o.Busy = kubelet.Busy()
	}
	if o.Log != nil {
		o.Log = o.Log.With("node", o.Name)
	}
	return &Node{opts: o, accepts: make(chan net.Conn)}, nil
}

// Run drives the node until ctx ends, which is no error. It fails when the
// board cannot boot. When Run returns, its goroutines have ended and its
// streams and listener are closed. It must be called once.
func (n *Node) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var port sync.WaitGroup
	if n.opts.Listener != nil {
		port.Go(func() { n.serve(ctx) })
		context.AfterFunc(ctx, func() { _ = n.opts.Listener.Close() })
	}
	defer port.Wait()
	defer cancel()
	for boot := 0; ctx.Err() == nil; boot++ {
		k, err := n.opts.Boot(boot)
		if err != nil {
			return fmt.Errorf("node %q cannot boot: %w", n.opts.Name, err)
		}
		newRunner(n, k, n.uptime()).run(ctx)
	}
	return nil
}

// uptime is the age of the board when its kubelet starts. What reboots is the
// board that picolet is: a machine around it goes on, and so does its uptime.
func (n *Node) uptime() time.Duration {
	if n.opts.Uptime == nil {
		return 0
	}
	return n.opts.Uptime()
}

// Run drives all nodes until ctx ends, or until one cannot boot: then it ends
// the others and returns that error.
func Run(ctx context.Context, nodes ...*Node) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var running sync.WaitGroup
	failed := make(chan error, len(nodes))
	for _, n := range nodes {
		running.Go(func() {
			if err := n.Run(ctx); err != nil {
				failed <- err
				cancel(err)
			}
		})
	}
	running.Wait()
	close(failed)
	return <-failed
}
