// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/picolet/picolet/api/v1alpha1"
	"github.com/picolet/picolet/credentials"
	"github.com/picolet/picolet/enrolment"
	"github.com/picolet/picolet/gateway"
	"github.com/picolet/picolet/kubeletport"
	"github.com/picolet/picolet/link/noise"
)

// A Replica is one process of the gateway. Make it by [New].
type Replica struct {
	config    Config
	log       *slog.Logger
	client    kubernetes.Interface // under the gateway's own identity
	gateway   *gateway.Gateway
	enrolment *enrolment.Enrolment
	nodeCerts *credentials.Pool // nil: the gateway acts for nodes by impersonation
	ports     *ports            // nil: nodes have none
	mirrors   *mirrors          // nil: likewise
	setup     *setup
	refusals  *refusals
	registry  *prometheus.Registry
	served    atomic.Bool
	links     atomic.Bool // are served
}

// New puts a Replica together; it asks nothing of the API server yet. Its errors
// name the field of the configuration that cannot be used.
func New(c Config) (*Replica, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("configuration of the gateway: %w", err)
	}
	c = c.withDefaults()
	c.Kubernetes = ownConfig(c.Kubernetes)
	client, err := kubernetes.NewForConfig(c.Kubernetes)
	if err != nil {
		return nil, fmt.Errorf("client of the API server: %w", err)
	}
	r := &Replica{config: c, log: c.Logger, client: client, registry: prometheus.NewRegistry()}
	r.setup = newSetup(func(ctx context.Context, key v1alpha1.Key) bool { return r.enrolment.Approved(ctx, key) })
	if r.gateway, err = r.newGateway(); err != nil {
		return nil, err
	}
	if r.enrolment, err = r.newEnrolment(); err != nil {
		return nil, err
	}
	r.refusals = newRefusals(r.asNode, r.log)
	if len(c.Addresses) == 0 {
		return r, nil
	}
	server, err := r.newPortServer()
	if err != nil {
		return nil, err
	}
	r.ports = newPorts(server, nodes{r.asNode})
	r.mirrors = newMirrors(r.asNode, server, r.setup.turns, r.log)
	return r, nil
}

// ownConfig leaves limits to the API server.
func ownConfig(c *rest.Config) *rest.Config {
	c = rest.CopyConfig(c)
	c.QPS, c.Burst = -1, 0
	c.UserAgent = "picolet-gateway"
	return c
}

func (r *Replica) newGateway() (_ *gateway.Gateway, err error) {
	c := r.config
	g := gateway.Config{
		Kubernetes: c.Kubernetes, NodeNames: c.NodeNames, AllowClusterAdmin: c.AllowClusterAdmin, Nodes: c.Nodes,
		Identity: c.Identity, InsecureBoards: c.InsecureBoards,
		MaxBoards: c.Limits.Boards, MaxConfigMaps: c.Limits.ConfigMaps, Turns: r.setup.turns, Logger: c.Logger,
	}
	if c.Identity == gateway.IdentityCertificates {
		r.nodeCerts, err = credentials.New(credentials.Config{
			Kubernetes: c.Kubernetes, Namespace: c.Namespace, MaxNodes: c.Limits.Boards, Metrics: r.registry, Logger: c.Logger,
		})
		if err != nil {
			return nil, err
		}
		g.Credentials = r.nodeCerts
	}
	return gateway.New(g)
}

func (r *Replica) newEnrolment() (*enrolment.Enrolment, error) {
	c := r.config
	return enrolment.New(enrolment.Config{
		Kubernetes: c.Kubernetes, Replica: c.Name, Exclusive: c.Exclusive, Namespace: c.Namespace, NodeNames: c.NodeNames,
		Nodes: nodes{r.asNode}, MaxPending: c.Limits.Pending, Metrics: r.registry, Logger: c.Logger,
	})
}

func (r *Replica) newPortServer() (*kubeletport.Server, error) {
	c := r.config
	return kubeletport.New(kubeletport.Config{
		Boards: boards{r.gateway}, Kubernetes: r.client, Addresses: c.Addresses, ListenHost: c.ListenHost,
		FirstPort: c.FirstPort, LastPort: c.LastPort, NodeKubernetes: r.asNode, ApproveOwn: true, Turns: r.setup.turns,
		Metrics: r.registry, Logger: c.Logger,
	})
}

// asNode returns a client under the identity of a node.
func (r *Replica) asNode(node string) (kubernetes.Interface, error) {
	return kubernetes.NewForConfig(r.gateway.NodeConfig(node))
}

// nodes reads each Node as that node.
type nodes struct {
	asNode func(node string) (kubernetes.Interface, error)
}

var _ enrolment.Nodes = nodes{}

// Node implements enrolment.Nodes.
func (n nodes) Node(ctx context.Context, name string) (*corev1.Node, error) {
	client, err := n.asNode(name)
	if err != nil {
		return nil, err
	}
	node, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("as the node itself: %w", err)
	}
	return node, nil
}

// boards reaches boards through their links.
type boards struct{ gateway *gateway.Gateway }

var _ kubeletport.Boards = boards{}

// Dial implements kubeletport.Boards.
func (b boards) Dial(ctx context.Context, node string) (net.Conn, error) {
	return b.gateway.DialBoard(ctx, node)
}

// PublicKey is the key by which boards know the gateway, the same for all replicas.
// It is in a Secret, which is made if there is none.
func (r *Replica) PublicKey(ctx context.Context) (noise.PublicKey, error) {
	keys, err := r.keys(ctx)
	return noise.PublicKey(keys.Current.Public()), err
}

// Serve takes boards' encrypted links, and plain HTTP from insecure, until ctx
// ends; then it drains the links. Either listener may be nil, and both are closed in
// the end. It may be called once. It returns an error if a listener fails or if the
// gateway must not run with the rights it has; other trouble with the API server is
// logged, shown by /readyz and tried again.
func (r *Replica) Serve(ctx context.Context, links, insecure net.Listener) error {
	if r.served.Swap(true) {
		return errors.New("a Replica serves once: make another by New")
	}
	switch {
	case links == nil && insecure == nil:
		return errors.New("nothing to serve: give a listener for links, or for plain HTTP")
	case links != nil && r.config.NoLinks:
		return errors.New("a listener for links, and field NoLinks: leave out one of them")
	}
	if r.nodeCerts != nil {
		defer r.nodeCerts.Close()
	}
	s := newService(ctx, func(ctx context.Context) { r.gateway.Drain(ctx, r.config.DrainTimeout) })
	if links != nil {
		r.links.Store(true)
		s.goEnrol(func(ctx context.Context) error { return r.enrolment.Run(ctx) })
		s.goServe(func(ctx context.Context) error { return r.serveLinks(ctx, links) })
		s.goServe(r.refusals.run)
	} else {
		close(s.parted)
	}
	if links != nil && r.ports != nil {
		s.goServe(r.ports.run)
		s.goServe(r.mirrors.run)
	}
	if insecure != nil {
		s.goServe(func(ctx context.Context) error { return r.gateway.Serve(ctx, insecure) })
	}
	return s.wait()
}

// serveLinks begins when the gateway's key is there.
func (r *Replica) serveLinks(ctx context.Context, ln net.Listener) error {
	var keys enrolment.GatewayKeys
	backoff := wait.Backoff{Duration: 500 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: 6, Cap: 15 * time.Second}
	err := backoff.DelayFunc().Until(ctx, true, true, func(ctx context.Context) (done bool, err error) {
		if keys, err = r.keys(ctx); err != nil && ctx.Err() == nil {
			r.log.Warn("Gateway has no key yet, and takes no links", "err", err)
		}
		return err == nil, nil
	})
	if err != nil { // ctx has ended
		return ln.Close()
	}
	ring, err := newKeyRing(keys)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	r.log.Info("Boards may come by encrypted links", "addr", ln.Addr().String(), "key", noise.PublicKey(keys.Current.Public()).String())
	var following sync.WaitGroup
	defer following.Wait()
	until, cancel := context.WithCancel(ctx)
	defer cancel()
	following.Go(func() { r.followKeys(until, ring, keys) })
	return r.gateway.ServeLinks(ctx, ln, gateway.LinkConfig{Keys: ring, Admission: admission{r}})
}
