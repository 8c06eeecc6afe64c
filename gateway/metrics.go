// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metrics are the gateway's own, in a registry of their own. Labels take their
// values from the table of operations, HTTP codes and refusal causes only.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	refused  *prometheus.CounterVec

	superseded *prometheus.CounterVec

	overBudget *prometheus.CounterVec
	barred     prometheus.Counter

	handshakes             *prometheus.CounterVec
	linkEnds               *prometheus.CounterVec
	linkReceived, linkSent prometheus.Counter
}

func newMetrics(g *Gateway) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "picolet_gateway_requests_total", Help: "Requests of boards answered, by route and HTTP status code.",
		}, []string{"route", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "picolet_gateway_request_duration_seconds", Help: "Time to answer a request of a board, without watches.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"route"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "picolet_gateway_refused_total", Help: "Connections and requests that the gateway refused itself, by cause.",
		}, []string{"cause"}),
		superseded: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "picolet_gateway_connections_superseded_total",
			Help: "Connections closed in favour of a newer one of the same board, by cause: limit of connections, or a watch of the same ConfigMap.",
		}, []string{"cause"}),
		overBudget: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "picolet_gateway_over_budget_total", Help: "Requests refused because their board had used up a budget, by budget.",
		}, []string{"budget"}),
		barred: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "picolet_gateway_boards_barred_total", Help: "Boards cut off for a while because they went on beyond their budget.",
		}),
		handshakes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "picolet_gateway_link_handshakes_total", Help: "Connections to the address for links, by what became of them.",
		}, []string{"outcome"}),
		linkEnds: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "picolet_gateway_link_ends_total", Help: "Links that have ended, by reason.",
		}, []string{"reason"}),
		linkReceived: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "picolet_gateway_link_received_bytes_total", Help: "Bytes of links received, encrypted, handshakes included.",
		}),
		linkSent: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "picolet_gateway_link_sent_bytes_total", Help: "Bytes of links sent, encrypted, handshakes included.",
		}),
	}
	for _, cause := range []string{"limit", "watch"} {
		m.superseded.WithLabelValues(cause)
	}
	for _, name := range itemNames {
		m.overBudget.WithLabelValues(name)
	}
	m.registry.MustRegister(m.requests, m.duration, m.refused, m.superseded, m.overBudget, m.barred, m.handshakes, m.linkEnds, m.linkReceived, m.linkSent,
		gauge("picolet_gateway_links", "Boards connected by an encrypted link.", func() float64 { return float64(g.links.count()) }),
		gauge("picolet_gateway_handshake_places_in_use", "Handshakes that compute just now, of at most one for each processor.", func() float64 { return float64(g.places.inUse()) }),
		gauge("picolet_gateway_boards", "Boards that hold a node name.", func() float64 { return float64(g.claims.count() + g.links.count()) }),
		gauge("picolet_gateway_connections", "Open connections of boards.", func() float64 { return float64(g.connections.Load()) }),
		gauge("picolet_gateway_upstream_requests_in_flight", "Requests that wait for the API server.", func() float64 { return float64(g.upstream.places.inUse()) }),
		gauge("picolet_gateway_configmaps", "ConfigMaps watched for boards, each by one upstream watch.", func() float64 { return float64(g.cache.size()) }),
		gauge("picolet_gateway_configmap_watchers", "Watches of ConfigMaps that boards have open.", func() float64 { return float64(g.cache.watchers.Load()) }),
		gauge("picolet_gateway_ready", "1 if the API server is reachable and lets the gateway act for nodes.", g.readiness),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "picolet_gateway_configmap_events_total", Help: "Watch events sent to boards, with bookmarks.",
		}, func() float64 { return float64(g.cache.events.Load()) }),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

func gauge(name, help string, value func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
}

func (g *Gateway) readiness() float64 {
	if g.rights.get() != nil {
		return 0
	}
	return 1
}

// served counts one answered request.
func (m *metrics) served(route string, code int, took time.Duration, watch bool) {
	m.requests.WithLabelValues(route, strconv.Itoa(code)).Inc()
	if !watch {
		m.duration.WithLabelValues(route).Observe(took.Seconds())
	}
}
