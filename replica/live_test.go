// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/picolet/picolet/deploy"
	"github.com/picolet/picolet/enrolment"
	"github.com/picolet/picolet/gateway"
	"github.com/picolet/picolet/netns"
)

// waitServing waits until the node's serving certificate is the cluster's, which
// the API server insists on.
func (r *process) waitServing(t testing.TB, node string) {
	t.Helper()
	eventually(t, 30*time.Second, func() error {
		if r.log.lines(`msg="Serving certificate issued"`, "node="+node) == 0 {
			return errors.New("no serving certificate of node " + node)
		}
		return nil
	})
}

// TestBoardJoins is a board's way from a stranger to a node that kubectl works with.
func TestBoardJoins(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	r := p.start(t, nil)
	b := newBoard(t, r)
	node := p.join(t, b, `{"approved":true,"zone":"hall-1","labels":{"example.com/row":"3"},"taints":[{"key":"example.com/wet","effect":"NoSchedule"}]}`)
	if n := r.log.lines("level=INFO", "Refused a board", b.device) + r.log.lines("level=WARN", b.name); n != 1 {
		t.Errorf("the refusal was logged %d times", n)
	}
	t.Run("as its Device says", func(t *testing.T) { checkNode(t, node, r) })
	t.Run("shown as a pod", func(t *testing.T) { p.checkPod(t, b, "v1.2.3") })
	t.Run("for kubectl", func(t *testing.T) { p.checkKubectl(t, r, b) })
	t.Run("with metrics of all parts", func(t *testing.T) { checkMetrics(t, r) })
	t.Run("with other labels", func(t *testing.T) { p.checkRelabelled(t, b) })
}

func checkNode(t *testing.T, n *corev1.Node, r *process) {
	if want := []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: netns.Address().String()}, {Type: corev1.NodeHostName, Address: n.Name}}; !slices.Equal(n.Status.Addresses, want) {
		t.Errorf("addresses %v, want %v", n.Status.Addresses, want)
	}
	if port := portOf(n); port < r.config.FirstPort || port > r.config.LastPort {
		t.Errorf("port %d, want %d to %d", port, r.config.FirstPort, r.config.LastPort)
	}
	for key, want := range map[string]string{corev1.LabelTopologyZone: "hall-1", "example.com/row": "3", corev1.LabelHostname: n.Name} {
		if got := n.Labels[key]; got != want {
			t.Errorf("label %s is %q, want %q", key, got, want)
		}
	}
	if want := (corev1.Taint{Key: "example.com/wet", Effect: corev1.TaintEffectNoSchedule}); !slices.Contains(n.Spec.Taints, want) {
		t.Errorf("taints %v, want %v", n.Spec.Taints, want)
	}
	if want := []string{webSockets}; !slices.Equal(n.Status.DeclaredFeatures, want) {
		t.Errorf("features %v, want %v", n.Status.DeclaredFeatures, want)
	}
}

// checkRelabelled: labels and zone that a Device gets while its board is connected
// are its node's soon.
func (p *plane) checkRelabelled(t *testing.T, b *testBoard) {
	p.set(t, b.device, `{"zone":"hall-2","labels":{"example.com/row":"4"}}`)
	p.waitNode(t, b.name, func(n *corev1.Node) error {
		if n.Labels[corev1.LabelTopologyZone] != "hall-2" || n.Labels["example.com/row"] != "4" {
			return fmt.Errorf("labels %v", n.Labels)
		}
		return nil
	})
}

// checkPod waits until the board's firmware is shown as a pod that is Ready.
func (p *plane) checkPod(t *testing.T, b *testBoard, version string) {
	t.Helper()
	eventually(t, 30*time.Second, func() error {
		pod, err := p.client.CoreV1().Pods(metav1.NamespaceSystem).Get(t.Context(), "picolet-"+b.name, metav1.GetOptions{})
		switch {
		case err != nil:
			return err
		case pod.Spec.Containers[0].Image != "picolet.dev/firmware:"+version:
			return fmt.Errorf("image %s, want version %s", pod.Spec.Containers[0].Image, version)
		case pod.Status.Phase != corev1.PodRunning || len(pod.Status.ContainerStatuses) != 1 || !pod.Status.ContainerStatuses[0].Ready:
			return fmt.Errorf("phase %s, containers %v", pod.Status.Phase, pod.Status.ContainerStatuses)
		case pod.Status.PodIP != netns.Address().String():
			return fmt.Errorf("address %q", pod.Status.PodIP)
		}
		started := pod.Status.ContainerStatuses[0].State.Running.StartedAt
		if ago := time.Since(started.Time); ago < -5*time.Second || ago > 5*time.Minute {
			return fmt.Errorf("started %v", started)
		}
		return nil
	})
}

func (p *plane) checkKubectl(t *testing.T, r *process, b *testBoard) {
	r.waitServing(t, b.name)
	pod := "picolet-" + b.name
	p.prints(t, `INFO msg="Node registered"`, "-n", "kube-system", "logs", pod)
	p.prints(t, `"name": "`+b.name+`"`, "-n", "kube-system", "exec", pod, "--", "status")
	if netns.Address().IsLoopback() {
		t.Skip("an API server does not proxy to a loopback address")
	}
	p.prints(t, "ok", "get", "--raw", "/api/v1/nodes/"+b.name+"/proxy/healthz")
	p.prints(t, `"startedAt":"20`, "get", "--raw", "/api/v1/nodes/"+b.name+"/proxy/pods")

	out, err := p.kubectl(t, "-n", "kube-system", "logs", pod, "--timestamps")
	if must(t, err); strings.Contains(out, "+0.") || !strings.Contains(out, `msg="Kubelet started"`) {
		t.Errorf("lines from before the board knew the time have none:\n%s", out)
	}
}

func checkMetrics(t *testing.T, r *process) {
	for path, wants := range map[string][]string{
		"/healthz": {"ok"},
		"/readyz":  {"ok"},
		"/metrics": {"picolet_gateway_links 1", "picolet_enrolment_connected_devices 1", "picolet_kubeletport_nodes 1", "go_goroutines "},
	} {
		w := httptest.NewRecorder()
		r.AdminHandler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		for _, want := range wants {
			if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) {
				t.Errorf("%s: %d, want %s in\n%s", path, w.Code, want, w.Body)
			}
		}
	}
}

// isOpen tells whether somebody listens on a kubelet port.
func isOpen(port int) bool {
	c, err := net.DialTimeout("tcp", net.JoinHostPort(netns.Address().String(), strconv.Itoa(port)), time.Second)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// TestRevoked: a board is cut off, and let in again.
func TestRevoked(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	r := p.start(t, nil)
	b := newBoard(t, r)
	before := p.join(t, b, `{"approved":true}`)
	p.set(t, b.device, `{"approved":false}`)
	begin := time.Now()
	eventually(t, 10*time.Second, func() error {
		if isOpen(portOf(before)) || r.log.lines("Board's link is down", "node="+b.name, "reason=revoked") == 0 {
			return errors.New("the board is not cut off")
		}
		return nil
	})
	d := time.Since(begin)
	if t.Logf("cut off in %v", d); d > time.Second {
		t.Error("that is too late")
	}
	if _, err := p.client.CoreV1().Nodes().Get(t.Context(), b.name, metav1.GetOptions{}); err != nil {
		t.Errorf("its Node: %v", err)
	}
	p.approve(t, b, `{"approved":true}`)
	eventually(t, 30*time.Second, func() error {
		if !isOpen(portOf(before)) {
			return errors.New("its port is closed")
		}
		return nil
	})
}

// TestPortSurvivesRestart: the API server finds the node where it was.
func TestPortSurvivesRestart(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	first := p.start(t, nil)
	b := newBoard(t, first)
	before := p.join(t, b, `{"approved":true}`)
	first.stop()
	if isOpen(portOf(before)) {
		t.Error("the port outlives its replica")
	}
	second := p.start(t, func(c *Config) {
		c.Name, c.FirstPort, c.LastPort = first.config.Name, first.config.FirstPort, first.config.LastPort
	})
	b.gateway.Store(&second.addr)
	second.waitServing(t, b.name)
	p.prints(t, `"name": "`+b.name+`"`, "-n", "kube-system", "exec", "picolet-"+b.name, "--", "status")
	after := p.waitNode(t, b.name, isReady)
	if portOf(after) != portOf(before) || !isOpen(portOf(after)) {
		t.Errorf("port %d, was %d", portOf(after), portOf(before))
	}
}

// TestBoardMoves: the Node's kubelet port is where its board is.
func TestBoardMoves(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	first, second := p.start(t, nil), p.start(t, nil)
	b := newBoard(t, first)
	before := p.join(t, b, `{"approved":true}`)
	b.gateway.Store(&second.addr)
	begin := time.Now()
	first.stop()
	p.waitNode(t, b.name, func(n *corev1.Node) error {
		if port := portOf(n); port < second.config.FirstPort || port > second.config.LastPort {
			return fmt.Errorf("port %d, was %d", port, portOf(before))
		}
		return isReady(n)
	})
	t.Logf("moved in %v", time.Since(begin))
	second.waitServing(t, b.name)
	p.prints(t, `INFO msg=`, "-n", "kube-system", "logs", "picolet-"+b.name)
}

// TestJoinToken: who brings one needs no approval.
func TestJoinToken(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	r := p.start(t, nil)
	secret, token, err := enrolment.NewJoinToken(enrolment.JoinToken{
		Uses: 1, Expires: time.Now().Add(time.Hour), Labels: map[string]string{"example.com/batch": "7"},
	})
	must(t, err)
	_, err = p.client.CoreV1().Secrets(enrolment.DefaultNamespace).Create(t.Context(), secret, metav1.CreateOptions{})
	must(t, err)
	b := newBoard(t, r)
	b.link.Hello.JoinToken = token
	b.boot(t)
	if n := p.waitNode(t, b.name, isReady); n.Labels["example.com/batch"] != "7" {
		t.Errorf("labels %v", n.Labels)
	}
	if strings.Contains(r.log.String(), token) {
		t.Error("the token is in the log")
	}
}

// TestFirmwareUpdate: another version is another pod, and so is that of another
// Node.
func TestFirmwareUpdate(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	r := p.start(t, nil)
	b := newBoard(t, r)
	p.join(t, b, `{"approved":true}`)
	p.checkPod(t, b, "v1.2.3")
	b.link.Hello.Version = "v1.3.0"
	b.boot(t)
	p.checkPod(t, b, "v1.3.0")
}

// TestNodesHaveCertificates: with a certificate of its own, a node is no other than
// by impersonation.
func TestNodesHaveCertificates(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	must(t, deploy.Apply(t.Context(), p.admin, deploy.Certificates))
	r := p.start(t, func(c *Config) { c.Identity = gateway.IdentityCertificates })
	b := newBoard(t, r)
	checkNode(t, p.join(t, b, `{"approved":true,"zone":"hall-1","labels":{"example.com/row":"3"},"taints":[{"key":"example.com/wet","effect":"NoSchedule"}]}`), r)
	p.checkPod(t, b, "v1.2.3")
	secrets := p.client.CoreV1().Secrets(enrolment.DefaultNamespace)
	_, err := secrets.Get(t.Context(), "picolet-node-"+b.name, metav1.GetOptions{})
	must(t, err)
	must(t, p.devices.Delete(t.Context(), b.device, metav1.DeleteOptions{}))
	eventually(t, 30*time.Second, func() error {
		_, err := secrets.Get(t.Context(), "picolet-node-"+b.name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("the Secret is still there: %v", err)
	})
}

// TestPreflightNamesTheManifests: who runs with the rights of deploy/rbac.yaml alone
// is told what else to apply.
func TestPreflightNamesTheManifests(t *testing.T) {
	t.Parallel()
	p := livePlane(t)
	user := rest.CopyConfig(p.admin)
	user.Impersonate.UserName = "system:serviceaccount:default:default" // has no rights at all
	client, err := rest.TransportFor(user)
	must(t, err)
	r, err := New(Config{
		Kubernetes: &rest.Config{Host: p.admin.Host, Transport: client}, Name: "gw-bare", Addresses: []netip.Addr{netns.Address()},
	})
	must(t, err)
	err = r.Preflight(t.Context())
	for _, want := range []string{"deploy/rbac.yaml", "deploy/enrolment.yaml", "deploy/kubelet-port.yaml", "get secrets in namespace picolet-system"} {
		if !errors.Is(err, gateway.ErrRightsMissing) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
