// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/validation"
)

// maxStrangers bounds the connections of addresses that no board is named at: they
// are told why they are turned away, as long as they do not crowd out the boards.
const maxStrangers = 64

// validateInsecureBoards refuses what would leave open which node an address is.
func (c *Config) validateInsecureBoards() error {
	var errs []error
	nodes := make(map[netip.Addr]string, len(c.InsecureBoards))
	for node, addr := range c.InsecureBoards {
		if problems := validation.NameIsDNSSubdomain(node, false); len(problems) > 0 {
			errs = append(errs, fmt.Errorf("field InsecureBoards: node name %.64q: %s", node, problems[0]))
		}
		addr = plainAddr(addr)
		if !addr.IsValid() || addr.IsUnspecified() || addr.IsMulticast() {
			errs = append(errs, fmt.Errorf("field InsecureBoards: node %q: %s is no board's address", node, addr))
		}
		if other, taken := nodes[addr]; taken {
			errs = append(errs, fmt.Errorf("field InsecureBoards: %s and %s have one address, %s: give each board its own", min(node, other), max(node, other), addr))
		}
		nodes[addr] = node
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

// plainAddr is an address as it compares: an IPv4 address in its own form, without
// the zone by which the other side calls the interface.
func plainAddr(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// namedBoards are the nodes of Config.InsecureBoards by address; none: any board
// may come.
type namedBoards map[netip.Addr]string

func newNamedBoards(boards map[string]netip.Addr) namedBoards {
	nodes := make(namedBoards, len(boards))
	for node, addr := range boards {
		nodes[plainAddr(addr)] = node
	}
	return nodes
}

// at is the node at an address.
func (b namedBoards) at(host string) (node string, ok bool) {
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return "", false
	}
	node, ok = b[plainAddr(addr)]
	return node, ok
}

// refuseStranger turns away who comes from an address that no board is named at.
func (c *boardConn) refuseStranger() *refusal {
	if !c.stranger {
		return nil
	}
	r := refuse(http.StatusForbidden, "stranger",
		"no board is expected at %s: start the gateway with --insecure-board NAME=%[1]s, or let the board come by an encrypted link", c.host())
	r.hangUp = true
	return r
}

// namedNode is the node of the connection's address. What the board says of itself
// can at most agree.
func (c *boardConn) namedNode(h http.Header, named string) (string, *refusal) {
	if claimed := h.Get(nodeHeader); claimed != "" && claimed != c.named || named != "" && named != c.named {
		return "", refuse(http.StatusForbidden, "other_node",
			"the board at %s is node %q: it may not act for another; start the gateway with another --insecure-board if this is not so", c.host(), c.named)
	}
	return c.named, nil
}
