// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/util/certificate"
)

// Until the cluster has signed one, a certificate of the own CA is served, for
// the addresses and the name of the node.
func TestOwnCertificate(t *testing.T) {
	t.Parallel()
	h := startServer(t, startBoard(t, okBoard), func(c *Config) {
		c.Addresses = []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("2001:db8::1")}
	})
	leaf := secureConn(t, h, nil).ConnectionState().PeerCertificates[0]
	for _, name := range []string{"127.0.0.1", "2001:db8::1", node} {
		if err := leaf.VerifyHostname(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if leaf.Subject.String() != "CN=system:node:pico-1,O=system:nodes" {
		t.Errorf("subject %s", leaf.Subject)
	}
	if leaf.VerifyHostname("127.0.0.2") == nil || leaf.IsCA {
		t.Error("the certificate is good for more than the node")
	}
	if !strings.Contains(h.log.String(), "own CA") {
		t.Error("the log does not tell of the own CA")
	}
	again := secureConn(t, h, nil).ConnectionState().PeerCertificates[0]
	if !leaf.Equal(again) {
		t.Error("each connection has a certificate of its own")
	}
}

func TestOwnCertificateIsRenewed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := startPiped(t, startBoard(t, okBoard), nil)
		serving := h.nodes[node].certs
		first, err := serving.current()
		must(t, err)
		for _, step := range []struct {
			after time.Duration
			same  bool
		}{{ownLife * 3 / 4, true}, {ownLife / 10, false}} {
			time.Sleep(step.after)
			now, err := serving.current()
			must(t, err)
			if (now == first) != step.same {
				t.Errorf("after %v more: same certificate %v, want %v", step.after, now == first, step.same)
			}
		}
	})
}

func TestGivenCA(t *testing.T) {
	t.Parallel()
	ca, err := makeOwnCA()
	must(t, err)
	given := &tls.Certificate{Certificate: [][]byte{ca.cert.Raw}, PrivateKey: ca.key}
	h := startServer(t, startBoard(t, okBoard), func(c *Config) { c.OwnCA = given })
	leaf := secureConn(t, h, nil).ConnectionState().PeerCertificates[0]
	must(t, leaf.CheckSignatureFrom(ca.cert))
	leafPair, err := h.nodes[node].certs.current()
	must(t, err)
	for name, bad := range map[string]*tls.Certificate{
		"no key": {Certificate: given.Certificate}, "no certificate": {PrivateKey: ca.key},
		"garbage": {Certificate: [][]byte{{1}}, PrivateKey: ca.key}, "no CA": leafPair,
	} {
		c := h.config
		c.OwnCA = bad
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), "OwnCA") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// signingCluster signs what is approved, as kube-controller-manager does.
func signingCluster(t *testing.T, ca *ownCA, change func(*certificatesv1.CertificateSigningRequest)) *fake.Clientset {
	c := fake.NewClientset()
	c.PrependReactor("create", "certificatesigningrequests", func(a clienttesting.Action) (bool, runtime.Object, error) {
		r := a.(clienttesting.CreateAction).GetObject().(*certificatesv1.CertificateSigningRequest)
		r.Name, r.UID, r.Spec.Username = "csr-1", "1", "system:node:pico-1"
		change(r)
		return false, nil, nil // and stores it
	})
	c.PrependReactor("update", "certificatesigningrequests", func(a clienttesting.Action) (bool, runtime.Object, error) {
		r := a.(clienttesting.UpdateAction).GetObject().(*certificatesv1.CertificateSigningRequest)
		block, _ := pem.Decode(r.Spec.Request)
		request, err := x509.ParseCertificateRequest(block.Bytes)
		must(t, err)
		r.Status.Certificate = signRequest(t, ca, request)
		return false, nil, nil
	})
	return c
}

func signRequest(t *testing.T, ca *ownCA, r *x509.CertificateRequest) []byte {
	t.Helper()
	must(t, r.CheckSignature())
	template, err := ca.issue(subject{node: "pico-1", ips: r.IPAddresses})
	must(t, err)
	der, err := x509.CreateCertificate(nil, template.Leaf, ca.cert, r.PublicKey, ca.key)
	must(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// Only what the Server asked for itself, and the API server recorded so, is
// approved.
func TestApprovesItsOwnRequestsOnly(t *testing.T) {
	t.Parallel()
	ca, err := makeOwnCA()
	must(t, err)
	for name, tt := range map[string]struct {
		change   func(*certificatesv1.CertificateSigningRequest)
		approved bool
	}{
		"as asked":       {func(*certificatesv1.CertificateSigningRequest) {}, true},
		"another user":   {func(r *certificatesv1.CertificateSigningRequest) { r.Spec.Username = "system:node:pico-2" }, false},
		"another signer": {func(r *certificatesv1.CertificateSigningRequest) { r.Spec.SignerName = "example.com/x" }, false},
		"another request": {func(r *certificatesv1.CertificateSigningRequest) {
			r.Spec.Request = append(r.Spec.Request[:len(r.Spec.Request):len(r.Spec.Request)], '\n')
		}, false},
		"decided already": {func(r *certificatesv1.CertificateSigningRequest) {
			r.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: certificatesv1.CertificateDenied}}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, log := signingCluster(t, ca, tt.change), new(syncBuffer)
			client := approvingClient{Interface: c, approver: &approver{
				client: c.CertificatesV1(), turns: newTurns(rate.NewLimiter(rate.Inf, 0)), node: node, log: slog.New(slog.NewTextHandler(log, nil)),
			}}
			key, err := ca.issue(subject{node: node})
			must(t, err)
			der, err := x509.CreateCertificateRequest(nil, subject{node: node}.request(), key.PrivateKey)
			must(t, err)
			_, err = client.CertificatesV1().CertificateSigningRequests().Create(t.Context(), &certificatesv1.CertificateSigningRequest{
				Spec: certificatesv1.CertificateSigningRequestSpec{
					Request:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
					SignerName: certificatesv1.KubeletServingSignerName,
				},
			}, metav1.CreateOptions{})
			must(t, err)
			made, err := c.CertificatesV1().CertificateSigningRequests().Get(t.Context(), "csr-1", metav1.GetOptions{})
			must(t, err)
			if got := len(made.Status.Certificate) > 0; got != tt.approved {
				t.Errorf("approved %v: %+v", got, made.Status)
			}
			if told := strings.Contains(log.String(), "not approved"); told == tt.approved {
				t.Errorf("log: %s", log)
			}
		})
	}
}

// Without the right to approve, the request stays for somebody who has it.
func TestApprovalRefused(t *testing.T) {
	t.Parallel()
	ca, err := makeOwnCA()
	must(t, err)
	c, log := signingCluster(t, ca, func(*certificatesv1.CertificateSigningRequest) {}), new(syncBuffer)
	c.PrependReactor("update", "certificatesigningrequests", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("forbidden")
	})
	a := &approver{client: c.CertificatesV1(), node: node, log: slog.New(slog.NewTextHandler(log, nil))}
	r := &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{Name: "csr-1", UID: "1"},
		Spec:       certificatesv1.CertificateSigningRequestSpec{Username: "system:node:pico-1", SignerName: certificatesv1.KubeletServingSignerName},
	}
	a.approve(t.Context(), r, r)
	if !strings.Contains(log.String(), "kubectl certificate approve") || !strings.Contains(log.String(), "csr=csr-1") {
		t.Errorf("log: %s", log)
	}
}

// A certificate that was kept is served from the start, and no other requested.
func TestKeptCertificate(t *testing.T) {
	t.Parallel()
	ca, err := makeOwnCA()
	must(t, err)
	kept, err := ca.issue(subject{node: node, ips: []net.IP{net.IPv4(127, 0, 0, 1)}})
	must(t, err)
	store := &memoryStore{cert: kept}
	h := startServer(t, startBoard(t, okBoard), func(c *Config) {
		c.CertificateStore = func(string) certificate.Store { return store }
		c.NodeKubernetes = (&cluster{Clientset: fake.NewClientset()}).forNode
	})
	nc, err := h.dial(t.Context())
	must(t, err)
	defer func() { _ = nc.Close() }()
	secure := tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
	must(t, secure.HandshakeContext(context.Background()))
	if !secure.ConnectionState().PeerCertificates[0].Equal(kept.Leaf) {
		t.Error("another certificate is served")
	}
}

func TestMemoryStore(t *testing.T) {
	t.Parallel()
	s := new(memoryStore)
	if _, err := s.Current(); !isNone(err) {
		t.Errorf("an empty store: %v", err)
	}
	if _, err := s.Update([]byte("x"), []byte("y")); err == nil {
		t.Error("garbage was stored")
	}
	if _, err := s.Current(); !isNone(err) {
		t.Errorf("after garbage: %v", err)
	}
}

// isNone tells whether the certificate manager would go on and request one.
func isNone(err error) bool {
	var none *certificate.NoCertKeyError
	return errors.As(err, &none)
}
