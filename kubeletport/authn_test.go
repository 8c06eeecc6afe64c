// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	clocktesting "k8s.io/utils/clock/testing"
)

func okBoard(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }

func TestWhoMayIn(t *testing.T) {
	t.Parallel()
	h := startServer(t, startBoard(t, okBoard), nil)
	stranger := newPKI(t)
	past := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	serverOnly := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }
	for _, tt := range []struct {
		name    string
		client  *http.Client
		headers []string
		code    int
		asked   string // who, as the API server is asked
	}{
		{"nobody", h.client(t, nil), nil, 401, ""},
		{"certificate", h.client(t, h.admin(t)), nil, 200, "kube-apiserver-kubelet-client"},
		{"certificate of another CA", h.client(t, stranger.client(t, "admin", nil, "system:masters")), nil, 401, ""},
		{"expired certificate", h.client(t, h.pki.client(t, "admin", past)), nil, 401, ""},
		{"certificate of a server", h.client(t, h.pki.client(t, "admin", serverOnly)), nil, 401, ""},
		{"certificate without a name", h.client(t, h.pki.client(t, "", nil)), nil, 401, ""},
		{"token", h.client(t, nil), []string{"Authorization", "Bearer good"}, 200, "jane"},
		{"token, other case", h.client(t, nil), []string{"Authorization", "bearer  good"}, 200, ""}, // cached
		{"unknown token", h.client(t, nil), []string{"Authorization", "Bearer bad"}, 401, ""},
		{"empty token", h.client(t, nil), []string{"Authorization", "Bearer "}, 401, ""},
		{"password", h.client(t, nil), []string{"Authorization", "Basic Z29vZDpnb29k"}, 401, ""},
		{"token and bad certificate", h.client(t, stranger.client(t, "admin", nil)), []string{"Authorization", "Bearer good"}, 200, ""},
		{"front proxy's headers", h.client(t, nil), []string{"X-Remote-User", "admin", "X-Remote-Group", "system:masters"}, 401, ""},
		{"impersonation", h.client(t, nil), []string{"Impersonate-User", "admin"}, 401, ""},
	} {
		r := ask(t, tt.client, "GET", "/healthz", "", tt.headers...)
		if r.code != tt.code {
			t.Errorf("%s: %d %s, want %d", tt.name, r.code, r.body, tt.code)
		}
		if r.code == 401 {
			checkStatus(t, r)
		}
		asked := h.cluster.questions()
		if tt.asked == "" && len(asked) > 0 || tt.asked != "" && (len(asked) != 1 || !strings.HasPrefix(asked[0], tt.asked+" ")) {
			t.Errorf("%s: asked %q, want about %q", tt.name, asked, tt.asked)
		}
	}
}

func TestGroupsOfUsers(t *testing.T) {
	t.Parallel()
	h := startServer(t, startBoard(t, okBoard), nil)
	ask(t, h.client(t, h.pki.client(t, "bob", nil, "a", "b")), "GET", "/spec", "")
	ask(t, h.client(t, nil), "GET", "/spec", "", "Authorization", "Bearer good")
	h.cluster.mu.Lock()
	defer h.cluster.mu.Unlock()
	equal(t, "groups by certificate", h.cluster.asked[0].Groups, []string{"a", "b", "system:authenticated"})
	equal(t, "groups by token", h.cluster.asked[1].Groups, []string{"people", "system:authenticated"})
}

// A token is reviewed once in two minutes, whether it is good or not.
func TestTokensAreCached(t *testing.T) {
	t.Parallel()
	c := newCluster("")
	clock := clocktesting.NewFakeClock(time.Now())
	a := newAuthenticator(&clientCA{}, c.AuthenticationV1().TokenReviews())
	a.good, a.bad = cache.NewLRUExpireCacheWithClock(10, clock), cache.NewLRUExpireCacheWithClock(10, clock)
	a.now = clock.Now
	for _, step := range []struct {
		token   string
		wait    time.Duration
		reviews int
	}{{"good", 0, 1}, {"good", tokenTTL, 1}, {"bad", 0, 2}, {"bad", time.Minute, 2}, {"good", 2 * time.Minute, 3}} {
		clock.Step(step.wait)
		user, refused := a.byToken(t.Context(), "10.0.0.1", step.token)
		if (user != nil) != (step.token == "good") || (refused == nil) != (step.token == "good") || c.reviews != step.reviews {
			t.Errorf("%+v: %v, %v, %d reviews", step, user, refused, c.reviews)
		}
	}
}

// An API server that is away lets nobody in and keeps nobody out for later.
func TestAPIServerAway(t *testing.T) {
	t.Parallel()
	h := startServer(t, startBoard(t, okBoard), nil)
	admin, nobody := h.client(t, h.admin(t)), h.client(t, nil)
	for _, down := range []bool{true, false} {
		h.cluster.setDown(down)
		want := map[bool]int{true: 503, false: 200}[down]
		for name, r := range map[string]reply{
			"certificate": ask(t, admin, "GET", "/healthz", ""),
			"token":       ask(t, nobody, "GET", "/healthz", "", "Authorization", "Bearer good"),
		} {
			if r.code != want || down && r.header.Get("Retry-After") == "" {
				t.Errorf("%s, API server down: %v: %d %s", name, down, r.code, r.body)
			}
			if strings.Contains(r.body, "10.0.0.1") {
				t.Errorf("%s: the client learns where the API server is: %s", name, r.body)
			}
		}
	}
}

// The client CA is followed: what a former one signed is worth nothing.
func TestClientCARotates(t *testing.T) {
	t.Parallel()
	h := startServer(t, startBoard(t, okBoard), nil)
	next := newPKI(t)
	before, after := h.client(t, h.admin(t)), h.client(t, next.client(t, "admin", nil))
	codes := func() [2]int {
		return [2]int{ask(t, before, "GET", "/healthz", "").code, ask(t, after, "GET", "/healthz", "").code}
	}
	set := func(bundle string) {
		m, err := h.cluster.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(t.Context(), authenticationConfigMap, metav1.GetOptions{})
		must(t, err)
		m.Data[clientCAKey] = bundle
		_, err = h.cluster.CoreV1().ConfigMaps(metav1.NamespaceSystem).Update(t.Context(), m, metav1.UpdateOptions{})
		must(t, err)
	}
	for _, step := range []struct {
		bundle string
		want   [2]int
	}{
		{h.pki.pem() + next.pem(), [2]int{200, 200}},
		{next.pem(), [2]int{401, 200}},
		{"no certificate", [2]int{401, 200}}, // kept
		{"", [2]int{401, 401}},
		{h.pki.pem(), [2]int{200, 401}},
	} {
		set(step.bundle)
		if step.bundle == "no certificate" {
			eventually(t, "the bad bundle is logged", func() bool { return strings.Contains(h.log.String(), "cannot be read") })
		}
		eventually(t, "the new CA holds", func() bool { return codes() == step.want })
	}
}

// Until the client CA is known, a certificate is neither good nor bad.
func TestClientCANotKnownYet(t *testing.T) {
	t.Parallel()
	h := newHarness(t, startBoard(t, okBoard), nil)
	t.Cleanup(h.close)
	var err error
	h.port, err = h.Add(Node{Name: node})
	must(t, err)
	h.dial = dialer(h)
	if r := ask(t, h.client(t, h.admin(t)), "GET", "/healthz", ""); r.code != 503 {
		t.Errorf("%d %s, want 503", r.code, r.body)
	}
	if r := ask(t, h.client(t, nil), "GET", "/healthz", ""); r.code != 401 {
		t.Errorf("without a certificate: %d %s, want 401", r.code, r.body)
	}
}

// No port answers plain HTTP, nor an old TLS.
func TestTLSOnly(t *testing.T) {
	t.Parallel()
	h := startServer(t, startBoard(t, okBoard), nil)
	resp, err := http.Get("http://" + h.addr() + "/healthz")
	if err == nil {
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("plain HTTP: %s", resp.Status)
		}
	}
	if asked := h.cluster.questions(); len(asked) > 0 {
		t.Errorf("plain HTTP was taken for a request: %q", asked)
	}
	nc, err := net.Dial("tcp", h.addr())
	must(t, err)
	defer func() { _ = nc.Close() }()
	if err := handshakeTLS11(nc); err == nil {
		t.Error("TLS 1.1 is spoken")
	} else if errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}
