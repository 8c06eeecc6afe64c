// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// writeTimeout bounds the writing of one answer, or one event, to a board.
const writeTimeout = 15 * time.Second

// retryUpstream is the Retry-After, in seconds, of answers that say that the
// API server cannot be asked.
const retryUpstream = 5

// forward asks the API server on behalf of a node, and hands its answer on.
func (g *Gateway) forward(w http.ResponseWriter, r *http.Request, c *call) *refusal {
	conn := connOf(r.Context())
	path, query := c.target()
	req := request{method: c.op.method, path: path, query: query, node: c.node, renewal: c.op.isLease()}
	if c.body != nil {
		if refused := checkType(r.Header, c.op); refused != nil {
			return refused
		}
		object, refused := c.body.object(conn.overlay(c.node))
		if refused != nil {
			return refused
		}
		req.contentType, req.body = c.op.sentType(), encodeJSON(object)
	}
	if refused := g.checkMachine(r.Context(), conn, c); refused != nil {
		return refused
	}
	look := g.look(r.Context(), conn, c)
	a, err := g.upstream.do(r.Context(), req)
	switch {
	case r.Context().Err() != nil:
		return refuse(http.StatusBadRequest, "hung_up", "the board hung up before the API server answered")
	case err != nil:
		return g.upstreamFailure(conn, c, err)
	}
	if refused := g.judge(conn, c, a); refused != nil {
		return refused
	}
	if c.op.resource == "nodes/status" {
		conn.sawNode(a)
	}
	if look.finds(a) {
		w.Header().Set(reportHeader, "status")
	}
	if c.body != nil && (prefersMinimal(r.Header) || conn.minimal && r.Header.Get("Prefer") == "") {
		a = a.minimal(c.op.method)
	}
	a.write(w)
	return nil
}

// judge tells refusals of the gateway's own identity from refusals of the
// node's. A board can do nothing about the former: it is told to come again.
func (g *Gateway) judge(conn *boardConn, c *call, a *answer) *refusal {
	if g.isOwnFault(c.node, a) {
		return ownRightsMissing()
	}
	if a.code == http.StatusForbidden {
		g.budgets.of(conn.payer()).lines.warn(g.log, "API server refused the node's own request", "node", c.node, "operation", c.op.name, "answer", excerpt(a.body))
	}
	return nil
}

// isOwnFault reports whether an answer to a request as node turns the gateway away, not
// the node, and then has the gateway's rights checked again.
func (g *Gateway) isOwnFault(node string, a *answer) bool {
	switch {
	case a.code == http.StatusUnauthorized:
		g.rightsLost(g.upstream.unauthorized())
	case a.code == http.StatusForbidden && aboutImpersonation(a.body):
		g.rightsLost("the API server does not let the gateway act for nodes: apply deploy/rbac.yaml")
	case a.code == http.StatusForbidden && notTakenForNode(a.body, node):
		g.rightsLost("the API server does not authorize a node to act on its own objects: finding the way to act for nodes again")
	default:
		return false
	}
	return true
}

// notTakenForNode reports whether the API server's authorizers refused what a node asked
// for, which is its own: to a user of group system:nodes they allow all operations of the
// table. The user arrives without the group when the gateway was given the right to plain
// impersonation after it had found the constrained kind, see findImpersonation. What
// admission plugins refuse reads otherwise.
func notTakenForNode(body []byte, node string) bool {
	var s metav1.Status
	if json.Unmarshal(body, &s) != nil {
		return false
	}
	_, why, _ := strings.Cut(s.Message, " is forbidden: ")
	return strings.HasPrefix(why, `User "`+nodeUserPrefix+node+`" cannot `)
}

// aboutImpersonation reports whether a 403 turned the gateway away, not the node
// it acts for. Only the API server's own words are looked at: what a board wrote
// may be quoted behind them.
func aboutImpersonation(body []byte) bool {
	var s metav1.Status
	if json.Unmarshal(body, &s) != nil {
		return false
	}
	_, why, _ := strings.Cut(s.Message, " is forbidden: ")
	who, ok := strings.CutPrefix(why, `User "`)
	_, cannot, _ := strings.Cut(who, `" cannot `)
	return ok && strings.HasPrefix(cannot, "impersonate")
}

func ownRightsMissing() *refusal {
	r := refuse(http.StatusBadGateway, "own_rights", "the gateway lacks rights at the API server; its log says which")
	r.retryAfter = retryUpstream
	return r
}

func excerpt(body []byte) string { return string(body[:min(len(body), 512)]) }

func (g *Gateway) upstreamFailure(conn *boardConn, c *call, err error) *refusal {
	var r *refusal
	switch {
	case errors.Is(err, errBusy):
		r = refuse(http.StatusTooManyRequests, "busy", "%v; try again", err)
		r.retryAfter = 1
		return r
	case errors.Is(err, errTooLarge):
		r = refuse(http.StatusBadGateway, "answer_size", "%v", err)
	case errors.Is(err, context.DeadlineExceeded):
		r = refuse(http.StatusGatewayTimeout, "upstream_timeout", "the API server did not answer within %v", upstreamTimeout)
	case isCredentials(err):
		r = refuse(http.StatusServiceUnavailable, "node_credentials", "the gateway has no certificate for this node yet; its log says why")
	default:
		r = refuse(http.StatusBadGateway, "upstream", "the API server cannot be reached")
	}
	r.retryAfter = retryUpstream
	g.budgets.of(conn.payer()).lines.warn(g.log, "Request to API server failed", "node", c.node, "operation", c.op.name, "err", err)
	return r
}

// write hands an answer on with a short head: boards have little room for one.
func (a *answer) write(w http.ResponseWriter) {
	h := w.Header()
	for name, value := range map[string]string{"Content-Type": a.contentType, "Retry-After": a.retryAfter, "ETag": a.etag} {
		if value != "" {
			h.Set(name, value)
		}
	}
	if a.code != http.StatusNoContent {
		h.Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	w.WriteHeader(a.code)
	_, _ = w.Write(a.body) // a board that is gone needs no answer
}
