// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the Server's own. Labels take their values from the table of
// routes and from HTTP codes only.
type metrics struct {
	requests           *prometheus.CounterVec
	refusedConnections prometheus.Counter
}

func newMetrics(s *Server, registerer prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "picolet_kubeletport_requests_total", Help: "Requests to kubelet ports answered, by route and HTTP status code.",
		}, []string{"route", "code"}),
		refusedConnections: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "picolet_kubeletport_refused_connections_total", Help: "Connections to kubelet ports that were over a limit.",
		}),
	}
	if registerer == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{
		m.requests, m.refusedConnections,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "picolet_kubeletport_connections", Help: "Open connections to kubelet ports.",
		}, func() float64 { return float64(s.connections.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "picolet_kubeletport_nodes", Help: "Nodes whose kubelet port is served.",
		}, func() float64 { return float64(s.count()) }),
	} {
		if err := registerer.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// served counts a request that was answered.
func (m *metrics) served(c *call) {
	name, code := "none", http.StatusOK
	if c.route != nil {
		name = c.route.name
	}
	if r, ok := c.w.(*recorder); ok && r.code != 0 {
		code = r.code
	}
	m.requests.WithLabelValues(name, strconv.Itoa(code)).Inc()
}
