// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package credentials

import "github.com/prometheus/client_golang/prometheus"

type metrics struct{ certificates *prometheus.CounterVec }

func newMetrics(p *Pool) (*metrics, error) {
	m := &metrics{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "picolet_credentials_certificates_total",
		Help: "Client certificates of nodes obtained, by outcome: issued, loaded from a Secret, or failed.",
	}, []string{"outcome"})}
	for _, outcome := range []string{"issued", "loaded", "failed"} {
		m.certificates.WithLabelValues(outcome)
	}
	if p.config.Metrics == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.certificates, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "picolet_credentials_nodes", Help: "Nodes whose client certificates are in use.",
	}, func() float64 { return float64(p.count()) })} {
		if err := p.config.Metrics.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) obtained(outcome string) { m.certificates.WithLabelValues(outcome).Inc() }
