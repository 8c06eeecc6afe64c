// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/rest"
)

// DefaultNamespace is where deploy/namespace.yaml puts the gateway.
const DefaultNamespace = "picolet-system"

// Nodes reads Nodes, to tell boards from others.
type Nodes interface {
	// Node returns the Node of that name; nil if there is none.
	Node(ctx context.Context, name string) (*corev1.Node, error)
}

// Config says for which gateway to decide.
type Config struct {
	// Kubernetes is the API server and the gateway's own credentials, with the
	// rights of deploy/enrolment.yaml. Required.
	Kubernetes *rest.Config

	// Replica is the name of this gateway among those of its namespace, a DNS
	// label of at most 57 bytes, such as the name of its pod. Of two with the same,
	// the second waits until the first has ended. Required.
	Replica string

	// Exclusive says that no other process of this Replica can be alive, so that
	// its Lease is taken over at once. Otherwise a process that starts after another
	// one crashed waits 15 s for that, unless it knows that process to have ended.
	// Optional [false].
	Exclusive bool

	// Namespace holds join tokens, the gateway's key and the Leases of its
	// replicas. Optional [picolet-system].
	Namespace string

	// Nodes reads Nodes. Optional [each as that node itself, by impersonation].
	Nodes Nodes

	// NodeNames are the names that boards may take, as patterns of [path.Match].
	// Optional [any].
	NodeNames []string

	// MaxPending bounds the Devices that nobody decided on; a further board is
	// refused. Optional [100].
	MaxPending int

	// PendingLifetime is after how long without contact a pending Device that a
	// gateway made, and nobody changed, is deleted. Optional [1h].
	PendingLifetime time.Duration

	// ContactInterval is how old status.lastContact gets while nothing else
	// changes. It is at most half of PendingLifetime. Optional [5m].
	ContactInterval time.Duration

	// Metrics registers the package's own metrics. Optional [none].
	Metrics prometheus.Registerer

	// Logger takes the log. Optional [slog.Default()].
	Logger *slog.Logger
}

// Validate reports every field that is missing or cannot be used.
func (c *Config) Validate() error {
	var errs []error
	add := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	add(c.Kubernetes == nil, "field Kubernetes is required: give the API server's address and the gateway's credentials")
	add(len(validation.IsDNS1123Label(c.Replica)) > 0 || len(c.Replica) > MaxReplicaName,
		"field Replica %q: give a DNS label of at most %d bytes that no other gateway has", c.Replica, MaxReplicaName)
	add(c.Namespace != "" && len(validation.IsDNS1123Label(c.Namespace)) > 0, "field Namespace %q: give the name of a namespace", c.Namespace)
	for _, pattern := range c.NodeNames {
		_, err := path.Match(pattern, "")
		add(err != nil, "field NodeNames: pattern %q: give one such as pico-*", pattern)
	}
	add(c.MaxPending < 0, "field MaxPending is %d: give a positive number, or 0 for the default", c.MaxPending)
	d := c.withDefaults()
	add(d.PendingLifetime < 0 || d.ContactInterval < 0 || 2*d.ContactInterval > d.PendingLifetime,
		"field ContactInterval is %v: give at most half of PendingLifetime, which is %v", d.ContactInterval, d.PendingLifetime)
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	c.Logger = cmp.Or(c.Logger, slog.Default())
	c.Namespace = cmp.Or(c.Namespace, DefaultNamespace)
	c.MaxPending = cmp.Or(c.MaxPending, 100)
	c.PendingLifetime = cmp.Or(c.PendingLifetime, time.Hour)
	c.ContactInterval = cmp.Or(c.ContactInterval, 5*time.Minute)
	return c
}

// ownConfig leaves limits to the API server, and takes its time.
func ownConfig(c *rest.Config, clock *clock) *rest.Config {
	c = rest.CopyConfig(c)
	c.QPS, c.Burst = -1, 0
	c.UserAgent = "picolet-gateway"
	c.Wrap(func(next http.RoundTripper) http.RoundTripper { return dated{next, clock} })
	return c
}
