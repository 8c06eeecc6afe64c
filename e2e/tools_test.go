// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import "testing"

// What administrators use works with a board behind a link: in a cluster whose
// API server and metrics-server check the certificates of kubelets, and in one
// where nobody does.
func TestToolsOfAdministrators(t *testing.T) {
	t.Parallel()
	for name, signs := range map[string]bool{"certificates are checked": true, "certificates are not checked": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkTools(t, signs)
		})
	}
}

// checkTools has each tool use a board of its own: a board serves few clients at a
// time.
func checkTools(t *testing.T, signs bool) {
	p := startKubeletPlane(t, signs)
	trust := "--kubelet-insecure-tls"
	if signs {
		trust = "--kubelet-certificate-authority=" + p.ca()
	}
	p.startMetricsServer(t, trust)
	r := startReplica(t, p)
	node := r.board(t).name
	t.Run("Prometheus", func(t *testing.T) {
		t.Parallel()
		checkPrometheus(t, p, node, signs)
	})
	t.Run("metrics-server", func(t *testing.T) {
		t.Parallel()
		checkUsage(t, p, node)
	})
	if signs {
		t.Run("kubectl with an emulated Pico W", func(t *testing.T) {
			t.Parallel()
			checkKubectl(t, p, p.Kubectl(), r.picoW(t).name)
		})
	}
	for line, kubectl := range kubectls(t) {
		node := r.board(t).name
		t.Run("kubectl "+line, func(t *testing.T) {
			t.Parallel()
			checkKubectl(t, p, kubectl, node)
		})
	}
}
