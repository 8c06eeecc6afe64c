// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"
	"path"

	"k8s.io/apimachinery/pkg/api/validation"
)

// The headers by which a board names itself. Without them a board is its IP
// address, and its node the first that its requests name. An answer with
// nodeHeader says that the connection is bound to that node, by that board, and
// prefers what the request preferred: later requests on it need not repeat these
// headers, nor Prefer. That is so for one connection: Connection names the answer's
// header, and a proxy between removes it (RFC 9110, section 7.6.1). The request's is
// for the gateway wherever it is, and may not be named there.
const (
	nodeHeader  = "Picolet-Node"
	boardHeader = "Picolet-Board"
)

const maxBoardID = 64 // bytes

// tellBound says that the connection is bound to node, if it is kept.
func tellBound(h http.Header, r *http.Request, node string) {
	if !r.Close && r.ProtoAtLeast(1, 1) {
		h.Set(nodeHeader, node)
		h.Set("Connection", nodeHeader)
	}
}

// identify binds the request's connection to a node, and returns that node.
// named is the node that the request itself names, or empty.
func (g *Gateway) identify(r *http.Request, named string) (string, *refusal) {
	conn := connOf(r.Context())
	if conn.link != nil {
		return conn.link.ownNode(r.Header, named)
	}
	node, b, refused := g.speaker(conn, r.Header, named)
	if refused != nil {
		return "", refused
	}
	if l := g.links.of(node); l != nil {
		return "", refuse(http.StatusConflict, "name_in_use",
			"node name %q is in use by the board with key %s; give this board another name", node, Fingerprint(l.peer.Key))
	}
	var evicted *boardConn
	refused = conn.bind(node, b, func(opened bool) (r *refusal) {
		var loud bool
		evicted, loud, r = g.claims.hold(node, b, conn, opened)
		if r != nil && !loud {
			conn.loud.Store(true) // logged already, for an earlier connection
		}
		return r
	})
	if evicted != nil {
		g.supersede(evicted, "limit")
	}
	return node, refused
}

// speaker is who speaks on a connection of plain HTTP, and as which node.
func (g *Gateway) speaker(conn *boardConn, h http.Header, named string) (node string, b board, refused *refusal) {
	bound, by := conn.bound()
	if b, refused = boardOf(h, conn.host(), by); refused != nil {
		return "", b, refused
	}
	if conn.named != "" {
		b.id = conn.named // whatever board is at the address
		node, refused = conn.namedNode(h, named)
		return node, b, refused
	}
	node, refused = g.ownNode(h, bound, named, b)
	return node, b, refused
}

// ownNode is the node that the connection is bound to, or is to be bound to.
func (g *Gateway) ownNode(h http.Header, bound, named string, b board) (string, *refusal) {
	claimed := h.Get(nodeHeader)
	if claimed == "" {
		claimed = named
	}
	switch {
	case bound != "" && claimed != "" && claimed != bound:
		return "", refuse(http.StatusForbidden, "other_node", "this connection is node %q: it may not act for node %q", bound, claimed)
	case named != "" && named != claimed:
		return "", refuse(http.StatusForbidden, "other_node", "a board of node %q may not touch node %q", claimed, named)
	case bound != "":
		return bound, nil
	case claimed == "":
		return g.nodeByAddress(b)
	}
	return claimed, g.mayTake(claimed)
}

// nodeByAddress finds the node of a board that opens a connection without
// naming itself, as firmware without our headers does to read its ConfigMap.
func (g *Gateway) nodeByAddress(b board) (string, *refusal) {
	node, ok := g.claims.only(b.id)
	if !ok {
		return "", refuse(http.StatusForbidden, "no_node",
			"cannot tell which node board %s is: send the header %s: <node name>", b.id, nodeHeader)
	}
	return node, nil
}

func (g *Gateway) mayTake(node string) *refusal {
	if errs := validation.NameIsDNSSubdomain(node, false); len(errs) > 0 {
		return malformed("node_name", "node name %.64q: %s", node, errs[0])
	}
	for _, pattern := range g.config.NodeNames {
		if ok, _ := path.Match(pattern, node); ok { // patterns were validated
			return nil
		}
	}
	if len(g.config.NodeNames) > 0 {
		return refuse(http.StatusForbidden, "node_name", "node name %q is not among those that boards may take here: %q", node, g.config.NodeNames)
	}
	return nil
}

// boardOf is the board that a request names, or else the one that bound its
// connection, or else the address.
func boardOf(h http.Header, addr string, bound board) (board, *refusal) {
	id := h.Get(boardHeader)
	switch _, sent := h[boardHeader]; {
	case !sent && bound.id != "":
		return bound, nil
	case !sent:
		return board{id: addr, addr: addr}, nil
	}
	if !isBoardID(id) {
		return board{}, malformed("board_id", "header %s: give 1 to %d letters, digits, '.', '_' or '-'", boardHeader, maxBoardID)
	}
	return board{id: id, addr: addr}, nil
}

func isBoardID(id string) bool {
	for i := range len(id) {
		b := lower(id[i])
		if (b < 'a' || b > 'z') && (b < '0' || b > '9') && b != '.' && b != '_' && b != '-' {
			return false
		}
	}
	return 0 < len(id) && len(id) <= maxBoardID
}
