// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import "github.com/prometheus/client_golang/prometheus"

// metrics are this package's; their labels take the values of Reason only.
type metrics struct {
	decisions *prometheus.CounterVec
}

func newMetrics(e *Enrolment) (*metrics, error) {
	m := &metrics{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "picolet_enrolment_decisions_total", Help: "Boards let in, refused and cut off, by reason.",
	}, []string{"reason"})}
	if e.config.Metrics == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{
		m.decisions,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "picolet_enrolment_pending_devices", Help: "Devices that nobody decided on.",
		}, func() float64 { return float64(len(e.view.pending())) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "picolet_enrolment_connected_devices", Help: "Boards that this gateway has a link with.",
		}, func() float64 { return float64(e.holds.count()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "picolet_enrolment_clock_offset_seconds", Help: "How far this machine's clock is ahead of the API server's.",
		}, func() float64 { return e.clock.offset().Seconds() }),
	} {
		if err := e.config.Metrics.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) decided(r Reason) { m.decisions.WithLabelValues(string(r)).Inc() }
