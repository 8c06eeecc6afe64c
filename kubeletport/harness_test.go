// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/klog/v2"

	"github.com/picolet/picolet/link/linktest"
	"github.com/picolet/picolet/netns"
	"github.com/picolet/picolet/testlog"
)

const node = "pico-1"

func TestMain(m *testing.M) {
	klog.SetSlogLogger(slog.New(slog.DiscardHandler)) // libraries tell of what tests break
	os.Exit(netns.Main(m))
}

// pki is a CA of clients.
type pki struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func newPKI(t testing.TB) *pki {
	t.Helper()
	ca, err := makeOwnCA()
	must(t, err)
	return &pki{cert: ca.cert, key: ca.key}
}

func (p *pki) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.cert.Raw}))
}

// client makes a client certificate; change makes it a bad one.
func (p *pki) client(t testing.TB, user string, change func(*x509.Certificate), groups ...string) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: user, Organization: groups},
		NotBefore:    p.cert.NotBefore,
		NotAfter:     p.cert.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, p.cert, key.Public(), p.key)
	must(t, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// cluster is what the Server asks of the API server.
type cluster struct {
	*fake.Clientset
	mu      sync.Mutex
	down    bool
	reviews int                                           // of tokens
	asked   []authorizationv1.SubjectAccessReviewSpec     // in their order
	may     func(authorizationv1.ResourceAttributes) bool // Optional [everything]
	tokens  map[string]authenticationv1.UserInfo          // who is who
}

func newCluster(clientCA string) *cluster {
	c := &cluster{
		Clientset: fake.NewClientset(&corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: authenticationConfigMap},
			Data:       map[string]string{clientCAKey: clientCA},
		}),
		tokens: map[string]authenticationv1.UserInfo{"good": {Username: "jane", Groups: []string{"people"}}},
	}
	c.PrependReactor("create", "tokenreviews", c.reviewToken)
	c.PrependReactor("create", "subjectaccessreviews", c.reviewAccess)
	return c
}

func (c *cluster) setDown(down bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = down
}

var errDown = fmt.Errorf("dial tcp 10.0.0.1:443: connection refused")

func (c *cluster) reviewToken(a clienttesting.Action) (bool, runtime.Object, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reviews++
	if c.down {
		return true, nil, errDown
	}
	r := a.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenReview).DeepCopy()
	r.Status.User, r.Status.Authenticated = c.tokens[r.Spec.Token], c.tokens[r.Spec.Token].Username != ""
	return true, r, nil
}

func (c *cluster) reviewAccess(a clienttesting.Action) (bool, runtime.Object, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down {
		return true, nil, errDown
	}
	r := a.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).DeepCopy()
	c.asked = append(c.asked, r.Spec)
	r.Status.Allowed = c.may == nil || c.may(*r.Spec.ResourceAttributes)
	return true, r, nil
}

// questions returns what was asked since the last call.
func (c *cluster) questions() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for _, q := range c.asked {
		a := q.ResourceAttributes
		all = append(all, fmt.Sprintf("%s %s %s/%s %s%s", q.User, a.Verb, a.Resource, a.Subresource, a.Name, a.Namespace))
	}
	c.asked = nil
	return all
}

// harness is a Server with one node.
type harness struct {
	*Server
	pki     *pki
	cluster *cluster
	port    int
	dial    func(ctx context.Context) (net.Conn, error) // below TLS
	log     *syncBuffer
}

// startServer serves a node on loopback until the test ends.
func startServer(t testing.TB, b Boards, change func(*Config)) *harness {
	t.Helper()
	h := newHarness(t, b, change)
	h.start(t)
	h.dial = func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", h.addr())
	}
	eventually(t, "the client CA is known", h.ca.synced.Load)
	return h
}

func newHarness(t testing.TB, b Boards, change func(*Config)) *harness {
	t.Helper()
	h := &harness{pki: newPKI(t), log: new(syncBuffer)}
	h.cluster = newCluster(h.pki.pem())
	c := Config{
		Boards: b, Kubernetes: h.cluster, ListenHost: "127.0.0.1",
		Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")},
		Logger:    slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&c)
	}
	var err error
	h.Server, err = New(c)
	must(t, err)
	return h
}

func (h *harness) start(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		if t.Failed() {
			t.Logf("log:\n%s", h.log.tail())
		}
	})
	var err error
	h.port, err = h.Add(Node{Name: node, Version: "v1"})
	must(t, err)
}

// startPiped serves a node on a network in memory, for bubbles of synctest. It
// follows no client CA.
func startPiped(t testing.TB, b Boards, change func(*Config)) *harness {
	t.Helper()
	h := newHarness(t, b, change)
	network := linktest.NewNetwork()
	h.listenOn = func(int) (net.Listener, error) { return network, nil }
	h.dial = network.Dial
	pool := x509.NewCertPool()
	pool.AddCert(h.pki.cert)
	h.ca.pool.Store(pool)
	_, err := h.Add(Node{Name: node})
	must(t, err)
	t.Cleanup(h.close)
	return h
}

func (h *harness) addr() string { return fmt.Sprintf("127.0.0.1:%d", h.port) }

// tlsConfig is that of the API server: it brings a certificate and, here,
// knows the CA of what is served.
func (h *harness) tlsConfig(cert *tls.Certificate) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(h.own.cert)
	c := &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}
	if cert != nil {
		c.Certificates = []tls.Certificate{*cert}
	}
	return c
}

func (h *harness) admin(t testing.TB) *tls.Certificate {
	return h.pki.client(t, "kube-apiserver-kubelet-client", nil, "system:masters")
}

// client is an HTTP client with a certificate; nil: without.
func (h *harness) client(t testing.TB, cert *tls.Certificate) *http.Client {
	t.Helper()
	transport := &http.Transport{
		DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			nc, err := h.dial(ctx)
			if err != nil {
				return nil, err
			}
			c := tls.Client(nc, h.tlsConfig(cert))
			return c, c.HandshakeContext(ctx)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

// reply is an answer that was read to its end.
type reply struct {
	code   int
	header http.Header
	body   string
}

func ask(t testing.TB, c *http.Client, method, target, body string, headers ...string) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "https://127.0.0.1"+target, strings.NewReader(body))
	must(t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	resp, err := c.Do(r)
	must(t, err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	return reply{code: resp.StatusCode, header: resp.Header, body: string(text)}
}

// checkStatus checks that an error is told as Kubernetes tells errors.
func checkStatus(t testing.TB, r reply) {
	t.Helper()
	var s metav1.Status
	if err := json.Unmarshal([]byte(r.body), &s); err != nil || s.Kind != "Status" || int(s.Code) != r.code || s.Message == "" || s.Reason == "" {
		t.Errorf("%d %q is no metav1.Status of that code: %v", r.code, r.body, err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func equal(t testing.TB, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant:\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// syncBuffer is a log, of which the end is shown.
type syncBuffer struct{ testlog.Buffer }

func dialer(h *harness) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", h.addr())
	}
}

func handshakeTLS11(nc net.Conn) error {
	return tls.Client(nc, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}).Handshake()
}

// tail is the end of the log.
func (s *syncBuffer) tail() string {
	text := s.String()
	return text[max(0, len(text)-4000):]
}

// secureConn is a TLS connection to the port, for bytes that no HTTP client writes.
func secureConn(t testing.TB, h *harness, cert *tls.Certificate) *tls.Conn {
	t.Helper()
	nc, err := h.dial(t.Context())
	must(t, err)
	c := tls.Client(nc, h.tlsConfig(cert))
	t.Cleanup(func() { _ = c.Close() })
	must(t, c.HandshakeContext(t.Context()))
	return c
}

// forNode is the same client for every node.
func (c *cluster) forNode(string) (kubernetes.Interface, error) { return c, nil }
