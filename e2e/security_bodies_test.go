// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/picolet/picolet/link/noise/session"
)

// greedyNode is the Node of a board that wants to be more than a board.
const greedyNode = `{"kind":"Node","apiVersion":"v1","metadata":{"name":"NODE","labels":{"kubernetes.io/hostname":"NODE","kubernetes.io/os":"linux","node-pool":"greedy"},
"annotations":{"flannel.alpha.coreos.com/public-ip":"greedy"},"finalizers":["greedy.example.com/stay"]},
"spec":{"podCIDR":"10.9.0.0/16","podCIDRs":["10.9.0.0/16"],"providerID":"greedy://i-1","taints":[]},
"status":{"capacity":{"cpu":"1000","memory":"1Ti","pods":"110","example.com/greedy":"8"},"allocatable":{"cpu":"1000","memory":"1Ti","pods":"110","example.com/greedy":"8"},
"conditions":[{"type":"Ready","status":"True","reason":"KubeletReady","lastHeartbeatTime":"2026-01-01T00:00:00Z"},{"type":"Greedy","status":"True"}],
"addresses":[{"type":"InternalIP","address":"10.66.0.1"},{"type":"ExternalDNS","address":"greedy"}],"images":[{"names":["greedy"],"sizeBytes":1}],
"daemonEndpoints":{"kubeletEndpoint":{"Port":666}},"volumesInUse":["greedy"],"nodeInfo":{"containerRuntimeVersion":"containerd://2","operatingSystem":"linux","architecture":"arm"}}}`

// overLink is a client of a board that has no kubelet.
func overLink(link *session.Session) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return link.Dial(ctx) }}}
}

func sendBody(t *testing.T, c *http.Client, method, path, contentType, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://gateway"+path, strings.NewReader(body))
	must(t, err)
	r.Header.Set("Content-Type", contentType)
	a, err := c.Do(r)
	must(t, err)
	defer func() { _ = a.Body.Close() }()
	if text, _ := io.ReadAll(a.Body); a.StatusCode/100 != 2 {
		t.Errorf("%s %s: %d %s", method, path, a.StatusCode, text)
	}
}

// TestGreedyBoardIsABoard: a board with a good key that claims a machine's Node
// becomes a board's: no pod is bound to it, and nothing else of what it claims
// reaches the API server, whose audit log is the witness.
func TestGreedyBoardIsABoard(t *testing.T) {
	t.Parallel()
	p := fullPlane(t)
	r := startReplica(t, p)
	name := unique("greedy")
	_, key := newLinkKey(t)
	device := r.device(t, key.Public, name, ptr.To(true))
	link, err := r.dial(t, key, name)
	must(t, err)
	t.Cleanup(func() { _ = link.Close() })

	body := strings.ReplaceAll(greedyNode, "NODE", name)
	board, path := overLink(link), "/api/v1/nodes/"+name
	sendBody(t, board, http.MethodPost, "/api/v1/nodes", "application/json", body)
	sendBody(t, board, http.MethodPatch, path, "application/merge-patch+json", body)
	sendBody(t, board, http.MethodPatch, path+"/status", "application/strategic-merge-patch+json", body)
	sendBody(t, board, http.MethodPost, leases, "application/json", `{"metadata":{"name":"`+name+`","annotations":{"a":"greedy"},"finalizers":["greedy.example.com/stay"]},"spec":{"holderIdentity":"greedy"}}`)
	sendBody(t, board, http.MethodPost, events, "application/json", `{"metadata":{"name":"`+name+`.1","annotations":{"a":"greedy-text"}},"involvedObject":{"kind":"Node","name":"`+name+`"},"type":"Normal","reason":"A","source":{"component":"greedy-text"}}`)

	t.Run("as the API server has it", func(t *testing.T) { p.checkModest(t, name) })
	t.Run("as the audit log has it", func(t *testing.T) { p.checkAudited(t, name) })
	t.Run("as the scheduler has it", func(t *testing.T) { p.checkUnbound(t, name, "untolerated taint") })
	t.Run("with a toleration", func(t *testing.T) {
		p.checkUnbound(t, name, "Too many pods", corev1.Toleration{Operator: corev1.TolerationOpExists})
	})
	t.Run("with room for one pod", func(t *testing.T) {
		_, err := r.devices.Patch(t.Context(), device, types.MergePatchType, []byte(`{"spec":{"pods":1}}`), metav1.PatchOptions{})
		must(t, err)
		<-link.Done() // the board reconnects with it
		again, err := r.dial(t, key, name)
		must(t, err)
		t.Cleanup(func() { _ = again.Close() })
		// The gateway asks the API server for it, which holds the gateway to none.
		waitLog(t, r.log, 30*time.Second, "host-pods")
	})
}

// checkModest looks at what became of a greedy Node.
func (p *plane) checkModest(t *testing.T, name string) {
	n, err := p.client.CoreV1().Nodes().Get(t.Context(), name, metav1.GetOptions{})
	must(t, err)
	if !slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Key == boardTaint.Key && t.Effect == boardTaint.Effect }) {
		t.Errorf("taints %v", n.Spec.Taints)
	}
	if n.Spec.PodCIDR != "" || len(n.Spec.PodCIDRs) > 0 || n.Spec.ProviderID != "" || len(n.Finalizers) > 0 || n.Annotations["flannel.alpha.coreos.com/public-ip"] != "" {
		t.Errorf("spec %+v, metadata %+v", n.Spec, n.ObjectMeta)
	}
	for _, list := range []corev1.ResourceList{n.Status.Capacity, n.Status.Allocatable} {
		if list.Cpu().Value() > 2 || list.Memory().Value() > 264<<10 || !list.Pods().IsZero() || len(list) > 3 {
			t.Errorf("resources %v", list)
		}
	}
	if n.Labels["node-pool"] != "" || len(n.Status.Images) > 0 || condition(n, "Greedy") != nil || n.Status.DaemonEndpoints.KubeletEndpoint.Port == 666 {
		t.Errorf("labels %v, status %+v", n.Labels, n.Status)
	}
}

// checkAudited looks at the bodies that the API server got as the node.
func (p *plane) checkAudited(t *testing.T, name string) {
	eventually(t, 10*time.Second, func(context.Context) error {
		all, err := p.auditedOf(gatewayAccount)
		bodies := 0
		for _, e := range all {
			if e.ImpersonatedUser == nil || e.ImpersonatedUser.Username != "system:node:"+name || len(e.RequestObject) == 0 {
				continue
			}
			bodies++
			if body := strings.ReplaceAll(string(e.RequestObject), name, "NODE"); strings.Contains(body, "greedy") || strings.Contains(body, "podCIDR") || strings.Contains(body, "110") || strings.Contains(body, "10.66") {
				t.Errorf("%s: %s", e.String(), body)
			}
		}
		if err == nil && bodies < 5 {
			err = fmt.Errorf("the audit log holds %d bodies", bodies)
		}
		return err
	})
}

// checkUnbound makes a pod for the node, which the scheduler must not bind.
func (p *plane) checkUnbound(t *testing.T, node, why string, tolerations ...corev1.Toleration) {
	pods := p.client.CoreV1().Pods("default")
	pod, err := pods.Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "ordinary-"},
		Spec: corev1.PodSpec{
			NodeSelector: map[string]string{corev1.LabelHostname: node}, Tolerations: tolerations,
			Containers: []corev1.Container{{Name: "web", Image: "example.com/web"}},
		},
	}, metav1.CreateOptions{})
	must(t, err)
	eventually(t, 30*time.Second, func(ctx context.Context) error {
		if pod, err = pods.Get(ctx, pod.Name, metav1.GetOptions{}); err != nil {
			return err
		}
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonUnschedulable && strings.Contains(c.Message, why) {
				return nil
			}
		}
		if pod.Spec.NodeName != "" {
			t.Fatalf("the pod was bound to %s", pod.Spec.NodeName)
		}
		return errors.New("the scheduler has not said why it binds the pod nowhere")
	})
	if pod.Spec.NodeName != "" {
		t.Errorf("the pod was bound to %s", pod.Spec.NodeName)
	}
	must(t, pods.Delete(t.Context(), pod.Name, metav1.DeleteOptions{}))
}
