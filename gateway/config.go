// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path"

	"golang.org/x/time/rate"
	"k8s.io/client-go/rest"
)

// Config says which API server a [Gateway] stands before and what it bounds.
type Config struct {
	// Kubernetes is the API server and the gateway's own credentials. Required.
	// It must not impersonate anybody.
	Kubernetes *rest.Config

	// Logger takes the gateway's log. Optional [slog.Default()].
	Logger *slog.Logger

	// AllowClusterAdmin lets the gateway run with rights that it should not have.
	// Optional [false].
	AllowClusterAdmin bool

	// Identity says how the gateway acts for nodes. Optional [auto].
	Identity IdentityMode

	// Credentials are those of nodes. Required with Identity certificates, unused
	// otherwise.
	Credentials Credentials

	// NodeNames are the names that boards may take, as patterns of [path.Match].
	// Name a pattern here where the cluster has other nodes too. Optional [any].
	NodeNames []string

	// Nodes holds for the nodes of all boards. Optional [a board's word, and no zone].
	Nodes NodeSettings

	// InsecureBoards are the boards that Serve takes, each at its own address and
	// as its own node alone, by node name. HTTP/1.0 is taken from them too.
	// Optional [any board at any address, within NodeNames].
	InsecureBoards map[string]netip.Addr

	// Turns bounds what the gateway itself tells the API server of the Nodes whose
	// boards' links come up: a turn for each link. Optional [no bound].
	Turns *rate.Limiter

	// MaxBoards bounds the node names in use at one time. Optional [10000].
	MaxBoards int

	// MaxConnections bounds the open connections of all boards; further ones are
	// answered by 503 and closed. Optional [4 × MaxBoards].
	MaxConnections int

	// MaxConnectionsPerBoard bounds the open connections of one board: a request
	// on a further one closes the one that has been silent longest. A kubelet has
	// one, and one for each ConfigMap. Optional [8].
	MaxConnectionsPerBoard int

	// MaxInFlight bounds the requests that wait for the API server at one time:
	// a further one gets 429. Each may hold 64 KiB of a board's body and 1 MiB of
	// an answer. Optional [256].
	MaxInFlight int

	// MaxConfigMaps bounds the ConfigMaps watched at one time: a further one gets
	// 503. Each costs one upstream watch and the object's size. Optional [1024].
	MaxConfigMaps int
}

// Validate reports every field that is missing or cannot be used.
func (c *Config) Validate() error {
	var errs []error
	switch {
	case c.Kubernetes == nil:
		errs = append(errs, errors.New("field Kubernetes is required: give the API server's address and the gateway's credentials"))
	case c.Kubernetes.Impersonate.UserName != "":
		errs = append(errs, fmt.Errorf("field Kubernetes impersonates %q: give the gateway an identity of its own", c.Kubernetes.Impersonate.UserName))
	}
	if err := c.validateIdentity(); err != nil {
		errs = append(errs, err)
	}
	if err := c.validateInsecureBoards(); err != nil {
		errs = append(errs, err)
	}
	if err := c.Nodes.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("field Nodes: %w", err))
	}
	for _, pattern := range c.NodeNames {
		if _, err := path.Match(pattern, ""); err != nil {
			errs = append(errs, fmt.Errorf("field NodeNames: pattern %q: %w", pattern, err))
		}
	}
	for name, n := range map[string]int{
		"MaxBoards": c.MaxBoards, "MaxConnections": c.MaxConnections, "MaxConnectionsPerBoard": c.MaxConnectionsPerBoard,
		"MaxInFlight": c.MaxInFlight, "MaxConfigMaps": c.MaxConfigMaps,
	} {
		if n < 0 {
			errs = append(errs, fmt.Errorf("field %s is %d: give a positive number, or 0 for the default", name, n))
		}
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	c.Logger = cmp.Or(c.Logger, slog.Default())
	c.Identity = cmp.Or(c.Identity, IdentityAuto)
	c.Turns = cmp.Or(c.Turns, rate.NewLimiter(rate.Inf, 0))
	c.MaxBoards = cmp.Or(c.MaxBoards, 10_000)
	c.MaxConnections = cmp.Or(c.MaxConnections, 4*c.MaxBoards)
	c.MaxConnectionsPerBoard = cmp.Or(c.MaxConnectionsPerBoard, 8)
	c.MaxInFlight = cmp.Or(c.MaxInFlight, 256)
	c.MaxConfigMaps = cmp.Or(c.MaxConfigMaps, 1024)
	return c
}
