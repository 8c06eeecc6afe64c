// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"sync/atomic"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
)

// Bounds of a node's connections. By HTTP/2 there is one for all its requests;
// more only where the API server speaks HTTP/1.1 alone.
const (
	maxIdleConns     = 1
	maxConns         = 8
	idleTimeout      = 90 * time.Second
	dialTimeout      = 10 * time.Second
	handshakeTimeout = 10 * time.Second
)

// holding is a node's certificate, and the connections that are made with it.
type holding struct {
	leaf    *x509.Certificate
	renewAt time.Time
	refused atomic.Bool // the API server does not take the certificate
	conns   *http.Transport
}

var _ http.RoundTripper = (*holding)(nil)

// RoundTrip implements http.RoundTripper.
func (h *holding) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := h.conns.RoundTrip(r)
	if err == nil && resp.StatusCode == http.StatusUnauthorized {
		h.refused.Store(true)
	}
	return resp, err
}

// close ends the connections as soon as they are not in use.
func (h *holding) close() { h.conns.CloseIdleConnections() }

func (p *Pool) newHolding(pair *tls.Certificate) *holding {
	config := p.tls.Clone()
	config.Certificates = []tls.Certificate{*pair}
	return &holding{
		leaf:    pair.Leaf,
		renewAt: renewalTime(pair.Leaf),
		conns: utilnet.SetTransportDefaults(&http.Transport{
			TLSClientConfig:     config,
			TLSHandshakeTimeout: handshakeTimeout,
			DialContext:         p.dial,
			Proxy:               p.config.Kubernetes.Proxy,
			DisableCompression:  true,
			MaxIdleConnsPerHost: maxIdleConns,
			MaxConnsPerHost:     maxConns,
			IdleConnTimeout:     idleTimeout,
		}),
	}
}

// anonymousTLS is how the API server is known, without who asks.
func anonymousTLS(c *rest.Config) (*tls.Config, error) {
	t, err := rest.TLSConfigFor(rest.AnonymousClientConfig(c))
	if t == nil {
		t = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return t, err
}
