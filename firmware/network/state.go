// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"errors"
	"time"

	"github.com/soypat/lneto/ipv4"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/firmware/network/dhcp"
	"github.com/picolet/picolet/kubelet/logring"
)

// Why streams end, beside the errors of package tcp.
var (
	errLinkDown   = errors.New("network link is down")
	errNoLease    = errors.New("the address's lease has ended")
	errNoRoute    = errors.New("the gateway is on another network, and there is no router: check the DHCP server")
	errNewAddress = errors.New("the board's address has changed")
)

// State is the first part of the way to the gateway that is missing:
// board.NetworkOff while the link is down, else NetworkNoAddress,
// NetworkNoGateway or NetworkUp.
func (n *Network) State() board.NetworkState { return n.state.State }

// ReadNetwork fills r. It implements board.Network.
func (n *Network) ReadNetwork(_ time.Duration, r *board.NetworkReadings) { *r = n.state }

// enter begins a state, with a line in the log.
func (n *Network) enter(now time.Duration, s board.NetworkState, cause error) {
	if s == n.state.State {
		return
	}
	n.state.State, n.state.Since = s, now
	n.state.Begun[s]++
	rec := n.k.Record(now, levels[s], messages[s])
	if s > board.NetworkNoAddress {
		n.describe(rec)
	}
	rec.Err(cause).End()
}

var levels = [board.NumNetworkStates]logring.Level{
	board.NetworkOff:       logring.Warn,
	board.NetworkNoAddress: logring.Info,
	board.NetworkNoGateway: logring.Info,
	board.NetworkUp:        logring.Info,
}

var messages = [board.NumNetworkStates]string{
	board.NetworkOff:       "Network is down",
	board.NetworkNoAddress: "Network has no address yet: asking for one",
	board.NetworkNoGateway: "Gateway is not reached yet",
	board.NetworkUp:        "Gateway is reached",
}

// describe adds the addresses that matter in the state.
func (n *Network) describe(rec *logring.Record) {
	var text [15]byte
	add := func(key string, a [4]byte) {
		if a != ([4]byte{}) {
			rec.Bytes(key, ipv4.AppendFormatAddr(text[:0], a))
		}
	}
	lease, _ := n.dhcp.Lease()
	add("address", n.address)
	add("router", lease.Router)
	if n.state.State == board.NetworkUp {
		add("gateway", n.resolver.current())
	}
}

// pollLease lets the lease's time go on.
func (n *Network) pollLease(now time.Duration) { n.leaseEvent(now, n.dhcp.Poll(now)) }

func (n *Network) leaseEvent(now time.Duration, e dhcp.Event) {
	switch e {
	case dhcp.Lost:
		n.loseAddress(now, errNoLease)
		n.enter(now, board.NetworkNoAddress, errNoLease)
	case dhcp.Bound:
		n.setAddress(now)
	}
}

// setAddress begins to use a new lease.
func (n *Network) setAddress(now time.Duration) {
	lease, _ := n.dhcp.Lease()
	if n.address != ([4]byte{}) && n.address != lease.Address {
		n.loseAddress(now, errNewAddress)
	}
	if lease.Mended {
		n.logMended(now, lease)
	}
	n.address = lease.Address
	n.neighbors.forget()
	n.neighbors.announce()
	n.resolver.setServers(lease.DNS)
	n.mdns.start(now)
	n.membership.join(now)
	var text [15]byte
	n.k.SetAddress(now, string(ipv4.AppendFormatAddr(text[:0], n.address)))
	if n.state.State == board.NetworkNoAddress {
		n.enter(now, board.NetworkNoGateway, nil)
	}
	n.obey(now)
}

func (n *Network) logMended(now time.Duration, lease *dhcp.Lease) {
	var offered, used [15]byte
	n.k.Record(now, logring.Warn, "Invalid router in DHCP offer, using another").
		Bytes("router", ipv4.AppendFormatAddr(offered[:0], lease.Offered)).
		Bytes("instead", ipv4.AppendFormatAddr(used[:0], lease.Router)).End()
}

// loseAddress ends all that used the address.
func (n *Network) loseAddress(now time.Duration, cause error) {
	if n.address == ([4]byte{}) {
		return
	}
	n.address = [4]byte{}
	n.witness.remember(&n.neighbors)
	n.mdns.stop()
	n.membership.leave()
	n.neighbors.forget()
	n.resolver.stop()
	n.refused = refusals{}
	n.echo.n = 0
	for i := range n.lingers {
		n.lingers[i] = slot{}
	}
	n.k.SetAddress(now, "")
	for s := range n.streams {
		if n.streams[s].conn.Open() || n.streams[s].dialing() {
			n.lose(now, s, cause)
		}
	}
	n.obey(now)
}
