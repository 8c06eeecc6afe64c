// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// AdminHandler serves the gateway's own /healthz (the process answers, and its
// handshakes are not stuck; else 503 and why not), /readyz
// (the API server can be reached and lets the gateway act for nodes, and the gateway
// does not stop; else 503 and why not) and /metrics. It is not for boards.
func (g *Gateway) AdminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", g.serveHealthz)
	mux.HandleFunc("GET /readyz", g.serveReadyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(g.metrics.registry, promhttp.HandlerOpts{Registry: g.metrics.registry}))
	return mux
}

// Gatherer returns the gateway's own metrics, for those who serve them beside
// others.
func (g *Gateway) Gatherer() prometheus.Gatherer { return g.metrics.registry }

func (g *Gateway) serveHealthz(w http.ResponseWriter, _ *http.Request) {
	if err := g.places.health(); err != nil {
		http.Error(w, "not healthy: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (g *Gateway) serveReadyz(w http.ResponseWriter, r *http.Request) {
	if err := g.ready(r.Context()); err != nil {
		http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// ready asks the API server for its own readiness, which every authenticated
// user may know (ClusterRole system:public-info-viewer).
func (g *Gateway) ready(ctx context.Context) error {
	if g.drain.hasBegun() {
		return errDraining
	}
	if err := g.rights.get(); err != nil {
		return err
	}
	a, err := g.upstream.do(ctx, request{method: http.MethodGet, path: "/readyz"})
	switch {
	case err != nil:
		return err
	case a.code != http.StatusOK:
		return fmt.Errorf("API server %s answered its /readyz with %d: %s", g.upstream.base.Host, a.code, excerpt(a.body))
	}
	return nil
}
