// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// maxCommand is the most bytes of a body that a board takes, with its head.
const maxCommand = 1 << 10

// serveBoard passes a request on to the board, and its answer back.
func (s *Server) serveBoard(c *call) *refusal {
	q := boardRequest{method: c.r.Method, path: strings.TrimSuffix(c.r.URL.Path, "/"), query: c.chosenParams()}
	var refused *refusal
	if c.r.Method == http.MethodPost {
		if q.body, refused = c.readBody(); refused != nil {
			return refused
		}
	}
	a, refused := s.ask(c.r.Context(), c.port, q)
	if refused != nil {
		return refused
	}
	defer a.close()
	c.answer(a)
	return nil
}

// chosenParams is the part of the query that the route knows.
func (c *call) chosenParams() url.Values {
	chosen := url.Values{}
	for _, name := range c.route.params {
		if c.query.Has(name) {
			chosen.Set(name, c.query.Get(name))
		}
	}
	return chosen
}

func (c *call) readBody() ([]byte, *refusal) {
	body, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxCommand))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		r := refuse(http.StatusRequestEntityTooLarge, "a command is %d bytes at most", maxCommand)
		r.hangUp = true
		return nil, r
	}
	if err != nil || len(body) == 0 {
		return nil, malformed("the body of the command did not arrive")
	}
	return body, nil
}

// answer gives the board's answer to the client. A body that breaks off ends
// the connection, so that the client does not take it for whole.
func (c *call) answer(a *boardAnswer) {
	h := c.w.Header()
	h.Set("Content-Type", safeType(a.contentType))
	h.Set("X-Content-Type-Options", "nosniff")
	if a.code == http.StatusServiceUnavailable || a.code == http.StatusTooManyRequests {
		h.Set("Retry-After", "1")
	}
	if a.rest == nil {
		h.Set("Content-Length", strconv.Itoa(len(a.head)))
	}
	c.w.WriteHeader(a.code)
	_, err := c.w.Write(a.head)
	if err == nil && a.rest != nil {
		_, err = io.Copy(c.w, a.rest)
	}
	if err != nil {
		panic(http.ErrAbortHandler)
	}
}

// safeType is the content type of a board's answer, if it is one that kubelets
// give: no board gets a browser behind kubectl proxy to run its script.
func safeType(contentType string) string {
	media, params, err := mime.ParseMediaType(contentType)
	switch {
	case err == nil && media == jsonType:
		return jsonType
	case err == nil && media == "text/plain" && params["version"] == "0.0.4":
		return metricsType
	case err == nil && media == "text/plain":
		return textType
	}
	return "application/octet-stream"
}

// serveNoMetrics answers for what no board has: containers that cAdvisor would
// measure, and probes. Prometheus asks every kubelet for both.
func (s *Server) serveNoMetrics(c *call) *refusal {
	c.w.Header().Set("Content-Type", metricsType)
	c.w.WriteHeader(http.StatusOK)
	return nil
}
