// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"

	"github.com/picolet/picolet/api/devices"
	"github.com/picolet/picolet/api/v1alpha1"
)

// Enrolment decides for one gateway. Make it by [New]. Its methods are safe for
// use by several goroutines.
type Enrolment struct {
	config  Config
	log     *slog.Logger
	metrics *metrics
	clock   *clock
	manager string // of the fields that this gateway sets

	devices  *devices.Client
	client   kubernetes.Interface
	secrets  coreclient.SecretInterface
	informer cache.SharedIndexInformer
	events   record.EventRecorder
	sink     record.EventBroadcaster
	queue    workqueue.TypedRateLimitingInterface[string]

	view     *view
	holds    holds
	foreign  names       // of Devices whose nodes were seen to be no boards
	identity string      // of this process, among those of gateways
	usurped  atomic.Bool // another process has this gateway's Lease

	deviceLists, replicaLists *source
	replicas                  *replicas
	ready                     chan struct{} // closed when all was read once
	ran                       atomic.Bool

	strangers, tokens, contacts, noted, spoken *limiter
	allTokens                                  *rate.Limiter
	evictions                                  *limiter // of Devices whose boards are there
	places                                     places
	using                                      chan struct{} // held by who uses a join token up
}

// New makes an Enrolment; it asks nothing of the API server yet. Its errors name
// the field of the configuration that cannot be used.
func New(c Config) (*Enrolment, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("enrolment configuration: %w", err)
	}
	c = c.withDefaults()
	clock := newClock(c.Logger)
	c.Kubernetes = ownConfig(c.Kubernetes, clock)
	client, err := kubernetes.NewForConfig(c.Kubernetes)
	if err != nil {
		return nil, fmt.Errorf("client of the API server: %w", err)
	}
	deviceClient, err := devices.New(c.Kubernetes)
	if err != nil {
		return nil, err
	}
	if c.Nodes == nil {
		c.Nodes = asNodes{client.CoreV1().RESTClient()}
	}
	e := &Enrolment{
		config: c, log: c.Logger, clock: clock, manager: "picolet-gateway-" + c.Replica,
		devices: deviceClient, client: client, secrets: client.CoreV1().Secrets(c.Namespace),
		queue:    workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](100*time.Millisecond, time.Minute)),
		holds:    holds{byName: make(map[string]*Hold)},
		identity: newIdentity(c.Replica),
		places:   places{making: make(map[string]int), evicted: make(map[types.UID]struct{})},
		ready:    make(chan struct{}), using: make(chan struct{}, 1),
	}
	e.replicas = newReplicas(e.identity)
	e.deviceLists, e.replicaLists = e.deviceSource(deviceClient), e.replicaSource()
	e.informer = cache.NewSharedIndexInformer(e.deviceLists.listWatch(), &v1alpha1.Device{}, 0, indexers)
	e.view = newView(e.informer.GetIndexer())
	e.limits()
	e.sink = record.NewBroadcaster(record.WithCorrelatorOptions(record.CorrelatorOptions{BurstSize: 10, QPS: 1. / 60}))
	e.events = e.sink.NewRecorder(devices.Scheme(), corev1.EventSource{Component: "picolet-gateway", Host: c.Replica})
	e.metrics, err = newMetrics(e)
	return e, err
}

func (e *Enrolment) limits() {
	clock := func() time.Time { return e.clock.mono() }
	e.strangers, e.tokens = newLimiter(strangerLimit, clock), newLimiter(tokenLimit, clock)
	e.contacts, e.noted = newLimiter(contactLimit, clock), newLimiter(notedLimit, clock)
	e.spoken, e.evictions = newLimiter(spokenLimit, clock), newLimiter(evictionLimit, clock)
	e.allTokens = rate.NewLimiter(rate.Every(tokenTotal.every), tokenTotal.burst)
}

// Run watches Devices and keeps their status until ctx ends; then every Hold ends.
// It may be called once. While the API server cannot be used it tries again.
func (e *Enrolment) Run(ctx context.Context) error {
	if e.ran.Swap(true) {
		return errors.New("an Enrolment runs once: make another by New")
	}
	replicas := cache.NewSharedIndexInformer(e.replicaLists.listWatch(), &coordinationv1.Lease{}, 0, nil)
	devicesTold, err := e.watch(e.informer, e.handlers())
	if err != nil {
		return err
	}
	replicasTold, err := e.watch(replicas, e.replicaHandlers())
	if err != nil {
		return err
	}
	e.sink.StartRecordingToSink(&coreclient.EventSinkImpl{Interface: e.client.CoreV1().Events("")})
	var running sync.WaitGroup
	running.Go(func() { e.informer.RunWithContext(ctx) })
	running.Go(func() { replicas.RunWithContext(ctx) })
	running.Go(func() { e.keepLease(ctx) })
	if cache.WaitForCacheSync(ctx.Done(), devicesTold, replicasTold) {
		e.serve(ctx, &running)
	}
	<-ctx.Done()
	e.queue.ShutDown()
	running.Wait()
	e.endAll("this gateway ends: another one takes boards")
	e.sink.Shutdown()
	return nil
}

// watch tells handlers of what an informer sees; told is true when it has seen all
// that there is.
func (e *Enrolment) watch(informer cache.SharedIndexInformer, handlers cache.ResourceEventHandler) (told cache.InformerSynced, err error) {
	registration, err := informer.AddEventHandler(handlers)
	if err == nil {
		err = informer.SetWatchErrorHandlerWithContext(e.watchFailed)
	}
	if err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	return registration.HasSynced, nil
}

// serve starts to decide, when the other gateways can see this one.
func (e *Enrolment) serve(ctx context.Context, running *sync.WaitGroup) {
	select {
	case <-e.replicas.present:
	case <-ctx.Done():
		return
	}
	close(e.ready)
	for range workers {
		running.Go(func() { e.work(ctx) })
	}
	running.Go(func() { e.sweeps(ctx) })
}

func (e *Enrolment) watchFailed(ctx context.Context, _ *cache.Reflector, err error) {
	if ctx.Err() == nil && !apierrors.IsResourceExpired(err) {
		e.log.Warn("Watch failed: trying again; apply deploy/picolet.dev_devices.yaml and deploy/enrolment.yaml if they are missing", "err", err)
	}
}

func (e *Enrolment) sweeps(ctx context.Context) {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			e.sweep()
		}
	}
}

// endAll ends what is held. The Lease is gone by now, so another gateway may take
// the boards at once.
func (e *Enrolment) endAll(why string) {
	e.holds.mu.Lock()
	defer e.holds.mu.Unlock()
	for name, h := range e.holds.byName {
		h.cancel(refuse(Unavailable, name, "%s", why))
		delete(e.holds.byName, name)
	}
}

// Ready is closed when the Devices have been read and the other gateways can see
// this one: until then Decide waits.
func (e *Enrolment) Ready() <-chan struct{} { return e.ready }

// Check reports why boards cannot be decided on now.
func (e *Enrolment) Check() error {
	select {
	case <-e.ready:
	default:
		return errNotSynced
	}
	if e.usurped.Load() {
		return errNoLease
	}
	return nil
}

func (e *Enrolment) synced(ctx context.Context) bool {
	select {
	case <-e.ready:
		return true
	case <-ctx.Done():
		return false
	}
}
