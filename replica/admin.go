// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// AdminHandler serves the replica's own /healthz, /readyz and /metrics, see
// [gateway.Gateway.AdminHandler]: ready is a replica that also knows the Devices,
// where it takes links, and the metrics are those of all its parts. It is not for
// boards.
func (r *Replica) AdminHandler() http.Handler {
	own := r.gateway.AdminHandler()
	mux := http.NewServeMux()
	mux.Handle("GET /healthz", own)
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, q *http.Request) {
		if err := r.knowsDevices(); err != nil {
			http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		own.ServeHTTP(w, q)
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(prometheus.Gatherers{r.gateway.Gatherer(), r.registry}, promhttp.HandlerOpts{}))
	return mux
}

func (r *Replica) knowsDevices() error {
	if !r.links.Load() {
		return nil
	}
	return r.enrolment.Check()
}
