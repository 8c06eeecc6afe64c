// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
)

// slowReviews answers about unknown tokens no sooner than the request ends, as a
// webhook of the API server may.
type slowReviews struct {
	authenticationclient.TokenReviewInterface
	unknown atomic.Int32
}

func (s *slowReviews) Create(ctx context.Context, r *authenticationv1.TokenReview, o metav1.CreateOptions) (*authenticationv1.TokenReview, error) {
	if strings.HasPrefix(r.Spec.Token, "random") {
		s.unknown.Add(1)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.TokenReviewInterface.Create(ctx, r, o)
}

// clientFrom is a client with an address and perhaps a certificate, at one of the ports.
func (h *harness) clientFrom(t testing.TB, ip string, port int, cert *tls.Certificate) *http.Client {
	t.Helper()
	transport := &http.Transport{DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
		nc, err := d.DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return nil, err
		}
		c := tls.Client(nc, h.tlsConfig(cert))
		return c, c.HandshakeContext(ctx)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 5 * time.Second}
}

// flood asks with random tokens over as many connections as one address may have to
// some ports, until stop is called.
func (h *harness) flood(t *testing.T, ip string, ports ...int) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for _, port := range ports {
		for i := range h.config.MaxConnectionsPerClient {
			client := h.clientFrom(t, ip, port, nil)
			running.Go(func() {
				for try := 0; ctx.Err() == nil; try++ {
					r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://127.0.0.1/healthz", nil)
					if err != nil {
						t.Error(err)
						return
					}
					r.Header.Set("Authorization", fmt.Sprintf("Bearer random-%d-%d-%d", port, i, try))
					if resp, err := client.Do(r); err == nil {
						_ = resp.Body.Close()
					}
				}
			})
		}
	}
	return func() { cancel(); running.Wait() }
}

// Random tokens of one address keep neither the API server out, nor who has a good
// token, and are reviewed at a bounded rate.
func TestTokenFlood(t *testing.T) {
	t.Parallel()
	h := startServer(t, startBoard(t, okBoard), nil)
	second, err := h.Add(Node{Name: "pico-2"})
	must(t, err)
	reviews := &slowReviews{TokenReviewInterface: h.authn.tokens}
	h.authn.tokens = reviews
	begin := time.Now()
	stop := h.flood(t, "127.0.0.66", h.port, second)
	defer stop()
	eventually(t, "the flood is under way", func() bool {
		return reviews.unknown.Load() >= guessesAtOnce && int(h.connections.Load()) >= 2*h.config.MaxConnectionsPerClient
	})
	answer := func(who string, c *http.Client, headers ...string) {
		t.Helper()
		begin := time.Now()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://127.0.0.1/healthz", nil)
		must(t, err)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		resp, err := c.Do(r)
		if err != nil {
			t.Errorf("%s: after %v: %v", who, time.Since(begin), err)
			return
		}
		_ = resp.Body.Close()
		if took := time.Since(begin); resp.StatusCode != http.StatusOK || took > 3*time.Second {
			t.Errorf("%s: %s after %v", who, resp.Status, took)
		}
	}
	answer("API server", h.clientFrom(t, "127.0.0.1", h.port, h.admin(t)))
	answer("good token", h.clientFrom(t, "127.0.0.2", second, nil), "Authorization", "Bearer good")
	answer("good token at the flooding address", h.clientFrom(t, "127.0.0.66", h.portOf(t, "pico-3"), nil), "Authorization", "Bearer good")
	if n, most := int(reviews.unknown.Load()), guessBurst+int(time.Since(begin)/guessInterval)+1; n > most {
		t.Errorf("%d random tokens were reviewed in %v, want %d at most", n, time.Since(begin), most)
	}
}

// portOf opens the port of another node.
func (h *harness) portOf(t *testing.T, node string) int {
	t.Helper()
	number, err := h.Add(Node{Name: node})
	must(t, err)
	return number
}

// A client that asks many nodes at once with one token costs one review, and is not
// taken for one that guesses.
func TestOneTokenAtManyNodes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster("")
		a := newAuthenticator(&clientCA{}, c.AuthenticationV1().TokenReviews())
		var running sync.WaitGroup
		for range 1000 {
			running.Go(func() {
				if user, refused := a.byToken(t.Context(), "10.0.0.1", "good"); user == nil {
					t.Error(refused)
				}
			})
		}
		running.Wait()
		if c.reviews > 5 {
			t.Errorf("%d reviews of one token", c.reviews)
		}
	})
}

// A token that was good is reviewed again at its time, whoever guesses at the same
// address.
func TestGoodTokenOutlivesFlood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster("")
		a := newAuthenticator(&clientCA{}, c.AuthenticationV1().TokenReviews())
		if user, refused := a.byToken(t.Context(), "10.0.0.1", "good"); user == nil {
			t.Fatal(refused)
		}
		limited := 0
		for i := range 2 * maxTokens {
			if _, refused := a.byToken(t.Context(), "10.0.0.1", fmt.Sprint("random", i)); refused.code == http.StatusTooManyRequests && refused.retryAfter > 0 {
				limited++
			}
		}
		if limited == 0 {
			t.Error("no random token was limited")
		}
		for _, pause := range []time.Duration{0, tokenTTL + time.Second} {
			time.Sleep(pause)
			for i := range 100 {
				_, _ = a.byToken(t.Context(), "10.0.0.1", fmt.Sprint("more", pause, i))
			}
			before := c.reviews
			if user, refused := a.byToken(t.Context(), "10.0.0.1", "good"); user == nil || c.reviews-before != min(int(pause), 1) {
				t.Errorf("after %v: %v, %d reviews", pause, refused, c.reviews-before)
			}
		}
		c.mu.Lock()
		delete(c.tokens, "good")
		c.mu.Unlock()
		time.Sleep(tokenTTL + time.Second)
		if user, _ := a.byToken(t.Context(), "10.0.0.1", "good"); user != nil {
			t.Error("a token that was revoked is still good")
		}
	})
}
