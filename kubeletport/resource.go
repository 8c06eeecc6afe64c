// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"bytes"
	"fmt"
	"net/http"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"k8s.io/utils/ptr"

	"github.com/picolet/picolet/kubeletport/staticpod"
)

// resourceFamilies are what /metrics/resource shows
// (pkg/kubelet/metrics/collectors/resource_metrics.go), and from which family of
// the board each comes: the firmware is all that runs there, so it uses what the
// node uses.
var resourceFamilies = []struct {
	name, from, help string // help: "" as the board has it
}{
	{"container_cpu_usage_seconds_total", "node_cpu_usage_seconds_total", "CPU time that the firmware used."},
	{"container_memory_working_set_bytes", "node_memory_working_set_bytes", "Memory that the firmware uses."},
	{"node_cpu_usage_seconds_total", "node_cpu_usage_seconds_total", ""},
	{"node_memory_working_set_bytes", "node_memory_working_set_bytes", ""},
	{"resource_scrape_error", "resource_scrape_error", ""},
}

// serveResource answers /metrics/resource, with the board's pod beside the node.
// Nothing else of the board's answer is passed on: metrics-server would take what
// it says of pods on other nodes for true.
func (s *Server) serveResource(c *call) *refusal {
	a, refused := s.ask(c.r.Context(), c.port, boardRequest{method: http.MethodGet, path: c.r.URL.Path})
	if refused != nil {
		return refused
	}
	defer a.close()
	if a.code != http.StatusOK {
		c.answer(a)
		return nil
	}
	text, err := resourceMetrics(a, c.port.node.Name)
	if err != nil {
		return refuse(http.StatusBadGateway, "the board of node %s gave metrics that cannot be read", c.port.node.Name).because(err)
	}
	c.answer(&boardAnswer{code: a.code, contentType: metricsType, head: text})
	return nil
}

func resourceMetrics(a *boardAnswer, node string) ([]byte, error) {
	if a.rest != nil {
		return nil, fmt.Errorf("they are longer than %d bytes", maxBuffered)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	said, err := parser.TextToMetricFamilies(bytes.NewReader(a.head))
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	for _, f := range resourceFamilies {
		from := said[f.from]
		if from == nil || len(from.Metric) != 1 || len(from.Metric[0].Label) > 0 {
			continue
		}
		if f.help != "" {
			from = containerFamily(from.Type, from.Metric[0], f.name, f.help, node)
		}
		if _, err := expfmt.MetricFamilyToText(&text, from); err != nil {
			return nil, err
		}
	}
	return text.Bytes(), nil
}

// containerFamily says of the firmware what a metric says of the node.
func containerFamily(kind *dto.MetricType, m *dto.Metric, name, help, node string) *dto.MetricFamily {
	label := func(name, value string) *dto.LabelPair {
		return &dto.LabelPair{Name: ptr.To(name), Value: ptr.To(value)}
	}
	return &dto.MetricFamily{Name: ptr.To(name), Help: ptr.To(help), Type: kind, Metric: []*dto.Metric{{
		Label: []*dto.LabelPair{
			label("container", staticpod.Container), label("namespace", staticpod.Namespace), label("pod", staticpod.Name(node)),
		},
		Counter: m.Counter, Gauge: m.Gauge, Untyped: m.Untyped, TimestampMs: m.TimestampMs,
	}}}
}
