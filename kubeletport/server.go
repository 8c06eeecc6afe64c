// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Time and size limits of a connection.
const (
	headTimeout  = 10 * time.Second // for the handshake, and for a request's head
	idleTimeout  = 90 * time.Second // between requests, as long as client-go keeps its side
	writeTimeout = 15 * time.Second // for a piece of an answer to be taken
	// maxHeadSize is 16 KiB: net/http allows 4 KiB more than it is told.
	maxHeadSize = 16<<10 - 4<<10
)

// A Server serves the kubelet ports of nodes. Make it by [New].
type Server struct {
	config  Config
	log     *slog.Logger
	ca      *clientCA
	authn   *authenticator
	authz   *authorizer
	own     *ownCA
	turns   *turns // of nodes to request certificates
	boards  *boardClient
	http    *http.Server
	metrics *metrics
	tls     *tls.Config
	loud    *rate.Limiter // of log lines about refusals

	connections atomic.Int64
	goroutines  sync.WaitGroup
	listenOn    func(port int) (net.Listener, error)

	mu     sync.Mutex
	nodes  map[string]*port
	closed bool
}

// New makes a Server; it asks nothing of the API server yet. Its errors name
// the field of the configuration that cannot be used.
func New(c Config) (*Server, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("kubelet port configuration: %w", err)
	}
	c = c.withDefaults()
	own, err := newOwnCA(c.OwnCA)
	if err != nil {
		return nil, fmt.Errorf("kubelet port configuration: field OwnCA: %w", err)
	}
	s := &Server{config: c, log: c.Logger, ca: &clientCA{log: c.Logger}, own: own, turns: newTurns(c.Turns), nodes: make(map[string]*port), loud: rate.NewLimiter(1, 20)}
	s.authn = newAuthenticator(s.ca, c.Kubernetes.AuthenticationV1().TokenReviews())
	s.authz = newAuthorizer(c.Kubernetes.AuthorizationV1().SubjectAccessReviews())
	s.boards = newBoardClient(c.Boards, c.MaxBoardRequests)
	s.tls = servingConfig()
	s.listenOn = func(port int) (net.Listener, error) {
		return net.Listen("tcp", net.JoinHostPort(c.ListenHost, strconv.Itoa(port)))
	}
	s.http = s.httpServer()
	if s.metrics, err = newMetrics(s, c.Metrics); err != nil {
		return nil, fmt.Errorf("kubelet port configuration: field Metrics: %w", err)
	}
	return s, nil
}

func (s *Server) httpServer() *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           http.HandlerFunc(s.serve),
		Protocols:         protocols,
		ReadHeaderTimeout: headTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeadSize,
		BaseContext:       func(l net.Listener) context.Context { return l.(*port).ctx },
		ConnContext:       withConn,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// Run follows the cluster's client CA until ctx ends; then it closes all ports
// and connections and returns. It must be called once. Until it has read the
// CA, clients with certificates are told to come back.
func (s *Server) Run(ctx context.Context) {
	if s.config.NodeKubernetes == nil {
		s.log.Warn("Kubelet ports serve certificates of the gateway's own CA: an API server with --kubelet-certificate-authority refuses them")
	}
	s.ca.run(ctx, s.config.Kubernetes)
	s.close()
}

// close ends everything and waits for it.
func (s *Server) close() {
	s.mu.Lock()
	s.closed = true
	ports := make([]*port, 0, len(s.nodes))
	for _, p := range s.nodes {
		ports = append(ports, p)
	}
	clear(s.nodes)
	s.mu.Unlock()
	for _, p := range ports {
		p.close()
	}
	_ = s.http.Close()
	s.boards.close()
	s.goroutines.Wait()
}

// Errors of Add.
var (
	// ErrNoPort says that the range of ports is used up.
	ErrNoPort = errors.New("no kubelet port is free: widen --kubelet-ports")
	// ErrClosed says that Run has ended.
	ErrClosed = errors.New("the kubelet ports are closed")
)

// Add opens the port of a node and returns its number, which the node's status
// must name and later calls of Add should bring along. A node that is there
// already is replaced: it keeps its port, and its connections end.
func (s *Server) Add(n Node) (int, error) {
	if err := n.validate(); err != nil {
		return 0, err
	}
	certs, err := s.newServing(n.Name)
	if err != nil {
		return 0, err
	}
	if former := s.remove(n.Name); former != nil && n.Port == 0 {
		n.Port = former.number
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, ErrClosed
	}
	l, err := s.listen(n)
	if err != nil {
		return 0, err
	}
	p := newPort(s, l, n, certs)
	s.nodes[n.Name] = p
	certs.start()
	s.goroutines.Go(func() { _ = s.http.Serve(p) }) // ends with the port; what accept says is in its log
	return p.number, nil
}

// Remove closes the port of a node and all its connections.
func (s *Server) Remove(node string) { s.remove(node) }

func (s *Server) remove(node string) *port {
	s.mu.Lock()
	p := s.nodes[node]
	delete(s.nodes, node)
	s.mu.Unlock()
	if p != nil {
		p.close()
	}
	return p
}

// portOfNode is nil for a node that has none.
func (s *Server) portOfNode(node string) *port {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nodes[node]
}

// count is the number of nodes.
func (s *Server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.nodes)
}

// listen opens the port that the node had, if it is within the range, or else the first free one of the
// range, beginning at one that depends on the name: so a name mostly gets the
// same port even where nobody remembers it.
func (s *Server) listen(n Node) (net.Listener, error) {
	if n.Port >= s.config.FirstPort && n.Port <= s.config.LastPort {
		l, err := s.listenOn(n.Port)
		if err == nil {
			return l, nil
		}
		s.log.Warn("Port of a node is taken: it gets another one", "node", n.Name, "port", n.Port, "err", err)
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(n.Name)) // never fails
	size := s.config.LastPort - s.config.FirstPort + 1
	for i := range size {
		number := s.config.FirstPort + (int(h.Sum32()%uint32(size))+i)%size
		if l, err := s.listenOn(number); err == nil {
			return l, nil
		}
	}
	return nil, fmt.Errorf("node %s: %w, %d to %d", n.Name, ErrNoPort, s.config.FirstPort, s.config.LastPort)
}

// serve answers one request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	c := &call{w: &recorder{ResponseWriter: w}, r: r, port: portOf(r.Context())}
	defer s.metrics.served(c)
	c.extendWrite()
	if r.ContentLength != 0 { // whoever reads it, and be it net/http
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(headTimeout))
	}
	if refused := s.handle(c); refused != nil {
		c.extendWrite()
		s.refused(c, refused)
		refused.write(c.w)
	}
}

// handle asks who the client is, what it wants, whether it may, and then does it.
func (s *Server) handle(c *call) (refused *refusal) {
	if c.user, refused = s.authn.authenticate(c.r); refused != nil {
		return refused
	}
	if refused = c.parseTarget(); refused != nil {
		return refused
	}
	verb := c.route.verb(c.r.Method)
	if refused = s.authz.authorize(c.r.Context(), c.user, c.port.node.Name, verb, c.route.subresources); refused != nil {
		return refused
	}
	return c.route.serve(s, c)
}

// refused logs the first refusal of a connection, as far as clients cannot fill the log
// by that.
func (s *Server) refused(c *call, refused *refusal) {
	level := slog.LevelDebug
	if conn := connOf(c.r.Context()); !conn.loud.Swap(true) && s.loud.Allow() {
		level = slog.LevelWarn
	}
	user := ""
	if c.user != nil {
		user = c.user.Username
	}
	s.log.Log(c.r.Context(), level, "Refused a request to a kubelet port", "node", c.port.node.Name, "addr", c.r.RemoteAddr,
		"user", user, "code", refused.code, "err", refused)
}

// extendWrite gives the client time to take the next piece of the answer.
func (c *call) extendWrite() {
	_ = http.NewResponseController(c.w).SetWriteDeadline(time.Now().Add(writeTimeout))
}

// recorder remembers the status code for the metrics.
type recorder struct {
	http.ResponseWriter
	code int
}

func (r *recorder) WriteHeader(code int) {
	r.code = code
	r.ResponseWriter.WriteHeader(code)
}

// Hijack implements http.Hijacker, for streams.
func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	r.code = http.StatusSwitchingProtocols
	return http.NewResponseController(r.ResponseWriter).Hijack()
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
