// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"
)

const (
	nodeUserPrefix  = "system:node:"
	nodesGroup      = "system:nodes"
	upstreamTimeout = 10 * time.Second // for one request, with its answer
	maxAnswerSize   = 1 << 20          // bytes of an answer's body
)

// upstream is the API server, reached over one pool of connections for all
// boards. Every request of it is made here, from validated pieces.
type upstream struct {
	base      *url.URL
	transport http.RoundTripper // adds the gateway's own credentials
	places    requestPlaces
	clock     apiClock
	userAgent string

	credentials Credentials // of nodes, for IdentityCertificates
	identity    atomic.Pointer[IdentityMode]
}

func newUpstream(c Config) (*upstream, error) {
	config := c.Kubernetes
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("API server address %q: %w", config.Host, err)
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		return nil, fmt.Errorf("credentials for the API server: %w", err)
	}
	u := &upstream{base: base, transport: transport, places: newRequestPlaces(c.MaxInFlight), userAgent: config.UserAgent, credentials: c.Credentials}
	mode := c.Identity
	if mode == IdentityAuto { // until Preflight has found out
		mode = IdentityConstrained
	}
	u.identity.Store(&mode)
	return u, nil
}

// A request is what the gateway asks of the API server.
type request struct {
	method, path, query string
	node                string       // acts as this node; empty: as the gateway itself
	mode                IdentityMode // in which way; empty: in that of upstream
	contentType         string
	body                []byte
	renewal             bool // of a Lease: it comes first
}

// An answer is what the API server said, as far as a board gets it.
type answer struct {
	code                    int
	contentType, retryAfter string
	etag                    string // of a short answer
	body                    []byte
}

var (
	errTooLarge = fmt.Errorf("the answer is longer than %d bytes", maxAnswerSize)
	errBusy     = errors.New("too many requests wait for the API server")
)

// do sends a request and reads the answer. errBusy says that as many as are allowed
// are under way and none has ended in time.
func (u *upstream) do(ctx context.Context, r request) (*answer, error) {
	release, err := u.places.take(ctx, r.renewal)
	if err != nil {
		return nil, err
	}
	defer release()
	ctx, cancel := context.WithTimeout(ctx, upstreamTimeout)
	defer cancel()
	req, err := u.build(ctx, r)
	if err != nil {
		return nil, err
	}
	transport := u.transport
	if r.node != "" {
		if transport, err = u.actAs(req, r.node, cmp.Or(r.mode, u.mode())); err != nil {
			return nil, err
		}
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("API server %s: %w", u.base.Host, err)
	}
	defer resp.Body.Close()
	u.clock.saw(resp.Header.Get("Date"))
	return readAnswer(resp)
}

// build makes the request from scratch: nothing of a board's head is in it.
func (u *upstream) build(ctx context.Context, r request) (*http.Request, error) {
	target := *u.base
	target.Path, target.RawQuery = u.base.JoinPath(r.path).Path, r.query
	req, err := http.NewRequestWithContext(ctx, r.method, target.String(), bytes.NewReader(r.body))
	if err != nil {
		return nil, fmt.Errorf("request for %s: %w", r.path, err)
	}
	req.Header.Set("Accept", jsonType)
	req.Header.Set("User-Agent", u.userAgent)
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	return req, nil
}

func readAnswer(resp *http.Response) (*answer, error) {
	body, err := readBounded(resp)
	if err != nil {
		return nil, err
	}
	return &answer{
		code:        resp.StatusCode,
		contentType: resp.Header.Get("Content-Type"),
		retryAfter:  resp.Header.Get("Retry-After"),
		body:        body,
	}, nil
}

// readBounded reads an answer's body, in one piece where its length is known.
func readBounded(resp *http.Response) ([]byte, error) {
	if resp.ContentLength > maxAnswerSize {
		return nil, errTooLarge
	}
	if resp.ContentLength >= 0 {
		body := make([]byte, resp.ContentLength)
		_, err := io.ReadFull(resp.Body, body)
		return body, err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerSize+1))
	if len(body) > maxAnswerSize {
		return nil, errTooLarge
	}
	return body, err
}
