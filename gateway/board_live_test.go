// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picolet/picolet/kubelet/jsonstream"
	"github.com/picolet/picolet/kubelet/node"
	"github.com/picolet/picolet/link/noise/session"
)

// link runs a replica of the gateway that gives pico-part a part, and opens its
// link.
func (l *live) link(t *testing.T, part NodePart, change ...func(*Config)) (s *session.Session, end func()) {
	t.Helper()
	h := l.gateway(t, change...)
	list := NewAllowList()
	if err := list.Allow(boardKey(1).Public, "pico-part"); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.ServeLinks(ctx, ln, LinkConfig{Key: gatewayKey(), Admission: withPart{list, part}}) }()
	end = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if strings.Contains(h.log.String(), "trying on") {
			t.Errorf("the API server did not take the part:\n%s", h.log)
		}
	})
	t.Cleanup(end)
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err = session.Dial(ctx, conn, session.Board{Key: boardKey(1), GatewayKey: gatewayKey().Public, Hello: testHello("pico-part")})
	if err != nil {
		t.Fatal(err)
	}
	return s, end
}

func (l *live) nodeNamed(t *testing.T, name string) *corev1.Node {
	t.Helper()
	n, err := l.client.CoreV1().Nodes().Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// hasPart reports what of a part a Node has not.
func hasPart(n *corev1.Node, p *NodePart) bool {
	labels := maps.Clone(n.Labels)
	maps.Copy(labels, p.Labels)
	return maps.Equal(labels, n.Labels) &&
		reflect.DeepEqual(n.Status.Addresses, []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: p.Kubelet.Addr().String()}, {Type: corev1.NodeHostName, Address: n.Name}}) &&
		n.Status.DaemonEndpoints.KubeletEndpoint.Port == int32(p.Kubelet.Port()) &&
		reflect.DeepEqual(n.Status.DeclaredFeatures, p.Features)
}

// part: a Node has what the gateway says of it, from its making on, whatever its
// board says; and it follows the board to another replica without a word of it.
func (l *live) part(t *testing.T) {
	board := &node.Node{Spec: node.Spec{Name: "pico-part", OS: "linux", Arch: "arm", InstanceType: "rp2040-pico", CPU: "1", Memory: "256Ki", Port: 10250, Version: "v1.37.2",
		Labels: []node.Label{{Key: "a", Value: "board"}, {Key: "b", Value: "board"}}}}
	board.SetAddress("10.0.0.7")
	write := func(do func(*jsonstream.Writer, int64)) string {
		var w jsonstream.Writer
		w.Reset(make([]byte, 0, 8<<10))
		do(&w, 1_700_000_000_000_000)
		return string(w.Bytes())
	}
	s, end := l.link(t, testPart)
	c := linkClient(s)
	for _, tt := range []struct {
		method, target, body, contentType string
		code                              int
	}{
		{"POST", "/api/v1/nodes", write(board.WriteNode), jsonType, http.StatusCreated},
		{"PATCH", "/api/v1/nodes/pico-part/status", write(board.WriteStatusPatch), strategicPatchType, http.StatusOK},
		{"PATCH", "/api/v1/nodes/pico-part/status", write(board.WriteHeartbeat), strategicPatchType, http.StatusOK},
		{"PATCH", "/api/v1/nodes/pico-part/status", `{"status":{"addresses":null,"declaredFeatures":null}}`, mergePatchType, http.StatusOK},
		{"PATCH", "/api/v1/nodes/pico-part", write(func(w *jsonstream.Writer, _ int64) { board.WriteLabelPatch(w) }), strategicPatchType, http.StatusOK},
	} {
		if r := ask(t, c, tt.method, tt.target, tt.body, "Content-Type", tt.contentType); r.code != tt.code {
			t.Fatalf("%s %s: %d %s", tt.method, tt.target, r.code, r.body)
		}
		n := l.nodeNamed(t, "pico-part")
		if !hasPart(n, &testPart) || n.Labels["b"] != "" || n.Labels[excludeDisruption] != "" || n.Status.Capacity.Cpu().Value() != 1 {
			t.Errorf("after %s %s of %s: labels %v, status %+v", tt.method, tt.target, tt.contentType, n.Labels, n.Status)
		}
		if taints := n.Spec.Taints; len(taints) < 2 || taints[0].Key != node.TaintKey || taints[1] != testPart.Taints[0] {
			t.Errorf("taints %v", taints)
		}
	}
	end()
	moved := testPart
	moved.Pods = 0
	moved.Labels = map[string]string{"topology.kubernetes.io/zone": "cellar"}
	moved.Kubelet = netip.MustParseAddrPort("192.0.2.11:20002")
	_, end = l.link(t, moved)
	eventually(t, "the Node has the other replica's part", func() bool { return hasPart(l.nodeNamed(t, "pico-part"), &moved) })
	n := l.nodeNamed(t, "pico-part")
	if n.Labels["a"] != "gateway" || n.Status.Capacity.Cpu().Value() != 1 {
		t.Errorf("labels %v, status %+v", n.Labels, n.Status)
	}
	if n.Status.Capacity.Pods().Value() != 0 {
		t.Errorf("room for pods: %v", n.Status.Capacity)
	}
	end()
	l.settings(t)
}

// settings: the Node that is there is as the gateway's settings have it, without a
// word of its board.
func (l *live) settings(t *testing.T) {
	l.link(t, NodePart{}, func(c *Config) {
		c.Nodes = NodeSettings{OS: "picolet", Zone: "roof", NoHostnameLabel: true, NoHostnameAddress: true}
	})
	eventually(t, "the Node is as the gateway's settings say", func() bool {
		n := l.nodeNamed(t, "pico-part")
		_, hasHostname := n.Labels[corev1.LabelHostname]
		return n.Labels[corev1.LabelOSStable] == "picolet" && n.Status.NodeInfo.OperatingSystem == "picolet" && n.Labels[corev1.LabelTopologyZone] == "roof" &&
			!hasHostname && len(n.Status.Addresses) == 0 && n.Status.Capacity.Cpu().Value() == 1
	})
}

// flooded: of a board that sends Events as fast as it can, the real API server gets
// its budget and no more, and it keeps the others.
func (l *live) flooded(t *testing.T) {
	s, _ := l.link(t, NodePart{})
	var n atomic.Int64
	begin := time.Now()
	codes := flood(t, s, func() string {
		n := n.Add(1)
		event := strings.ReplaceAll(eventOf(3<<10-1<<10*int(n%2)), "pico-1.1", fmt.Sprintf("pico-part.%d", n))
		if n%3 == 0 {
			event = eventOf(60 << 10) // refused for its size
		}
		return strings.ReplaceAll(event, "pico-1", "pico-part")
	}, 4*time.Second)
	took := time.Since(begin)
	list, err := l.client.CoreV1().Events("default").List(t.Context(), metav1.ListOptions{FieldSelector: "reason=Full"})
	if err != nil {
		t.Fatal(err)
	}
	most := float64(limits[eventRate].burst) + took.Seconds()*float64(limits[eventRate].rate) + 1
	if stored := len(list.Items); stored == 0 || float64(stored) > most || stored != codes[http.StatusCreated] {
		t.Errorf("%d Events are stored, want at most %v; codes %v", stored, most, codes)
	}
	if codes[http.StatusTooManyRequests] == 0 || codes[http.StatusRequestEntityTooLarge] == 0 {
		t.Errorf("codes %v", codes)
	}
	t.Logf("in %v: codes %v", took, codes)
}

// olderFirmware: a board without our kubelet becomes a Ready node by the requests
// that it makes, over plain HTTP from its named address.
func (l *live) olderFirmware(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := startOn(t, ln, nil, l.own, func(c *Config) {
		c.InsecureBoards = map[string]netip.Addr{"pico-old": netip.MustParseAddr("127.0.0.1")}
	})
	eventually(t, "the gateway is ready", func() bool { return h.rights.get() == nil })
	for _, tt := range []struct {
		name, method, target, body string
		code                       int
	}{
		{"first", "POST", "/api/v1/nodes", oldNode, http.StatusCreated},
		{"again", "POST", "/api/v1/nodes", oldNode, http.StatusConflict},
		{"status before the time", "PATCH", own + "/status", oldStatus(false, "1970-01-01T00:00:00Z"), http.StatusOK},
		{"status", "PATCH", own + "/status", oldStatus(false, "2026-01-01T00:00:00Z"), http.StatusOK},
		{"status with metadata", "PATCH", own + "/status", oldStatus(true, "2026-01-01T00:00:10Z"), http.StatusOK},
		{"ConfigMap", "GET", oneMap, "", http.StatusNotFound},
	} {
		contentType := jsonType
		if tt.method == http.MethodPatch {
			contentType = strategicPatchType
		}
		rename := strings.NewReplacer("pico-1", "pico-old").Replace
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		r, closed := sayOn(t, conn, oldRequest(tt.method, rename(tt.target)+" HTTP/1.1", oldHead, contentType, rename(tt.body)))
		_ = conn.Close()
		if r.code != tt.code || !closed {
			t.Errorf("%s: %d %s, closed %v, want %d", tt.name, r.code, r.body, closed, tt.code)
		}
	}
	n := l.nodeNamed(t, "pico-old")
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady && (c.Status != corev1.ConditionTrue || c.LastHeartbeatTime.UTC().Format("2006-01-02T15:04:05Z") != "2026-01-01T00:00:10Z") {
			t.Errorf("condition %+v", c)
		}
	}
	if n.Status.DaemonEndpoints.KubeletEndpoint.Port != 10250 || n.Labels["beta.kubernetes.io/arch"] != "arm" || len(n.Status.Conditions) != 2 {
		t.Errorf("labels %v, status %+v", n.Labels, n.Status)
	}
}
