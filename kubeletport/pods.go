// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picolet/picolet/kubeletport/staticpod"
)

// servePods answers /pods and /runningpods/: the one pod that there is.
func (s *Server) servePods(c *call) *refusal {
	list := corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: []corev1.Pod{*c.port.pod()}}
	body, err := json.Marshal(list)
	if err != nil {
		return refuse(http.StatusInternalServerError, "the pod of node %s cannot be written", c.port.node.Name).because(err)
	}
	c.w.Header().Set("Content-Type", jsonType)
	c.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	c.w.WriteHeader(http.StatusOK)
	_, _ = c.w.Write(body)
	return nil
}

// SetPod has the port of a node show another pod than Add was told; nobody may
// change it from then on. A node that has no port is left alone.
func (s *Server) SetPod(node string, pod *corev1.Pod) {
	if p := s.portOfNode(node); p != nil {
		p.shown.Store(pod)
	}
}

// Started asks a node's board since when it runs. The time is zero while the board
// does not know the time of day.
func (s *Server) Started(ctx context.Context, node string) (time.Time, error) {
	p := s.portOfNode(node)
	if p == nil {
		return time.Time{}, fmt.Errorf("node %s has no kubelet port here", node)
	}
	return s.startedOn(ctx, p)
}

// Report has a node's board send its whole status now.
func (s *Server) Report(ctx context.Context, node string) error {
	p := s.portOfNode(node)
	if p == nil {
		return fmt.Errorf("node %s has no kubelet port here", node)
	}
	a, refused := s.ask(ctx, p, boardRequest{method: http.MethodPost, path: "/pico/command", body: []byte(`{"command":"report_status"}`)})
	if refused != nil {
		return refused
	}
	defer a.close()
	if a.code != http.StatusOK {
		return fmt.Errorf("the board of node %s answered %d", node, a.code)
	}
	return nil
}

func (s *Server) startedOn(ctx context.Context, p *port) (time.Time, error) {
	a, refused := s.ask(ctx, p, boardRequest{method: http.MethodGet, path: "/stats/summary"})
	if refused != nil {
		return time.Time{}, refused
	}
	defer a.close()
	var summary struct {
		Node struct{ StartTime metav1.Time }
	}
	if a.code != http.StatusOK || a.rest != nil {
		return time.Time{}, fmt.Errorf("the board of node %s answered %d to /stats/summary", p.node.Name, a.code)
	}
	if err := json.Unmarshal(a.head, &summary); err != nil {
		return time.Time{}, fmt.Errorf("/stats/summary of node %s cannot be read: %w", p.node.Name, err)
	}
	return summary.Node.StartTime.Time, nil
}

func (p *port) pod() *corev1.Pod {
	if shown := p.shown.Load(); shown != nil {
		return shown
	}
	if p.node.Pod != nil {
		return p.node.Pod
	}
	return staticpod.New(staticpod.Options{Node: p.node.Name, NodeUID: p.node.UID, Version: p.node.Version})
}

// checkPod refuses every pod and container but the one that there is.
func (c *call) checkPod() *refusal {
	name := staticpod.Name(c.port.node.Name)
	switch {
	case c.pod.namespace != staticpod.Namespace || c.pod.pod != name:
		return refuse(http.StatusNotFound, "pod %s/%s does not run here: the only pod of node %s is %s/%s",
			c.pod.namespace, c.pod.pod, c.port.node.Name, staticpod.Namespace, name)
	case c.pod.container != staticpod.Container:
		return refuse(http.StatusNotFound, "container %s not found in pod %s: its only container is %s", c.pod.container, name, staticpod.Container)
	}
	return nil
}

// refuseAttach answers /attach.
func (s *Server) refuseAttach(c *call) *refusal {
	return refuse(http.StatusMethodNotAllowed, "cannot attach to a board: its firmware has no terminal; use kubectl logs --follow, or kubectl exec with one of its commands")
}

// refusePortForward answers /portForward.
func (s *Server) refusePortForward(c *call) *refusal {
	return refuse(http.StatusMethodNotAllowed, "cannot forward ports to a board: use kubectl get --raw /api/v1/nodes/%s/proxy/… for what it serves", c.port.node.Name)
}
