// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package link opens the byte streams between a kubelet and its API server or
// gateway: plain TCP and TLS. It knows nothing of what is said on them, keeps
// no pool and retries nothing: when to dial again is the kubelet's decision.
package link

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"
)

// DialTimeout bounds a dial, TLS handshake included.
const DialTimeout = 10 * time.Second

// keepAlive finds a peer that vanished without a word in about a minute: a
// watch can be silent for longer than that.
var keepAlive = net.KeepAliveConfig{
	Enable:   true,
	Idle:     30 * time.Second,
	Interval: 10 * time.Second,
	Count:    3,
}

// Dialer opens streams towards one peer.
type Dialer interface {
	// Dial opens one stream. It returns within DialTimeout, and at once when
	// ctx ends.
	Dial(ctx context.Context) (net.Conn, error)
}

// TCP returns a Dialer for addr, host:port. What is sent can be read and
// changed by everybody on the way: for trusted networks only.
func TCP(addr string) Dialer {
	return &dialer{addr: addr, dial: newNetDialer().DialContext}
}

// TLS returns a Dialer for addr, host:port, with TLS by c: its roots, client
// certificate and so on. The peer's certificate must be valid for
// c.ServerName or, where that is empty, for the host of addr.
func TLS(addr string, c *tls.Config) Dialer {
	d := &tls.Dialer{NetDialer: newNetDialer(), Config: c}
	return &dialer{addr: addr, dial: d.DialContext}
}

func newNetDialer() *net.Dialer {
	return &net.Dialer{KeepAliveConfig: keepAlive}
}

type dialer struct {
	addr string
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

var _ Dialer = (*dialer)(nil)

func (d *dialer) Dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, DialTimeout)
	defer cancel()
	c, err := d.dial(ctx, "tcp", d.addr)
	if err != nil {
		return nil, fmt.Errorf("no link to %s: %w", d.addr, err)
	}
	return c, nil
}
