// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"time"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/kubelet/node"
)

// Stream numbers one of a kubelet's byte streams.
type Stream uint8

// The streams of a kubelet: one for requests to the API server, one for each
// ConfigMap it watches, and those that clients of its port opened.
const (
	StreamAPI    Stream = 0
	StreamWatch  Stream = 1                           // first of MaxConfigMaps
	StreamServed Stream = StreamWatch + MaxConfigMaps // first of MaxServed

	NumStreams = int(StreamServed) + MaxServed
)

// Limits that size a kubelet's memory.
const (
	MaxConfigMaps = 4 // ConfigMaps watched at once
	MaxServed     = 5 // connections to the kubelet port at once
	MaxLabels     = 8 // labels of one's own, beside the standard ones
)

// Streams is a set of streams.
type Streams uint16

// Has tells whether s is in the set.
func (set Streams) Has(s Stream) bool { return set&(1<<s) != 0 }

// Output is what the caller must do after it gave a Kubelet an input, in the
// order of the fields.
type Output struct {
	// Close lists streams to close at once; what is pending on them is
	// dropped. It comes before Dial, because a stream can be in both.
	Close Streams
	// Dial lists streams to open towards the API server. The caller answers
	// with Opened, or with Closed when the dial failed.
	Dial Streams
	// Send lists streams with bytes in Pending. The caller reports what it
	// wrote by Sent, as far as it got.
	Send Streams
	// Finish lists streams to close as soon as nothing is pending on them.
	Finish Streams
	// Reset asks for a reboot of the board, once Send and Finish are done or
	// a second has gone by.
	Reset bool
	// Wake is the time since boot at which Tick must be called, if no other
	// input comes before.
	Wake time.Duration
}

// OldestVersion is the oldest Kubernetes that this kubelet is tested against. A
// board that does not know its API server reports it: a kubelet must not be
// newer than its API server and may be three minor versions older
// (https://kubernetes.io/releases/version-skew-policy/#kubelet).
const OldestVersion = "v1.36.3"

// Label is a node label.
type Label = node.Label

// ObjectName names an object in a namespace.
type ObjectName struct{ Namespace, Name string }

// Config is what a kubelet must know before it starts. It is read once, by
// Configure; strings are kept, not copied.
type Config struct {
	NodeName string      // Required: a DNS-1123 subdomain, at most 63 bytes
	Host     string      // Required: Host header of requests, host[:port] of the API server or gateway
	Version  string      // Required: nodeInfo.kubeletVersion, "v1.37.2"
	Board    board.Board // Required

	Token       string // Optional [none]: bearer token for the API server
	ServerToken string // Optional [none]: bearer token that clients of the kubelet port must bring

	OS           string  // Optional ["linux"]: label kubernetes.io/os
	Arch         string  // Optional ["arm"]: label kubernetes.io/arch
	InstanceType string  // Optional ["rp2040-pico"]: label node.kubernetes.io/instance-type
	Labels       []Label // Optional [none]: at most MaxLabels more
	CPU          string  // Optional ["1"]: capacity, a Kubernetes quantity
	Memory       string  // Optional ["256Ki"]: capacity
	NoTaint      bool    // Optional [false]: register without the taint that keeps pods away; a gateway puts it in all the same

	Address string // Optional [left out]: status.addresses InternalIP; see SetAddress
	Port    int    // Optional [10250]: status.daemonEndpoints.kubeletEndpoint.Port

	ConfigMaps []ObjectName // Optional [default/pico-config]: at most MaxConfigMaps

	NodeStatusUpdateFrequency time.Duration // Optional [10s]: how often status is computed
	NodeStatusReportFrequency time.Duration // Optional [5m]: how often it is sent unchanged; at least 10s
	LeaseDuration             time.Duration // Optional [40s]: renewed each quarter

	Seed uint64 // Required: entropy from the board, for jitter and names of Events
}
