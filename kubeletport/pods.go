// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"encoding/json"
	"net/http"
	"strconv"

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

func (p *port) pod() *corev1.Pod {
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
