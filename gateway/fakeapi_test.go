// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/picolet/picolet/testlog"
)

const gatewayUser = "system:serviceaccount:picolet-system:picolet-gateway"

// fakeAPI stands for the API server: it records every request, answers reviews
// of the gateway's rights, and keeps ConfigMaps with watches.
type fakeAPI struct {
	// Set before the first request.
	deny func(authorizationv1.ResourceAttributes) bool // rights that the gateway lacks
	more []Right                                       // rights that it has beside those of rbac.yaml
	old  bool                                          // constrained impersonation is not known
	all  bool                                          // the gateway is a cluster administrator
	node http.HandlerFunc                              // answers what is asked as a node; nil: 200 {}

	mu       sync.Mutex
	requests []recorded
	rv       int
	objects  map[string]*corev1.ConfigMap
	events   []fakeEvent
	changed  chan struct{} // closed at each event
	cut      chan struct{} // closed to end all watches
	forbid   bool
	expired  bool // the next watch ends with 410
	down     bool
	lists    int
	watches  int
}

type recorded struct {
	method, uri string
	header      http.Header
	body        string
}

type fakeEvent struct {
	rv     int
	name   string // empty: a bookmark
	kind   string
	object []byte
}

func newFakeAPI() *fakeAPI {
	return &fakeAPI{rv: 100, objects: map[string]*corev1.ConfigMap{}, changed: make(chan struct{}), cut: make(chan struct{})}
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	f.requests = append(f.requests, recorded{r.Method, r.RequestURI, r.Header.Clone(), string(body)})
	down := f.down
	f.mu.Unlock()
	w.Header().Set("Content-Type", jsonType)
	w.Header().Set("Date", time.Now().UTC().Format(http.TimeFormat))
	asNode := r.Header.Get("Impersonate-User")
	switch {
	case down:
		panic(http.ErrAbortHandler)
	case asNode == nodeUserPrefix+probeNode:
		f.probe(w, r)
	case asNode != "" && f.node != nil:
		f.node(w, r)
	case asNode != "":
		_, _ = io.WriteString(w, "{}")
	case strings.HasSuffix(r.URL.Path, "/selfsubjectreviews"):
		review := authenticationv1.SelfSubjectReview{}
		review.Status.UserInfo.Username = gatewayUser
		writeTestJSON(w, http.StatusCreated, review)
	case strings.HasSuffix(r.URL.Path, "/selfsubjectaccessreviews"):
		f.review(w, body)
	case strings.HasSuffix(r.URL.Path, "/configmaps"):
		f.configMaps(w, r)
	case r.URL.Path == "/readyz":
		_, _ = io.WriteString(w, "ok")
	default:
		w.WriteHeader(http.StatusTeapot)
	}
}

func writeTestJSON(w http.ResponseWriter, code int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	w.WriteHeader(code)
	_, _ = w.Write(body) // the gateway may have given up
}

func (f *fakeAPI) review(w http.ResponseWriter, body []byte) {
	var review authorizationv1.SelfSubjectAccessReview
	if err := json.Unmarshal(body, &review); err != nil {
		panic(err)
	}
	right := *review.Spec.ResourceAttributes
	review.Status.Allowed = f.all || f.grants(right) && (f.deny == nil || !f.deny(right))
	writeTestJSON(w, http.StatusCreated, review)
}

func (f *fakeAPI) grants(a authorizationv1.ResourceAttributes) bool {
	return slices.ContainsFunc(append(constrainedRights(), f.more...), func(r Right) bool { return r.ResourceAttributes == a })
}

// probe answers as the API server does to a node that reads itself.
func (f *fakeAPI) probe(w http.ResponseWriter, r *http.Request) {
	group := r.Header.Get("Impersonate-Group") != ""
	switch {
	case !f.old && !group, group && (f.all || len(f.more) > 0):
		w.WriteHeader(http.StatusNotFound)
	case !group && len(f.more) > 0: // a user without the group that the Node authorizer looks for
		writeTestJSON(w, http.StatusForbidden, metav1.Status{Message: `nodes "x" is forbidden: User "system:node:x" cannot get resource "nodes"`})
	default:
		writeTestJSON(w, http.StatusForbidden, metav1.Status{Message: `users "system:node:x" is forbidden: User "` + gatewayUser + `" cannot impersonate resource "users"`})
	}
}

func (f *fakeAPI) configMaps(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Query().Get("fieldSelector"), "metadata.name=")
	f.mu.Lock()
	if f.forbid {
		f.mu.Unlock()
		writeTestJSON(w, http.StatusForbidden, metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
			Status: "Failure", Reason: metav1.StatusReasonForbidden, Code: 403, Message: "configmaps is forbidden"})
		return
	}
	if r.URL.Query().Get("watch") != "" {
		f.watches++
		cut, expired := f.cut, f.expired
		f.expired = false
		f.mu.Unlock()
		if expired {
			fmt.Fprintln(w, `{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410}}`)
			return
		}
		from, _ := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
		f.stream(w, r, name, from, cut)
		return
	}
	defer f.mu.Unlock()
	f.lists++
	list := corev1.ConfigMapList{ListMeta: metav1.ListMeta{ResourceVersion: strconv.Itoa(f.rv)}, Items: []corev1.ConfigMap{}}
	list.TypeMeta = metav1.TypeMeta{Kind: "ConfigMapList", APIVersion: "v1"}
	if cm := f.objects[name]; cm != nil {
		list.Items = append(list.Items, *cm)
	}
	writeTestJSON(w, http.StatusOK, list)
}

// stream writes the events after resourceVersion from until the watch is cut.
func (f *fakeAPI) stream(w http.ResponseWriter, r *http.Request, name string, from int, cut chan struct{}) {
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	for {
		f.mu.Lock()
		events, changed := f.events, f.changed
		f.mu.Unlock()
		for _, e := range events {
			if e.rv > from && (e.name == name || e.name == "") {
				from = e.rv
				_, _ = fmt.Fprintf(w, `{"type":%q,"object":%s}`+"\n", e.kind, e.object)
			}
		}
		w.(http.Flusher).Flush()
		select {
		case <-changed:
		case <-cut:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// emit records an event. The lock is held.
func (f *fakeAPI) emit(kind string, cm *corev1.ConfigMap) {
	object, err := json.Marshal(cm)
	if err != nil {
		panic(err)
	}
	f.events = append(f.events, fakeEvent{f.rv, cm.Name, kind, object})
	close(f.changed)
	f.changed = make(chan struct{})
}

// put creates or updates default/name and returns its resourceVersion.
func (f *fakeAPI) put(name, value string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rv++
	kind := "MODIFIED"
	if f.objects[name] == nil {
		kind = "ADDED"
	}
	cm := &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"}, Data: map[string]string{"key": value}}
	cm.ObjectMeta = metav1.ObjectMeta{Name: name, Namespace: "default", ResourceVersion: strconv.Itoa(f.rv),
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "someone"}},
		Annotations:   map[string]string{corev1.LastAppliedConfigAnnotation: "{}", "kept": "yes"}}
	f.objects[name] = cm
	f.emit(kind, cm)
	return cm.ResourceVersion
}

func (f *fakeAPI) remove(name string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rv++
	last := f.objects[name].DeepCopy()
	last.ResourceVersion = strconv.Itoa(f.rv)
	delete(f.objects, name)
	f.emit("DELETED", last)
	return last.ResourceVersion
}

// bookmark moves the resourceVersion on and tells every watch.
func (f *fakeAPI) bookmark() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rv += 10
	cm := &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"}}
	cm.ResourceVersion = strconv.Itoa(f.rv)
	f.emit("BOOKMARK", cm)
	return cm.ResourceVersion
}

// set changes the fields that the lock guards.
func (f *fakeAPI) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fakeAPI) cutWatches() {
	f.set(func() { close(f.cut); f.cut = make(chan struct{}) })
}

func (f *fakeAPI) counts() (lists, watches int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lists, f.watches
}

// asked returns what was asked as a node, besides the gateway's own probe.
func (f *fakeAPI) asked() (out []recorded) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.requests {
		if user := r.header.Get("Impersonate-User"); user != "" && user != nodeUserPrefix+probeNode {
			out = append(out, r)
		}
	}
	return out
}

// askedByBoards is asked without the gateway's own patch when a link is up.
func (f *fakeAPI) askedByBoards() []recorded {
	return slices.DeleteFunc(f.asked(), func(r recorded) bool { return strings.Contains(r.body, `"capacity":{"pods":`) })
}

// handlerTransport calls a handler without a network, so that tests may run in
// a synctest bubble.
type handlerTransport struct{ handler http.Handler }

func (t handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	server := r.Clone(r.Context())
	server.RequestURI = r.URL.RequestURI()
	if server.Body == nil {
		server.Body = http.NoBody
	}
	pr, pw := io.Pipe()
	w := &pipeWriter{header: http.Header{}, pw: pw, started: make(chan struct{}), code: http.StatusOK}
	stop := context.AfterFunc(r.Context(), func() { pw.CloseWithError(r.Context().Err()) })
	go func() {
		defer stop()
		defer func() {
			if p := recover(); p != nil {
				if p != http.ErrAbortHandler {
					panic(p)
				}
				w.failed = io.ErrUnexpectedEOF
				pw.CloseWithError(io.ErrUnexpectedEOF)
			}
			w.start()
			pw.Close()
		}()
		t.handler.ServeHTTP(w, server)
	}()
	select {
	case <-w.started:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if w.failed != nil {
		return nil, w.failed
	}
	return &http.Response{StatusCode: w.code, Header: w.sent, Body: pr, ContentLength: -1, Request: r, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}, nil
}

type pipeWriter struct {
	header, sent http.Header
	pw           *io.PipeWriter
	once         sync.Once
	started      chan struct{}
	code         int
	failed       error
}

func (w *pipeWriter) Header() http.Header { return w.header }
func (w *pipeWriter) Flush()              { w.start() }
func (w *pipeWriter) WriteHeader(c int)   { w.code = c; w.start() }

func (w *pipeWriter) start() {
	w.once.Do(func() { w.sent = w.header.Clone(); close(w.started) })
}

func (w *pipeWriter) Write(p []byte) (int, error) {
	w.start()
	return w.pw.Write(p)
}

// pipeListener accepts in-memory connections, each from an address of its own
// choice.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return pipeAddr("gateway:6080") }

func (l *pipeListener) dial(from string) net.Conn {
	client, server := net.Pipe()
	l.conns <- addressedConn{server, pipeAddr(from)}
	return client
}

type pipeAddr string

func (pipeAddr) Network() string  { return "pipe" }
func (a pipeAddr) String() string { return string(a) }

type addressedConn struct {
	net.Conn
	remote net.Addr
}

func (c addressedConn) RemoteAddr() net.Addr { return c.remote }

// A harness is a running gateway.
type harness struct {
	*Gateway
	api   *fakeAPI
	pipes *pipeListener // in a bubble
	addr  string        // on loopback
	log   *testlog.Buffer
	stop  func() error // ends Serve and returns its error

	cancels []func() // of the boards' open watches
}

// startPiped runs a gateway without any network, for use in a synctest bubble.
func startPiped(t testing.TB, api *fakeAPI, change ...func(*Config)) *harness {
	t.Helper()
	ln := newPipeListener()
	h := startOn(t, ln, api, &rest.Config{Host: "https://api.test", Transport: handlerTransport{api}}, change...)
	h.pipes = ln
	if api.deny == nil && !api.all && !api.down {
		synctest.Wait()
		if err := h.rights.get(); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// startTLS runs a gateway on loopback before an API server that speaks TLS.
func startTLS(t testing.TB, api *fakeAPI, change ...func(*Config)) *harness {
	t.Helper()
	server := httptest.NewUnstartedServer(api)
	server.EnableHTTP2 = true
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	server.StartTLS()
	t.Cleanup(server.Close)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config := &rest.Config{Host: server.URL, TLSClientConfig: rest.TLSClientConfig{CAData: pemOf(server)}, BearerToken: "gateway-token"}
	h := startOn(t, ln, api, config, change...)
	h.addr = ln.Addr().String()
	eventually(t, "the gateway is ready", func() bool { return h.rights.get() == nil })
	return h
}

func startOn(t testing.TB, ln net.Listener, api *fakeAPI, config *rest.Config, change ...func(*Config)) *harness {
	t.Helper()
	log := &testlog.Buffer{}
	c := Config{Kubernetes: config, Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	for _, f := range change {
		f(&c)
	}
	g, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Serve(ctx, ln) }()
	stop := sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { _ = stop() })
	return &harness{Gateway: g, api: api, log: log, stop: stop}
}

func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	limit := time.After(10 * time.Second)
	for !cond() {
		select {
		case <-limit:
			t.Fatalf("not within 10 s: %s", what)
		case <-time.After(time.Millisecond):
		}
	}
}

// client makes requests from one address over connections that are kept.
func (h *harness) client(from string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			if h.pipes != nil {
				return h.pipes.dial(from), nil
			}
			return (&net.Dialer{}).DialContext(ctx, "tcp", h.addr)
		},
	}}
}

type reply struct {
	code   int
	header http.Header
	body   string
}

// ask makes one request; headers are name, value, name, value.
func ask(t testing.TB, c *http.Client, method, target, body string, headers ...string) reply {
	t.Helper()
	req, err := http.NewRequest(method, "http://gateway"+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(got)}
}

// message is what a Status says; the reply must be one, with its code.
func (r reply) message(t testing.TB) string {
	t.Helper()
	var s metav1.Status
	if err := json.Unmarshal([]byte(r.body), &s); err != nil || s.Kind != "Status" || int(s.Code) != r.code || s.Message == "" {
		t.Fatalf("answer %d is no metav1.Status of that code with a message: %q", r.code, r.body)
	}
	return s.Message
}

func pemOf(s *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
}
