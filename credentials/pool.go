// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// unusedAfter is when a node gives place to another in a full pool. A kubelet
// speaks every 10 s.
const unusedAfter = time.Hour

var (
	// ErrBusy says that as many certificates as are allowed are being loaded or
	// requested: try again in a second.
	ErrBusy = errors.New("too many certificates of nodes are being requested: try again")

	// ErrFull says that as many nodes as are allowed are in use.
	ErrFull = errors.New("no certificates for more nodes: raise --max-boards, or remove nodes")
)

// Pool holds the credentials of nodes. Make it by [New]; all methods may be called
// at any time, by several goroutines.
type Pool struct {
	config   Config
	client   kubernetes.Interface // under the gateway's own identity
	tls      *tls.Config          // of every connection, without a certificate
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
	requests chan struct{}
	metrics  *metrics

	ctx   context.Context // of what goes on behind a request's back
	close context.CancelFunc

	mu    sync.Mutex
	nodes map[string]*entry
}

// New makes a pool; it asks nothing of the API server yet. Its errors name the
// field of the configuration that cannot be used.
func New(c Config) (*Pool, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("credentials configuration: %w", err)
	}
	c = c.withDefaults()
	own := rest.CopyConfig(c.Kubernetes)
	own.QPS, own.Burst = -1, 0 // the API server limits
	client, err := kubernetes.NewForConfig(own)
	if err != nil {
		return nil, fmt.Errorf("client of the API server: %w", err)
	}
	return newPool(c, client)
}

// newPool makes a pool of a configuration that is complete.
func newPool(c Config, client kubernetes.Interface) (*Pool, error) {
	t, err := anonymousTLS(c.Kubernetes)
	if err != nil {
		return nil, fmt.Errorf("CA of the API server: %w", err)
	}
	p := &Pool{config: c, client: client, tls: t, dial: c.Kubernetes.Dial, requests: make(chan struct{}, c.MaxRequests), nodes: make(map[string]*entry)}
	if p.dial == nil {
		p.dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	p.ctx, p.close = context.WithCancel(context.Background())
	if p.metrics, err = newMetrics(p); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return p, nil
}

// Close ends what goes on, and every connection that is not in use. The Pool
// cannot be used any more.
func (p *Pool) Close() {
	p.close()
	p.mu.Lock()
	defer p.mu.Unlock()
	for name := range p.nodes {
		p.forget(name)
	}
}

// Transport returns the way to the API server as user system:node:<node>, over
// connections of the node's own. The first time it waits for the certificate,
// until ctx ends; afterwards it returns at once, while the certificate is renewed
// behind, between 70 and 90 % of its life. It refuses by [ErrBusy] and [ErrFull];
// other errors name the node, and what went wrong with its certificate.
func (p *Pool) Transport(ctx context.Context, node string) (http.RoundTripper, error) {
	e, err := p.entry(node)
	if err != nil {
		return nil, err
	}
	return e.transport(ctx)
}

// Remove deletes a node's key and certificate. Who has a copy of them can use it
// until the certificate expires.
func (p *Pool) Remove(ctx context.Context, node string) error {
	if err := checkName(node); err != nil {
		return err
	}
	p.mu.Lock()
	p.forget(node)
	p.mu.Unlock()
	return p.deleteSecret(ctx, node)
}

func checkName(node string) error {
	if errs := validation.NameIsDNSSubdomain(node, false); len(errs) > 0 {
		return fmt.Errorf("node name %.64q: %s", node, errs[0])
	}
	if errs := validation.NameIsDNSSubdomain(SecretPrefix+node, false); len(errs) > 0 {
		return fmt.Errorf("node name %.64q…: its Secret's name would be too long: %s", node, errs[0])
	}
	return nil
}

// entry is that of a node, made if there is room.
func (p *Pool) entry(node string) (*entry, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil {
		return nil, errors.New("the pool of credentials is closed")
	}
	now := p.config.Now()
	e := p.nodes[node]
	if e == nil {
		if err := checkName(node); err != nil {
			return nil, err
		}
		if len(p.nodes) >= p.config.MaxNodes && !p.giveUpOne(now) {
			return nil, ErrFull
		}
		e = &entry{pool: p, node: node}
		p.nodes[node] = e
	}
	e.used = now
	return e, nil
}

// giveUpOne forgets a node that was not used for long. Its Secret stays.
func (p *Pool) giveUpOne(now time.Time) bool {
	for name, e := range p.nodes {
		if now.Sub(e.used) >= unusedAfter {
			p.forget(name)
			return true
		}
	}
	return false
}

// forget drops a node. The lock is held.
func (p *Pool) forget(node string) {
	if e := p.nodes[node]; e != nil {
		delete(p.nodes, node)
		e.drop()
	}
}

func (p *Pool) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.nodes)
}
