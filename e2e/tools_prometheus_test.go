// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picolet/picolet/deploy"
)

// prometheusManifests are ServiceAccounts: one may find nodes and read their
// metrics, one may only find them.
const prometheusManifests = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: prometheus, namespace: e2e}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: stranger, namespace: e2e}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: prometheus}
rules:
- {apiGroups: [""], resources: [nodes], verbs: [get, list, watch]}
- {apiGroups: [""], resources: [nodes/metrics], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: prometheus}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: prometheus}
subjects:
- {kind: ServiceAccount, name: prometheus, namespace: e2e}
`

// prometheusConfig has one job for each way to come to a node: with the right, with
// a token alone, and with nothing. All find nodes in the same way.
const prometheusConfig = `
global: {scrape_interval: 4s, scrape_timeout: 4s}
scrape_configs:
- job_name: allowed
  scheme: https
  tls_config: $TLS
  authorization: {credentials_file: $DIR/allowed}
  kubernetes_sd_configs: &nodes
  - {role: node, kubeconfig_file: $DIR/kubeconfig}
  relabel_configs: &labels
  - {action: labelmap, regex: __meta_kubernetes_node_label_(.+)}
  - {source_labels: [__meta_kubernetes_node_name], target_label: node}
- job_name: resource
  metrics_path: /metrics/resource
  scheme: https
  tls_config: $TLS
  authorization: {credentials_file: $DIR/allowed}
  kubernetes_sd_configs: *nodes
  relabel_configs: *labels
- job_name: forbidden
  scheme: https
  tls_config: $TLS
  authorization: {credentials_file: $DIR/forbidden}
  kubernetes_sd_configs: *nodes
  relabel_configs: *labels
- job_name: anonymous
  scheme: https
  tls_config: $TLS
  kubernetes_sd_configs: *nodes
  relabel_configs: *labels
`

// prometheus is one that runs, asked over its HTTP API.
type prometheus struct{ at netip.AddrPort }

// startPrometheus runs Prometheus outside of a pod; trust is its tls_config for
// kubelets.
func (p *plane) startPrometheus(t *testing.T, trust string) prometheus {
	t.Helper()
	path := requireTools(t).Prometheus
	must(t, deploy.Apply(t.Context(), p.config, []byte(prometheusManifests)))
	dir := t.TempDir()
	p.kubeconfig(t, filepath.Join(dir, "kubeconfig"), namespace, "prometheus")
	for name, text := range map[string]string{
		"allowed": p.token(t, namespace, "prometheus"), "forbidden": p.token(t, namespace, "stranger"),
		"prometheus.yml": strings.NewReplacer("$DIR", dir, "$TLS", trust).Replace(prometheusConfig),
	} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	m := prometheus{freePort(t, netip.MustParseAddr("127.0.0.1"))}
	runTool(t, path, "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+m.at.String())
	return m
}

// get asks the HTTP API; v takes the data of the answer.
func (m prometheus) get(ctx context.Context, path string, v any) error {
	answer := struct {
		Status string `json:"status"`
		Data   any    `json:"data"`
	}{Data: v}
	if err := getJSON(ctx, "http://"+m.at.String()+"/api/v1/"+path, &answer); err != nil {
		return err
	}
	if answer.Status != "success" {
		return fmt.Errorf("prometheus says %q to %s", answer.Status, path)
	}
	return nil
}

// target is what Prometheus says of one way to a node.
type target struct {
	Labels    map[string]string `json:"labels"`
	ScrapeURL string            `json:"scrapeUrl"`
	LastError string            `json:"lastError"`
	Health    string            `json:"health"`
}

// target finds that of a job and a node.
func (m prometheus) target(ctx context.Context, job, node string) (target, error) {
	var all struct {
		ActiveTargets []target `json:"activeTargets"`
	}
	if err := m.get(ctx, "targets?state=active", &all); err != nil {
		return target{}, err
	}
	for _, t := range all.ActiveTargets {
		if t.Labels["job"] == job && t.Labels["node"] == node && t.Health != "unknown" {
			return t, nil
		}
	}
	return target{}, fmt.Errorf("prometheus has not scraped node %s for job %s", node, job)
}

// value is that of the one series that a query is about.
func (m prometheus) value(ctx context.Context, query string) (v float64, err error) {
	var found struct {
		Result []struct {
			Value [2]any `json:"value"`
		} `json:"result"`
	}
	if err := m.get(ctx, "query?query="+url.QueryEscape(query), &found); err != nil {
		return 0, err
	}
	if len(found.Result) != 1 {
		return 0, fmt.Errorf("prometheus finds %d series for %s", len(found.Result), query)
	}
	_, err = fmt.Sscan(fmt.Sprint(found.Result[0].Value[1]), &v)
	return v, err
}

// checkPrometheus: who has the right to a node's metrics gets them, nobody else.
func checkPrometheus(t *testing.T, p *plane, node string, signs bool) {
	t.Helper()
	trust := "{insecure_skip_verify: true}"
	if signs {
		trust = "{ca_file: " + p.ca() + "}"
	}
	m := p.startPrometheus(t, trust)
	object, err := p.client.CoreV1().Nodes().Get(t.Context(), node, metav1.GetOptions{})
	must(t, err)
	port := object.Status.DaemonEndpoints.KubeletEndpoint.Port
	for _, tt := range []struct{ job, path, health, says string }{
		{"allowed", "/metrics", "up", ""},
		{"resource", "/metrics/resource", "up", ""},
		{"forbidden", "/metrics", "down", "HTTP status 403"},
		{"anonymous", "/metrics", "down", "HTTP status 401"},
	} {
		eventually(t, time.Minute, func(ctx context.Context) error {
			found, err := m.target(ctx, tt.job, node)
			if err != nil {
				return err
			}
			at := fmt.Sprintf("https://%s:%d%s", kubeletAddress(t), port, tt.path)
			if found.Health != tt.health || found.ScrapeURL != at || !strings.Contains(found.LastError, tt.says) {
				return fmt.Errorf("job %s is %+v, want %s at %s, with %q", tt.job, found, tt.health, at, tt.says)
			}
			return nil
		})
	}
	for _, query := range []string{
		`picolet_heartbeats_total{job="allowed",node="` + node + `",kubernetes_io_hostname="` + node + `"}`,
		`picolet_uptime_seconds{job="allowed",node="` + node + `"}`,
		`node_memory_working_set_bytes{job="resource",node="` + node + `"}`,
		`node_cpu_usage_seconds_total{job="resource",node="` + node + `"}`,
	} {
		eventually(t, 30*time.Second, func(ctx context.Context) error {
			v, err := m.value(ctx, query)
			if err == nil && v <= 0 {
				err = errors.New(query + " is not above 0")
			}
			return err
		})
	}
}
