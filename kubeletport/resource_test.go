// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

const nodeMetrics = `# HELP node_cpu_usage_seconds_total CPU.
# TYPE node_cpu_usage_seconds_total counter
node_cpu_usage_seconds_total 1.5
# HELP node_memory_working_set_bytes Memory.
# TYPE node_memory_working_set_bytes gauge
node_memory_working_set_bytes 40960
`

const scrapeError = `# HELP resource_scrape_error Error.
# TYPE resource_scrape_error gauge
resource_scrape_error 0
`

const firmwareCPU = `# HELP container_cpu_usage_seconds_total CPU time that the firmware used.
# TYPE container_cpu_usage_seconds_total counter
container_cpu_usage_seconds_total{container="firmware",namespace="kube-system",pod="picolet-pico-1"} 1.5
`

const firmwareMemory = `# HELP container_memory_working_set_bytes Memory that the firmware uses.
# TYPE container_memory_working_set_bytes gauge
container_memory_working_set_bytes{container="firmware",namespace="kube-system",pod="picolet-pico-1"} 40960
`

const otherPod = `# TYPE container_memory_working_set_bytes gauge
container_memory_working_set_bytes{container="c",namespace="default",pod="somebody-elses"} 1
# TYPE node_swap_usage_bytes gauge
node_swap_usage_bytes 1
`

const memoryOfTwo = `# TYPE node_memory_working_set_bytes gauge
node_memory_working_set_bytes{node="other"} 1
node_memory_working_set_bytes 2
`

// TestResourceMetrics: the firmware is shown as the pod that it is, and what a
// board says of anything else is not passed on.
func TestResourceMetrics(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		says string
		code int
		want string
	}{
		"all":          {nodeMetrics + scrapeError, 200, firmwareCPU + firmwareMemory + nodeMetrics + scrapeError},
		"nothing":      {"", 200, ""},
		"no errors":    {nodeMetrics, 200, firmwareCPU + firmwareMemory + nodeMetrics},
		"others' pods": {otherPod + scrapeError, 200, scrapeError},
		"two samples":  {memoryOfTwo + scrapeError, 200, scrapeError},
		"garbage":      {"node_memory_working_set_bytes many\n", 502, `the board of node pico-1 gave metrics that cannot be read`},
		"too much":     {strings.Repeat("#\n", maxBuffered/2), 502, `the board of node pico-1 gave metrics that cannot be read`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBoard(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", metricsType)
				_, _ = io.WriteString(w, tt.says)
			})
			h := startServer(t, b, nil)
			got := ask(t, h.client(t, h.admin(t)), "GET", "/metrics/resource", "")
			if got.code != tt.code || got.code == 200 && got.body != tt.want || !strings.Contains(got.body, tt.want) {
				t.Errorf("%d\n%s\nwant %d\n%s", got.code, got.body, tt.code, tt.want)
			}
		})
	}
}
