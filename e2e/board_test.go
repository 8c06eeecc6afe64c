// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/picolet/picolet/board/virtual"
	"github.com/picolet/picolet/fleet"
	"github.com/picolet/picolet/kubelet"
	"github.com/picolet/picolet/link"
	"github.com/picolet/picolet/linked"
	"github.com/picolet/picolet/testlog"
)

// boardOptions say which board startBoard starts.
type boardOptions struct {
	name    string                // Optional [a unique one]
	gateway string                // Optional [the shared one's address]
	dialer  link.Dialer           // Optional [TCP to gateway]
	virtual virtual.Options       // Optional: the board
	change  func(*kubelet.Config) // Optional: what differs from the defaults
	link    *linked.Config        // Optional [plain HTTP]: without Kubelet and Memory
}

// testBoard is a virtual board with a kubelet, which can be switched off and on.
type testBoard struct {
	clusterNode
	hardware *virtual.Board // since the last power on
	port     string         // address of the kubelet port, likewise
	log      *logBuffer

	options boardOptions
	run     *boardRun // nil: switched off
}

// boardRun is the time from power on to power off.
type boardRun struct {
	cancel context.CancelFunc
	ended  chan error
}

// newBoard makes a board that is switched off. When the test ends, it is
// switched off and its node deleted.
func newBoard(tb testing.TB, p *plane, o boardOptions) *testBoard {
	tb.Helper()
	if o.name == "" {
		o.name = unique("board")
	}
	if o.virtual.ID == "" {
		o.virtual.ID = o.name
	}
	var log *logBuffer // of its gateway
	if o.gateway == "" {
		g := sharedGateway(tb)
		o.gateway, log = g.addr, g.log
	}
	if o.dialer == nil {
		o.dialer = link.TCP(o.gateway)
	}
	o.virtual.StoragePath = filepath.Join(tb.TempDir(), "record")
	b := &testBoard{clusterNode: clusterNode{p, o.name}, log: new(logBuffer), options: o}
	tb.Cleanup(func() {
		b.powerOff(tb)
		b.deleteNode(tb)
		if log != nil {
			checkBudget(tb, log, b.name)
		}
		if tb.Failed() {
			tb.Logf("board %s:\n%s", b.name, b.log)
		}
	})
	return b
}

// checkBudget fails the test of a kubelet that its gateway has told to slow down.
func checkBudget(tb testing.TB, gateway *logBuffer, node string) {
	tb.Helper()
	for line := range strings.Lines(gateway.String()) {
		if strings.Contains(line, " node="+node+" ") && strings.Contains(line, " cause=budget ") {
			tb.Errorf("the gateway takes the kubelet of node %s for a flood: %s", node, line)
		}
	}
}

// startBoard makes a board and switches it on.
func startBoard(tb testing.TB, p *plane, o boardOptions) *testBoard {
	tb.Helper()
	b := newBoard(tb, p, o)
	b.powerOn(tb)
	return b
}

// readyBoard makes a board, switches it on and waits until its node is Ready.
func readyBoard(tb testing.TB, p *plane, o boardOptions) *testBoard {
	tb.Helper()
	b := startBoard(tb, p, o)
	b.waitStatus(tb, corev1.ConditionTrue)
	return b
}

// powerOn boots the board, of which only the stored record is older.
func (b *testBoard) powerOn(tb testing.TB) {
	tb.Helper()
	var err error
	b.hardware, err = virtual.New(b.options.virtual)
	must(tb, err)
	l, err := net.Listen("tcp", anyPort) // the last one may be somebody else's by now
	must(tb, err)
	b.port = l.Addr().String()
	boot, port := fleet.Machine(b.configure), l
	if b.options.link != nil {
		must(tb, l.Close())
		boot, port = b.overLink, nil
	}
	n, err := fleet.NewNode(fleet.Options{
		Name:     b.name,
		Boot:     boot,
		Dialer:   b.options.dialer,
		Listener: port,
		Log:      slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	must(tb, err)
	ctx, cancel := context.WithCancel(context.Background())
	b.run = &boardRun{cancel: cancel, ended: make(chan error, 1)}
	go func(r *boardRun) { r.ended <- fleet.Run(ctx, n) }(b.run)
}

// configure is the kubelet's configuration for a boot; 0 is power on.
func (b *testBoard) configure(boot int) (kubelet.Config, error) {
	if boot > 0 {
		b.hardware.Reset()
	}
	_, port, err := net.SplitHostPort(b.port)
	if err != nil {
		return kubelet.Config{}, err
	}
	c := kubelet.Config{
		NodeName: b.name, Host: b.options.gateway, Version: b.plane.version, Board: b.hardware.Board(),
		ConfigMaps: []kubelet.ObjectName{}, Seed: seed(),
	}
	if _, err := fmt.Sscan(port, &c.Port); err != nil {
		return c, err
	}
	if b.options.change != nil {
		b.options.change(&c)
	}
	return c, nil
}

// powerOff cuts the power: nothing is said good-bye to.
func (b *testBoard) powerOff(tb testing.TB) {
	tb.Helper()
	if b.run == nil {
		return
	}
	b.run.cancel()
	if err := <-b.run.ended; err != nil {
		tb.Errorf("board %s: %v", b.name, err)
	}
	b.run = nil
}

// waitStatus waits until the status of condition Ready is want, since the
// board's last boot.
func (b *testBoard) waitStatus(tb testing.TB, want corev1.ConditionStatus) *corev1.Node {
	tb.Helper()
	return b.waitNode(tb, 3*gracePeriod, func(n *corev1.Node) error {
		c := condition(n, corev1.NodeReady)
		switch {
		case c == nil:
			return errors.New("no condition Ready")
		case c.Status != want:
			return fmt.Errorf("Ready is %s (%s), want %s", c.Status, c.Reason, want)
		case b.run != nil && n.Status.NodeInfo.BootID != b.hardware.Board().Facts.BootID:
			return errors.New("the status is that of an earlier boot")
		}
		return nil
	})
}

// logBuffer keeps a log for tests to read.
type logBuffer = testlog.Buffer
