// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/rest"
)

// DefaultNamespace is where deploy/rbac.yaml puts the gateway.
const DefaultNamespace = "picolet-system"

// Bounds of a certificate's lifetime: the signer takes nothing below
// (k8s.io/api/certificates/v1, expirationSeconds), and above a stolen one would
// last.
const (
	minLifetime = 10 * time.Minute
	maxLifetime = 366 * 24 * time.Hour
)

// Config says for whom certificates are requested.
type Config struct {
	// Kubernetes is the API server and the gateway's own credentials, with the
	// rights of deploy/certificates.yaml. Required. A Transport of its own cannot
	// be used: a node's certificate belongs to the connection.
	Kubernetes *rest.Config

	// Namespace holds the Secrets. Optional [picolet-system].
	Namespace string

	// Lifetime is what is asked of the signer for a certificate, 10m to 366d; it
	// may give less. Optional [168h].
	Lifetime time.Duration

	// MaxNodes bounds the nodes at one time. Past it, a node that was not used for
	// an hour gives place; if there is none, a further one is refused.
	// Optional [10000].
	MaxNodes int

	// MaxRequests bounds the certificates that are loaded or requested at one
	// time; a further node is told to come again. Optional [32].
	MaxRequests int

	// Now is the time by which certificates grow old. Optional [time.Now].
	Now func() time.Time

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
	add(c.Kubernetes != nil && c.Kubernetes.Transport != nil, "field Kubernetes has a Transport: give the API server's address and CA instead")
	add(c.Namespace != "" && len(validation.IsDNS1123Label(c.Namespace)) > 0, "field Namespace %q: give the name of a namespace", c.Namespace)
	add(c.Lifetime != 0 && (c.Lifetime < minLifetime || c.Lifetime > maxLifetime), "field Lifetime is %v: give %v to %v", c.Lifetime, minLifetime, maxLifetime)
	add(c.MaxNodes < 0, "field MaxNodes is %d: give a positive number, or 0 for the default", c.MaxNodes)
	add(c.MaxRequests < 0, "field MaxRequests is %d: give a positive number, or 0 for the default", c.MaxRequests)
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	c.Logger = cmp.Or(c.Logger, slog.Default())
	c.Namespace = cmp.Or(c.Namespace, DefaultNamespace)
	c.Lifetime = cmp.Or(c.Lifetime, 7*24*time.Hour)
	c.MaxNodes = cmp.Or(c.MaxNodes, 10_000)
	c.MaxRequests = cmp.Or(c.MaxRequests, 32)
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}
