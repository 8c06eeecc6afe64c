// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/rest"

	"github.com/picolet/picolet/enrolment"
	"github.com/picolet/picolet/gateway"
)

// Config says for which cluster a [Replica] stands, and where it is reached.
type Config struct {
	// Kubernetes is the API server and the gateway's own credentials, with the
	// rights of deploy/rbac.yaml, and for links those of deploy/enrolment.yaml and
	// deploy/kubelet-port.yaml. Required.
	Kubernetes *rest.Config

	// Name is that of this replica, a DNS label of at most 57 bytes which no other
	// one of the namespace has, such as the name of its pod. Required.
	Name string

	// Exclusive says that no other process of this Name can be alive. Otherwise one
	// that starts after another crashed waits 15 s until that is certain. Optional
	// [false].
	Exclusive bool

	// Namespace holds the gateway's key, join tokens and the replicas' Leases.
	// Optional [picolet-system].
	Namespace string

	// NoLinks says that Serve gets no listener for links. Then neither Devices nor
	// the rights for them are needed. Optional [false].
	NoLinks bool

	// Addresses are the IP addresses at which API server, metrics-server and
	// Prometheus reach this process. The first is in the nodes' statuses. Optional
	// [nodes have no kubelet port].
	Addresses []netip.Addr

	// ListenHost is the IP address on which kubelet ports listen. Optional [all].
	ListenHost string

	// FirstPort and LastPort are the range of kubelet ports. Optional [20000 to
	// 29999].
	FirstPort, LastPort int

	// NodeNames are the names that boards may take, as patterns of [path.Match].
	// Name a pattern here where the cluster has other nodes too. Optional [any].
	NodeNames []string

	// Nodes holds for the nodes of all boards. Optional [a board's word, and no zone].
	Nodes gateway.NodeSettings

	// AllowClusterAdmin lets the gateway run with rights that it should not have.
	// Optional [false].
	AllowClusterAdmin bool

	// Identity is how to act for a node; certificates need the rights of
	// deploy/certificates.yaml. Optional [auto].
	Identity gateway.IdentityMode

	// DrainTimeout is how long the ends of links are spread when Serve's ctx has
	// ended, less with few boards: see [gateway.Gateway.Drain]. Optional [0: all links end
	// at once].
	DrainTimeout time.Duration

	// InsecureBoards are the only boards that come by plain HTTP, each at its own
	// address and as its own node alone, by node name. Optional [any board at any
	// address, within NodeNames].
	InsecureBoards map[string]netip.Addr

	// Limits bound what boards can take. Optional.
	Limits Limits

	// Logger takes the log. Optional [slog.Default()].
	Logger *slog.Logger
}

// Validate reports every field that is missing or does not go with another. What
// else cannot be used, New reports.
func (c *Config) Validate() error {
	var errs []error
	add := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	add(c.Kubernetes == nil, "field Kubernetes is required: give the API server's address and the gateway's credentials")
	add(len(validation.IsDNS1123Label(c.Name)) > 0, "field Name %q: give a DNS label that no other replica has", c.Name)
	add(c.NoLinks && len(c.Addresses) > 0, "field Addresses is for kubelet ports, which boards without links do not have: leave it out, or NoLinks")
	add(len(c.Addresses) == 0 && (c.ListenHost != "" || c.FirstPort != 0 || c.LastPort != 0),
		"field Addresses is required with ListenHost %q and ports %d to %d: give the IP address at which the API server reaches them", c.ListenHost, c.FirstPort, c.LastPort)
	add(c.DrainTimeout < 0, "field DrainTimeout is %v: give a positive duration, or 0 to end all links at once", c.DrainTimeout)
	return errors.Join(append(errs, c.Limits.validate())...)
}

// withDefaults fills in what New itself reads.
func (c Config) withDefaults() Config {
	c.Namespace = cmp.Or(c.Namespace, enrolment.DefaultNamespace)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	c.Limits = c.Limits.withDefaults()
	return c
}
