// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/picolet/picolet/deploy"
	"github.com/picolet/picolet/e2e/internal/tools"
)

// requireTools skips where metrics-server and Prometheus are not built, or where an
// API server could not reach them, except in CI.
func requireTools(t *testing.T) tools.Built {
	t.Helper()
	b, err := tools.Find(tools.Options{Source: "tools"})
	if err == nil && kubeletAddress(t).IsLoopback() {
		err = errors.New("the API server takes no loopback address for a Service: run the tests as root, or allow user namespaces")
	}
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	must(t, err)
	return b
}

// startMetricsServer runs metrics-server with its own manifests, outside of a
// pod: an EndpointSlice tells where. tls are its flags about the certificates of
// kubelets.
func (p *plane) startMetricsServer(t *testing.T, tls ...string) {
	t.Helper()
	built := requireTools(t)
	must(t, deploy.Apply(t.Context(), p.config, built.MetricsServerManifests))
	at := freePort(t, kubeletAddress(t))
	p.pointService(t, "metrics-server", at)
	dir := t.TempDir()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	p.kubeconfig(t, kubeconfig, metav1.NamespaceSystem, "metrics-server")
	runTool(t, built.MetricsServer, append([]string{
		"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
		"--cert-dir=" + dir, "--bind-address=" + at.Addr().String(), fmt.Sprint("--secure-port=", at.Port()),
		"--kubelet-preferred-address-types=InternalIP", "--kubelet-use-node-status-port",
		"--metric-resolution=10s", "--kubelet-request-timeout=9s", // the former must be longer
	}, tls...)...)
}

// pointService has the API server reach a Service of kube-system, port https, at
// an address.
func (p *plane) pointService(t *testing.T, name string, at netip.AddrPort) {
	t.Helper()
	_, err := p.client.DiscoveryV1().EndpointSlices(metav1.NamespaceSystem).Create(t.Context(), &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{at.Addr().String()}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)}}},
		Ports:       []discoveryv1.EndpointPort{{Name: ptr.To("https"), Protocol: ptr.To(corev1.ProtocolTCP), Port: ptr.To(int32(at.Port()))}},
	}, metav1.CreateOptions{})
	must(t, err)
}

// usage is the part of a NodeMetrics, and of a container's, that says how much.
type usage struct {
	Usage corev1.ResourceList `json:"usage"`
}

// checkUsage: metrics-server says of a virtual board, and of its pod, what the
// board does: it uses a 25th of a processor and 40 to 64 KiB.
func checkUsage(t *testing.T, p *plane, node string) {
	t.Helper()
	api := p.client.Discovery().RESTClient()
	eventually(t, 90*time.Second, func(ctx context.Context) error {
		raw, err := api.Get().AbsPath("/apis/metrics.k8s.io/v1beta1/nodes", node).DoRaw(ctx)
		if err != nil {
			return err
		}
		var u usage
		return errors.Join(json.Unmarshal(raw, &u), u.check())
	})
	eventually(t, 30*time.Second, func(ctx context.Context) error {
		raw, err := api.Get().AbsPath("/apis/metrics.k8s.io/v1beta1/namespaces/kube-system/pods", "picolet-"+node).DoRaw(ctx)
		if err != nil {
			return err
		}
		var pod struct {
			Containers []usage `json:"containers"`
		}
		if err := json.Unmarshal(raw, &pod); err != nil || len(pod.Containers) != 1 {
			return fmt.Errorf("%s: want one container (%v)", raw, err)
		}
		return pod.Containers[0].check()
	})
}

func (u *usage) check() error {
	cpu, memory := u.Usage.Cpu().ScaledValue(resource.Micro), u.Usage.Memory().Value()
	if cpu < 36_000 || cpu > 44_000 || memory < 40<<10 || memory > 64<<10 {
		return fmt.Errorf("%d µCPU and %d bytes of memory are used, want some 40000 and 40960 to 65536", cpu, memory)
	}
	return nil
}
