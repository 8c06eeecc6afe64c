// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/certificate"
)

// Boards reaches the kubelets of boards.
type Boards interface {
	// Dial opens a stream to the port of a node's kubelet, on which it takes
	// HTTP/1.1 without TLS. It returns when ctx ends, at the latest.
	Dial(ctx context.Context, node string) (net.Conn, error)
}

// Config says what a [Server] stands between.
type Config struct {
	// Boards reaches the boards. Required.
	Boards Boards

	// Kubernetes is a client under the gateway's own identity. It creates
	// TokenReviews and SubjectAccessReviews, watches the ConfigMap
	// kube-system/extension-apiserver-authentication and, with ApproveOwn,
	// approves certificates. Required.
	Kubernetes kubernetes.Interface

	// Addresses are the IP addresses at which clients reach the ports, as the
	// nodes' statuses name them. Serving certificates are made for them. Required.
	Addresses []netip.Addr

	// ListenHost is the IP address to listen on. Optional [all].
	ListenHost string

	// FirstPort and LastPort are the range from which nodes get their ports.
	// Optional [20000 to 29999].
	FirstPort, LastPort int

	// NodeKubernetes returns a client under the identity system:node:<node>, by
	// which the node's serving certificate is requested from the signer
	// kubernetes.io/kubelet-serving. Optional [certificates of OwnCA only].
	NodeKubernetes func(node string) (kubernetes.Interface, error)

	// ApproveOwn approves the signing requests that this Server made itself, and
	// no other. Optional [somebody else approves].
	ApproveOwn bool

	// Turns bounds the signing requests of all nodes: a turn for each. Optional [no
	// bound].
	Turns *rate.Limiter

	// CertificateStore keeps a node's serving certificate and key, which are looked
	// for with each Add. Optional [in memory: each start of the process requests new
	// ones].
	CertificateStore func(node string) certificate.Store

	// OwnCA signs what is served until a requested certificate is there.
	// Optional [one made by New, which nobody else trusts].
	OwnCA *tls.Certificate

	// MaxConnections bounds the open connections of all clients, to all nodes.
	// Optional [16384].
	MaxConnections int

	// MaxConnectionsPerNode bounds those to one node. Optional [64].
	MaxConnectionsPerNode int

	// MaxConnectionsPerClient bounds those of one IP address to one node.
	// Optional [32].
	MaxConnectionsPerClient int

	// MaxBoardRequests bounds the requests that one board works on at a time;
	// further ones wait. A board serves five connections. Optional [3].
	MaxBoardRequests int

	// Metrics registers the Server's own metrics. Optional [none].
	Metrics prometheus.Registerer

	// Logger takes the log. Optional [slog.Default()].
	Logger *slog.Logger
}

// maxNodeName is that of the kubelet core, and leaves room for the pod's name.
const maxNodeName = 63

// Node is a node whose kubelet port is served.
type Node struct {
	// Name of the node. Required.
	Name string

	// UID of the Node object, which owns the pod. Optional [not told].
	UID types.UID

	// Port is the one that the node had before, as its status names it; one out of
	// the range is not taken. Optional [a free one, by preference the same for the
	// same name].
	Port int

	// Version of the firmware, shown as the pod's image. Optional ["unknown"].
	Version string

	// Pod stands for the firmware. Optional [staticpod.New].
	Pod *corev1.Pod
}

// Validate reports every field that is missing or cannot be used.
func (c *Config) Validate() error {
	var errs []error
	add := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	add(c.Boards == nil, "field Boards is required: give the way to the boards")
	add(c.Kubernetes == nil, "field Kubernetes is required: give a client of the API server")
	add(len(c.Addresses) == 0, "field Addresses is required: give the IP addresses that the nodes' statuses name")
	for _, a := range c.Addresses {
		add(!a.IsValid() || a.IsUnspecified(), "field Addresses: %s is no address that a client could dial", a)
	}
	add(c.ListenHost != "" && net.ParseIP(c.ListenHost) == nil, "field ListenHost: %q is no IP address", c.ListenHost)
	first, last := cmp.Or(c.FirstPort, defaultFirstPort), cmp.Or(c.LastPort, defaultLastPort)
	add(first < 1 || last > 65535 || first > last, "fields FirstPort %d and LastPort %d: give a range within 1 to 65535", first, last)
	for name, n := range map[string]int{
		"MaxConnections": c.MaxConnections, "MaxConnectionsPerNode": c.MaxConnectionsPerNode,
		"MaxConnectionsPerClient": c.MaxConnectionsPerClient, "MaxBoardRequests": c.MaxBoardRequests,
	} {
		add(n < 0, "field %s is %d: give a positive number, or 0 for the default", name, n)
	}
	return errors.Join(errs...)
}

const (
	defaultFirstPort = 20_000
	defaultLastPort  = 29_999
)

func (c Config) withDefaults() Config {
	c.Logger = cmp.Or(c.Logger, slog.Default())
	c.Turns = cmp.Or(c.Turns, rate.NewLimiter(rate.Inf, 0))
	c.FirstPort = cmp.Or(c.FirstPort, defaultFirstPort)
	c.LastPort = cmp.Or(c.LastPort, defaultLastPort)
	c.MaxConnections = cmp.Or(c.MaxConnections, 16_384)
	c.MaxConnectionsPerNode = cmp.Or(c.MaxConnectionsPerNode, 64)
	c.MaxConnectionsPerClient = cmp.Or(c.MaxConnectionsPerClient, 32)
	c.MaxBoardRequests = cmp.Or(c.MaxBoardRequests, 3)
	if c.CertificateStore == nil {
		c.CertificateStore = newMemoryStores()
	}
	return c
}

func (n *Node) validate() error {
	if errs := validation.NameIsDNSSubdomain(n.Name, false); len(errs) > 0 {
		return fmt.Errorf("node name %.64q: %s", n.Name, errs[0])
	}
	if len(n.Name) > maxNodeName {
		return fmt.Errorf("node name %.64q…: must be at most %d bytes", n.Name, maxNodeName)
	}
	if n.Port < 0 || n.Port > 65535 {
		return fmt.Errorf("port %d of node %s: must be 1 to 65535, or 0 for a free one", n.Port, n.Name)
	}
	return nil
}
