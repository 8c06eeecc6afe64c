// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

var update = flag.Bool("update", false, "rewrite testdata/metrics.golden")

// TestMetrics: names, help and labels are what users build alerts on.
func TestMetrics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := startPiped(t, newFakeAPI())
		h.api.put("pico-config", "1")
		h.get(t, "pico-1", own)
		h.get(t, "pico-1", oneMap)
		h.get(t, "pico-1", "/api/v1/secrets")
		h.get(t, "pico-1", "/api/v1/secrets/of/another/name")
		w := h.watch(t, "pico-2", "")
		w.next("ADDED")
		synctest.Wait()
		if problems, err := testutil.GatherAndLint(h.metrics.registry); err != nil || len(problems) > 0 {
			t.Errorf("promlint: %v, %v", problems, err)
		}
		_, body := admin(h, "/metrics")
		var own []string
		for line := range strings.Lines(body) {
			if strings.Contains(line, "picolet_gateway_") {
				// Times differ from run to run outside of a bubble's clock.
				own = append(own, regexp.MustCompile(`(_bucket\{.*\}|_sum\{.*\}) .*`).ReplaceAllString(line, "$1 T"))
			}
		}
		got := strings.Join(own, "")
		const golden = "testdata/metrics.golden"
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil || got != string(want) {
			t.Errorf("metrics differ from %s (%v); run with -update if that is meant:\n%s", golden, err, got)
		}
		endBubble(t, h)
	})
}
