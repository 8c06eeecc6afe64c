// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Time and size limits of a connection; all are part of what a board is told
// in docs.
const (
	headTimeout     = 10 * time.Second // for a request's head
	idleTimeout     = 5 * time.Minute  // between requests
	shutdownTimeout = 10 * time.Second
	// maxHeadSize is 8 KiB: net/http allows 4 KiB more than it is told.
	maxHeadSize = 8<<10 - 4<<10
)

// A Gateway takes boards' requests to one API server. Make it by [New].
type Gateway struct {
	config   Config
	log      *slog.Logger
	upstream *upstream
	client   kubernetes.Interface // under the gateway's own identity
	claims   *claims
	cache    *configMapCache
	metrics  *metrics
	rights   *rights

	budgets *budgets
	bodies  atomic.Int64 // bytes, see maxBodyMemory

	links  *links
	places *places // of handshakes that compute
	drain  *drain
	named  namedBoards

	connections atomic.Int64 // open ones of boards
	strangers   atomic.Int64 // those of them from addresses that no board is named at
	served      atomic.Bool
	linksServed atomic.Bool
	stands      atomic.Bool // keepRights runs
}

// New makes a gateway; it asks nothing of the API server yet. Its errors name
// the field of the configuration that cannot be used.
func New(c Config) (*Gateway, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("gateway configuration: %w", err)
	}
	c = c.withDefaults()
	c.Kubernetes = ownConfig(c.Kubernetes)
	up, err := newUpstream(c)
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(c.Kubernetes)
	if err != nil {
		return nil, fmt.Errorf("client of the API server: %w", err)
	}
	g := &Gateway{config: c, log: c.Logger, upstream: up, client: client, claims: newClaims(c), rights: newRights(), links: newLinks(), places: newPlaces(), drain: newDrain(), budgets: newBudgets(2 * c.MaxBoards), named: newNamedBoards(c.InsecureBoards)}
	g.cache = newConfigMapCache(client.CoreV1(), c.MaxConfigMaps, c.Logger)
	g.cache.subject = g.rights.subject
	g.cache.doubt = func() {
		g.rightsLost("the API server does not take the gateway's own credentials: renew its token or certificate")
	}
	g.cache.supersede = g.supersede
	g.metrics = newMetrics(g)
	return g, nil
}

// ownConfig is the configuration with what the gateway needs of it: no limit on
// the client's side, for there is one in the API server, and bodies as they are.
func ownConfig(c *rest.Config) *rest.Config {
	c = rest.CopyConfig(c)
	c.QPS, c.Burst = -1, 0
	c.ContentType, c.AcceptContentTypes = jsonType, jsonType
	c.DisableCompression = true
	c.UserAgent = "picolet-gateway"
	return c
}

// Serve takes boards' connections from ln until ctx ends; then it gives open
// requests 10 s to finish, ends the watches and returns nil. It may be called
// once. It returns an error if ln fails or if the gateway must not run with the
// rights it has; other trouble with the API server is logged, shown by /readyz,
// told to boards by 503, and tried again.
func (g *Gateway) Serve(ctx context.Context, ln net.Listener) error {
	if g.served.Swap(true) {
		return errors.New("a Gateway serves one listener: make another by New")
	}
	g.log.Warn("Boards speak plain HTTP here: anyone on this network can pose as a board; use it on trusted networks only",
		"address", ln.Addr().String(), "named", len(g.named))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	server := g.server()
	ended := make(chan error, 2)
	go func() { ended <- server.Serve(&boardListener{Listener: ln, gateway: g}) }()
	go func() {
		if err := g.standing(ctx); err != nil {
			ended <- err
		}
	}()
	var err error
	select {
	case <-ctx.Done():
	case err = <-ended:
	}
	return errors.Join(err, g.shutdown(server))
}

// standing keeps the gateway's rights, for Serve and ServeLinks, whichever came first.
func (g *Gateway) standing(ctx context.Context) error {
	if g.stands.Swap(true) {
		<-ctx.Done()
		return nil
	}
	return g.keepRights(ctx)
}

func (g *Gateway) server() *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           http.HandlerFunc(g.serveBoard),
		Protocols:         protocols,
		ReadHeaderTimeout: headTimeout,
		WriteTimeout:      writeTimeout, // from the end of the head; handlers renew it
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeadSize,
		ConnContext:       withConn,
		ErrorLog:          slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}
}

func (g *Gateway) shutdown(server *http.Server) error {
	g.cache.close() // ends the watches, for which Shutdown would wait
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		return server.Close()
	}
	return nil
}

// serveBoard answers one request of a board.
func (g *Gateway) serveBoard(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	rec := &recorder{ResponseWriter: w, clock: &g.upstream.clock, code: http.StatusOK}
	c, refused := g.handle(rec, r)
	if refused != nil {
		g.refusedRequest(r, refused)
		answerRefused(rec, refused)
	}
	route := "none"
	if c != nil {
		route = c.op.name
	}
	g.metrics.served(route, rec.code, time.Since(start), c != nil && c.watches())
}

// handle takes a request through the three questions: what is asked, who asks,
// and what does the API server, or the cache, say to it. The call is nil where
// the request is none that a board may make.
func (g *Gateway) handle(w http.ResponseWriter, r *http.Request) (*call, *refusal) {
	conn := connOf(r.Context())
	if refused := conn.refuseStranger(); refused != nil {
		return nil, refused
	}
	bill := g.newCharge(conn)
	if refused := bill.request(); refused != nil {
		return nil, refused
	}
	if refused := checkHeaders(r.Header); refused != nil {
		return nil, refused
	}
	c, refused := parseCall(r.Method, r.RequestURI)
	if refused != nil {
		return nil, refused
	}
	defer bill.release()
	if refused := bill.operation(c.op, r.ContentLength); refused != nil {
		return c, refused
	}
	body, refused := readBody(w, r, c.op)
	if refused != nil {
		return c, refused
	}
	if c.op.body != nil {
		if refused = c.decode(body); refused != nil {
			return c, refused
		}
	}
	node, refused := g.identify(r, c.node)
	if refused != nil {
		return c, refused
	}
	c.node = node
	if refused := bill.identified(r.ContentLength); refused != nil {
		return c, refused
	}
	return c, g.answer(w, r, c)
}

// answer answers the call of a board that is known and within its budget.
func (g *Gateway) answer(w http.ResponseWriter, r *http.Request, c *call) *refusal {
	if r.Header.Get(nodeHeader) != "" {
		connOf(r.Context()).minimal = prefersMinimal(r.Header)
		tellBound(w.Header(), r, c.node)
	}
	if agent := r.Header.Get("User-Agent"); agent != "" {
		connOf(r.Context()).model = modelOf(agent)
	}
	if refused := g.rights.refusal(); refused != nil {
		return refused
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(upstreamTimeout + writeTimeout))
	if c.op.own {
		return g.serveConfigMap(w, r, c)
	}
	return g.forward(w, r, c)
}

// supersede closes a connection in favour of a newer one of the same board.
func (g *Gateway) supersede(conn *boardConn, why string) {
	node, _ := conn.bound()
	g.metrics.superseded.WithLabelValues(why).Inc()
	g.log.Debug("Closed a connection for a newer one of the same board", "addr", conn.host(), "node", node, "cause", why)
	_ = conn.Close() // the board may have gone long ago
}

const refusedRequestLine = "Refused a board's request"

// refusedRequest counts a refusal, and logs the first of a connection, as far as its
// board does not fill the log by that.
func (g *Gateway) refusedRequest(r *http.Request, refused *refusal) {
	g.metrics.refused.WithLabelValues(refused.cause).Inc()
	conn := connOf(r.Context())
	node, _ := conn.bound()
	attrs := []any{"addr", conn.host(), "node", node, "code", refused.code, "cause", refused.cause, "err", refused}
	if conn.loud.Swap(true) {
		g.log.Debug(refusedRequestLine, attrs...)
		return
	}
	g.budgets.of(conn.payer()).lines.warn(g.log, refusedRequestLine, attrs...)
}

func (g *Gateway) refusedFraming(c *boardConn) {
	if !c.loud.Swap(true) {
		node, _ := c.bound()
		g.metrics.refused.WithLabelValues("framing").Inc()
		g.budgets.of(c.payer()).lines.warn(g.log, "Refused a connection", "addr", c.host(), "node", node, "err", errFraming)
	}
}
