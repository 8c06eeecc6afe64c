// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/picolet/picolet/link/noise"
	"github.com/picolet/picolet/link/noise/session"
)

// crowd comes to a gateway's port for links until it is stopped: strangers from an
// address of their own, boards from that of the boards.
type crowd struct {
	addr    string
	ctx     context.Context
	coming  sync.WaitGroup
	silent  atomic.Int64 // connections so far
	garbage atomic.Int64
	links   atomic.Int64
}

const (
	silentInCrowd  = 10_000
	garbageInCrowd = 1_000
	linksInCrowd   = 1_000
)

// TestNodesStayReadyInCrowds: while 10 000 connections say nothing, others send
// garbage and 1 000 links are opened at once, boards renew their leases, and the
// control plane sees no node that is not Ready.
func TestNodesStayReadyInCrowds(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("needs 127.0.0.2")
	}
	p := sharedPlane(t)
	g := startLinkGateway(t, p)
	var boards []*testBoard
	for range 3 {
		_, key := newLinkKey(t)
		name := unique("crowded")
		must(t, g.list.Allow(key.Public, name))
		boards = append(boards, g.board(t, p, name, key))
	}
	for _, b := range boards {
		b.waitStatus(t, corev1.ConditionTrue)
		p.watchReady(t, b.name)
	}
	c := g.startCrowd(t)
	for range 2 {
		waitAllRenewed(t, boards)
	}
	eventually(t, 2*time.Minute, func(context.Context) error {
		if silent, garbage, links := c.silent.Load(), c.garbage.Load(), c.links.Load(); silent < silentInCrowd || garbage < garbageInCrowd || links < linksInCrowd {
			return fmt.Errorf("%d connections, %d with garbage, %d links have come", silent, garbage, links)
		}
		return nil
	})
	waitAllRenewed(t, boards)
	for _, b := range boards {
		b.waitStatus(t, corev1.ConditionTrue)
		g.checkPort(t, b.name)
	}
	if n, err := g.metric(t.Context(), "picolet_gateway_links"); err != nil || n < linksInCrowd+3 {
		t.Errorf("%v links are up, %v", n, err)
	}
}

// waitAllRenewed waits until each board has renewed its lease once more.
func waitAllRenewed(t *testing.T, boards []*testBoard) {
	t.Helper()
	last := make([]*coordinationv1.Lease, len(boards))
	for i, b := range boards {
		last[i] = b.waitLease(t)
	}
	for i, b := range boards {
		b.waitRenewed(t, last[i])
	}
}

// watchReady fails the test when a node is not Ready, from now on.
func (p *plane) watchReady(t *testing.T, node string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w, err := p.client.CoreV1().Nodes().Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + node})
	must(t, err)
	var watching sync.WaitGroup
	watching.Go(func() {
		for e := range w.ResultChan() {
			if ctx.Err() != nil {
				return
			}
			n, ok := e.Object.(*corev1.Node)
			if c := conditionOf(n, ok); e.Type == watch.Deleted || c == nil || c.Status != corev1.ConditionTrue {
				t.Errorf("node %s: %s, Ready is %v", node, e.Type, c)
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		watching.Wait()
	})
}

func conditionOf(n *corev1.Node, ok bool) *corev1.NodeCondition {
	if !ok {
		return nil
	}
	return condition(n, corev1.NodeReady)
}

// startCrowd lets all of them come, over some seconds.
func (g *linkGateway) startCrowd(t *testing.T) *crowd {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := &crowd{addr: g.links, ctx: ctx}
	t.Cleanup(func() {
		cancel()
		c.coming.Wait()
	})
	keys := make([]noise.Key, linksInCrowd)
	for i := range keys {
		_, keys[i] = newLinkKey(t)
		must(t, g.list.Allow(keys[i].Public, fmt.Sprintf("crowd-%d", i)))
	}
	for range 10 {
		c.coming.Go(func() { c.sayNothing(silentInCrowd / 10) })
	}
	c.coming.Go(c.sendGarbage)
	for i, key := range keys {
		c.coming.Go(func() { c.link(key, g.key.Public, fmt.Sprintf("crowd-%d", i)) })
	}
	return c
}

// wait passes d, or tells that the crowd was stopped.
func (c *crowd) wait(d time.Duration) bool {
	select {
	case <-c.ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// stranger connects from another address than boards do: of one address there are at
// most 1024 that have no link yet, and the newest count.
func (c *crowd) stranger() (net.Conn, error) {
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	return from.Dial("tcp", c.addr)
}

// sayNothing connects n times, and keeps the last hundred connections.
func (c *crowd) sayNothing(n int) {
	kept := make([]net.Conn, 100)
	defer func() {
		for _, conn := range kept {
			if conn != nil {
				_ = conn.Close()
			}
		}
	}()
	for i := range n {
		conn, err := c.stranger()
		if err != nil || !c.wait(10*time.Millisecond) {
			return
		}
		if old := kept[i%len(kept)]; old != nil {
			_ = old.Close()
		}
		kept[i%len(kept)] = conn
		c.silent.Add(1)
	}
	<-c.ctx.Done()
}

func (c *crowd) sendGarbage() {
	var bytes [200]byte
	for range garbageInCrowd {
		conn, err := c.stranger()
		if err != nil || !c.wait(5*time.Millisecond) {
			return
		}
		_, _ = rand.Read(bytes[:])
		_, _ = conn.Write(bytes[:]) // the gateway may have hung up
		_ = conn.Close()
		c.garbage.Add(1)
	}
}

// link opens a link, as often as it takes, and holds it.
func (c *crowd) link(key noise.Key, gateway noise.PublicKey, node string) {
	for c.ctx.Err() == nil {
		conn, err := net.Dial("tcp", c.addr)
		if err != nil {
			return
		}
		s, err := session.Dial(c.ctx, conn, session.Board{Key: key, GatewayKey: gateway, Hello: noise.Hello{BoardID: node, NodeName: node, Version: "e2e"}})
		if err != nil {
			c.wait(time.Second)
			continue
		}
		c.links.Add(1)
		<-c.ctx.Done()
		_ = s.Close()
		return
	}
}
