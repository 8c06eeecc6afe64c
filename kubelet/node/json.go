// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"github.com/picolet/picolet/kubelet/jsonstream"
	"github.com/picolet/picolet/kubelet/wallclock"
)

// WriteNode writes the Node object for POST /api/v1/nodes, with a heartbeat at
// micros, the time of day in microseconds since 1970.
func (n *Node) WriteNode(w *jsonstream.Writer, micros int64) {
	w.BeginObject()
	w.StringMember("kind", "Node")
	w.StringMember("apiVersion", "v1")
	w.Key("metadata")
	w.BeginObject()
	w.StringMember("name", n.Spec.Name)
	n.writeLabels(w)
	w.EndObject()
	n.writeSpec(w)
	n.writeStatus(w, micros)
	w.EndObject()
}

// WriteStatusPatch writes the body of PATCH …/status: the status and nothing
// beside it, or the API server takes the patch for one of the whole object and
// the heartbeat is lost.
func (n *Node) WriteStatusPatch(w *jsonstream.Writer, micros int64) {
	w.BeginObject()
	n.writeStatus(w, micros)
	w.EndObject()
}

// WriteHeartbeat writes the body of PATCH …/status where nothing has changed but
// the time: the conditions alone, for what a merge leaves out stays as it was. Each
// condition is whole. The API server merges them by type and adds one that is
// missing as the patch has it (pkg/util/node PatchNodeStatus): a heartbeat that
// held only its time would leave a condition without a status where another writer
// has replaced the list.
func (n *Node) WriteHeartbeat(w *jsonstream.Writer, micros int64) {
	w.BeginObject()
	w.Key("status")
	w.BeginObject()
	n.writeConditions(w, micros)
	w.EndObject()
	w.EndObject()
}

// WriteLabelPatch writes a patch that sets the labels a kubelet answers for.
func (n *Node) WriteLabelPatch(w *jsonstream.Writer) {
	w.BeginObject()
	w.Key("metadata")
	w.BeginObject()
	n.writeLabels(w)
	w.EndObject()
	w.EndObject()
}

func (n *Node) writeLabels(w *jsonstream.Writer) {
	w.Key("labels")
	w.BeginObject()
	for i := range n.NumLabels() {
		l := n.Label(i)
		w.StringMember(l.Key, l.Value)
	}
	w.EndObject()
}

func (n *Node) writeSpec(w *jsonstream.Writer) {
	w.Key("spec")
	w.BeginObject()
	if !n.Spec.NoTaint {
		w.Key("taints")
		w.BeginArray()
		w.BeginObject()
		w.StringMember("key", TaintKey)
		w.StringMember("value", n.Spec.Facts.Model)
		w.StringMember("effect", "NoSchedule")
		w.EndObject()
		w.EndArray()
	}
	w.EndObject()
}

func (n *Node) writeStatus(w *jsonstream.Writer, micros int64) {
	w.Key("status")
	w.BeginObject()
	n.writeResources(w, "capacity")
	n.writeResources(w, "allocatable")
	n.writeConditions(w, micros)
	n.writeAddresses(w)
	n.writeDaemonEndpoints(w)
	n.writeNodeInfo(w)
	w.EndObject()
}

func (n *Node) writeResources(w *jsonstream.Writer, name string) {
	w.Key(name)
	w.BeginObject()
	w.StringMember("cpu", n.Spec.CPU)
	w.StringMember("memory", n.Spec.Memory)
	w.StringMember("pods", "0")
	w.EndObject()
}

func (n *Node) writeConditions(w *jsonstream.Writer, micros int64) {
	w.Key("conditions")
	w.BeginArray()
	for c := range numConditions {
		n.writeCondition(w, c, micros)
	}
	w.EndArray()
}

func (n *Node) writeCondition(w *jsonstream.Writer, c Condition, micros int64) {
	text, state := &conditionText[c], &n.conditions[c]
	status, i := "False", 0
	if state.status {
		status, i = "True", 1
	}
	w.BeginObject()
	w.StringMember("type", text.name)
	w.StringMember("status", status)
	timeMember(w, "lastHeartbeatTime", micros)
	timeMember(w, "lastTransitionTime", state.transition)
	w.StringMember("reason", text.reason[i])
	w.StringMember("message", text.message[i])
	w.EndObject()
}

func timeMember(w *jsonstream.Writer, key string, micros int64) {
	w.BytesMember(key, wallclock.AppendTime(w.Scratch(), micros))
}

func (n *Node) writeAddresses(w *jsonstream.Writer) {
	w.Key("addresses")
	w.BeginArray()
	if n.addressLen > 0 {
		w.BeginObject()
		w.StringMember("type", "InternalIP")
		w.BytesMember("address", n.Address())
		w.EndObject()
	}
	w.BeginObject()
	w.StringMember("type", "Hostname")
	w.StringMember("address", n.Spec.Name)
	w.EndObject()
	w.EndArray()
}

func (n *Node) writeDaemonEndpoints(w *jsonstream.Writer) {
	w.Key("daemonEndpoints")
	w.BeginObject()
	w.Key("kubeletEndpoint")
	w.BeginObject()
	w.IntMember("Port", int64(n.Spec.Port)) // a capital P, as in k8s.io/api core/v1
	w.EndObject()
	w.EndObject()
}

// writeNodeInfo writes the ten required fields of NodeSystemInfo. A kubelet of
// Kubernetes 1.33 and later leaves kubeProxyVersion empty too.
func (n *Node) writeNodeInfo(w *jsonstream.Writer) {
	f := &n.Spec.Facts
	w.Key("nodeInfo")
	w.BeginObject()
	w.StringMember("machineID", f.ID)
	w.StringMember("systemUUID", f.SystemUUID)
	w.StringMember("bootID", f.BootID)
	w.StringMember("kernelVersion", f.KernelVersion)
	w.StringMember("osImage", f.OSImage)
	w.StringMember("containerRuntimeVersion", "picolet://"+RuntimeVersion)
	w.StringMember("kubeletVersion", n.Spec.Version)
	w.StringMember("kubeProxyVersion", "")
	w.StringMember("operatingSystem", n.Spec.OS)
	w.StringMember("architecture", n.Spec.Arch)
	w.EndObject()
}

// RuntimeVersion is the version of what runs on a board in place of a
// container runtime: the kubelet itself.
const RuntimeVersion = "0.1.0"
