// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	certificatesclient "k8s.io/client-go/kubernetes/typed/certificates/v1"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/util/keyutil"
)

// requested counts signing requests.
func requested(c *fake.Clientset) (n int) {
	for _, a := range c.Actions() {
		if a.Matches("create", "certificatesigningrequests") {
			n++
		}
	}
	return n
}

// watchedClient counts how often a node was about to use the certificates API.
type watchedClient struct {
	kubernetes.Interface
	uses atomic.Int32
}

func (c *watchedClient) CertificatesV1() certificatesclient.CertificatesV1Interface {
	c.uses.Add(1)
	return c.Interface.CertificatesV1()
}

// startUnsigned serves a node whose signing requests nobody answers.
func startUnsigned(t *testing.T) (*harness, *fake.Clientset, *watchedClient) {
	t.Helper()
	c := fake.NewClientset()
	var serial atomic.Int32
	c.PrependReactor("create", "certificatesigningrequests", func(a clienttesting.Action) (bool, runtime.Object, error) {
		a.(clienttesting.CreateAction).GetObject().(*certificatesv1.CertificateSigningRequest).Name = fmt.Sprint("csr-", serial.Add(1))
		return false, nil, nil // and stores it
	})
	client := &watchedClient{Interface: c}
	return startServer(t, startBoard(t, okBoard), func(config *Config) {
		config.NodeKubernetes = func(string) (kubernetes.Interface, error) { return client, nil }
	}), c, client
}

// A board that reconnects over and over leaves one signing request where nobody signs.
func TestSigningRequestsUnanswered(t *testing.T) {
	t.Parallel()
	h, c, client := startUnsigned(t)
	for range 20 {
		before := client.uses.Load()
		h.Remove(node)
		_, err := h.Add(Node{Name: node})
		must(t, err)
		eventually(t, "the certificate is about to be requested", func() bool { return client.uses.Load() > before })
	}
	if n := requested(c); n != 1 {
		t.Errorf("%d signing requests after 20 visits, want 1", n)
	}
	checkIssuer(t, h, false)
}

// A certificate that was issued is served again at each visit, and no other requested.
func TestIssuedCertificateServedAgain(t *testing.T) {
	t.Parallel()
	h, c, client := startUnsigned(t)
	eventually(t, "the certificate is requested", func() bool { return requested(c) == 1 })
	issuer, err := makeOwnCA()
	must(t, err)
	cert, err := issuer.issue(subject{node: node, ips: []net.IP{net.IPv4(127, 0, 0, 1)}})
	must(t, err)
	key, err := keyutil.MarshalPrivateKeyToPEM(cert.PrivateKey)
	must(t, err)
	_, err = h.config.CertificateStore(node).Update(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}), key)
	must(t, err)
	uses := client.uses.Load()
	for range 20 {
		h.Remove(node)
		_, err := h.Add(Node{Name: node})
		must(t, err)
		checkIssuer(t, h, true)
	}
	if n := requested(c); n != 1 || client.uses.Load() != uses {
		t.Errorf("%d signing requests after 20 visits, want 1", n)
	}
}

// A node's turn comes each hour, at once after an answer, and it is its own.
func TestTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(rate.NewLimiter(rate.Inf, 0))
		begin := time.Now()
		for _, step := range []struct {
			node  string
			clear bool
			at    time.Duration
		}{
			{"a", false, 0}, {"b", false, 0}, {"a", false, requestInterval},
			{"a", true, requestInterval}, {"a", false, 2 * requestInterval},
		} {
			if step.clear {
				turns.clear(step.node)
			}
			must(t, turns.wait(t.Context(), step.node))
			if at := time.Since(begin); at != step.at {
				t.Errorf("%+v: at %v", step, at)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := turns.wait(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the end of a stay ends the wait with %v", err)
		}
	})
}

// Nodes take turns, and one that leaves before its turn has lost nothing.
func TestTurnsOfAllNodes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(rate.NewLimiter(1, 1))
		begin := time.Now()
		for i := range 5 {
			must(t, turns.wait(t.Context(), fmt.Sprint("pico-", i)))
			if at := time.Since(begin); at != time.Duration(i)*time.Second {
				t.Errorf("node %d: at %v", i, at)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := turns.wait(ctx, "a"); err == nil {
			t.Error("a node that has left takes its turn")
		}
		must(t, turns.wait(t.Context(), "a"))
		if at := time.Since(begin); at != 5*time.Second {
			t.Errorf("its next turn is at %v", at)
		}
	})
}

// checkIssuer checks whether what is served was requested, rather than made here.
func checkIssuer(t *testing.T, h *harness, issued bool) {
	t.Helper()
	cert, err := h.nodes[node].certs.current()
	must(t, err)
	if own := cert.Leaf.CheckSignatureFrom(h.own.cert) == nil; own == issued {
		t.Errorf("a certificate of the own CA is served: %v", own)
	}
}
