// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"sync"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	certificatesclient "k8s.io/client-go/kubernetes/typed/certificates/v1"
	"k8s.io/client-go/util/certificate"
	"k8s.io/utils/lru"
)

// approver approves the signing requests of one node, right after they were
// made here. It neither lists nor watches requests, so it cannot come to
// approve one that somebody else made.
type approver struct {
	client certificatesclient.CertificatesV1Interface // the gateway's own; nil: somebody else approves
	turns  *turns
	node   string
	log    *slog.Logger
}

// approve approves made, which the API server answered to the request asked. A
// request that cannot be approved stays, for kubectl certificate approve.
func (a *approver) approve(ctx context.Context, asked, made *certificatesv1.CertificateSigningRequest) {
	if !sameRequest(asked, made, a.node) {
		a.log.Error("Signing request is not the one that was made, so it is not approved", "node", a.node, "csr", made.Name)
		return
	}
	approved := made.DeepCopy()
	approved.Status.Conditions = append(approved.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
		Type:    certificatesv1.CertificateApproved,
		Status:  corev1.ConditionTrue,
		Reason:  "PicoletServesNode",
		Message: "The gateway that serves the kubelet port of node " + a.node + " made this request.",
	})
	if _, err := a.client.CertificateSigningRequests().UpdateApproval(ctx, made.Name, approved, metav1.UpdateOptions{}); err != nil {
		a.log.Warn("Cannot approve the signing request of a node: run kubectl certificate approve, or give the gateway the right to",
			"node", a.node, "csr", made.Name, "err", err)
	}
}

// sameRequest tells whether the API server recorded what was asked, as asked by
// the node itself.
func sameRequest(asked, made *certificatesv1.CertificateSigningRequest, node string) bool {
	return made.Name != "" && made.UID != "" &&
		made.Spec.Username == nodeUserPrefix+node &&
		made.Spec.SignerName == certificatesv1.KubeletServingSignerName &&
		bytes.Equal(made.Spec.Request, asked.Spec.Request) &&
		len(made.Status.Conditions) == 0
}

// approvingClient is a node's client whose signing requests are made in turn and
// approved. The three types below stand between the certificate manager and one method.
type approvingClient struct {
	kubernetes.Interface
	approver *approver
}

func (c approvingClient) CertificatesV1() certificatesclient.CertificatesV1Interface {
	return approvingGroup{c.Interface.CertificatesV1(), c.approver}
}

type approvingGroup struct {
	certificatesclient.CertificatesV1Interface
	approver *approver
}

func (g approvingGroup) CertificateSigningRequests() certificatesclient.CertificateSigningRequestInterface {
	return approvingRequests{g.CertificatesV1Interface.CertificateSigningRequests(), g.approver}
}

type approvingRequests struct {
	certificatesclient.CertificateSigningRequestInterface
	approver *approver
}

func (r approvingRequests) Create(ctx context.Context, asked *certificatesv1.CertificateSigningRequest, o metav1.CreateOptions) (*certificatesv1.CertificateSigningRequest, error) {
	a := r.approver
	if err := a.turns.wait(ctx, a.node); err != nil {
		return nil, err
	}
	made, err := r.CertificateSigningRequestInterface.Create(ctx, asked, o)
	switch {
	case err != nil:
		a.turns.clear(a.node)
	case a.client != nil:
		a.approve(ctx, asked, made)
	}
	return made, err
}

// maxStores bounds the certificates in memory. A node whose certificate is not
// there any more requests a new one.
const maxStores = 16_384

// newMemoryStores keeps certificates in memory, so that a node whose board comes
// back need not request another.
func newMemoryStores() func(node string) certificate.Store {
	stores := lru.New(maxStores)
	var mu sync.Mutex
	return func(node string) certificate.Store {
		mu.Lock()
		defer mu.Unlock()
		if s, ok := stores.Get(node); ok {
			return s.(*memoryStore)
		}
		s := new(memoryStore)
		stores.Add(node, s)
		return s
	}
}

// memoryStore keeps a certificate as long as the process runs.
type memoryStore struct {
	mu   sync.Mutex
	cert *tls.Certificate
}

var _ certificate.Store = (*memoryStore)(nil)

func (m *memoryStore) Current() (*tls.Certificate, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cert == nil {
		none := certificate.NoCertKeyError("no certificate was issued yet")
		return nil, &none
	}
	return m.cert, nil
}

func (m *memoryStore) Update(cert, key []byte) (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cert = &pair
	return m.cert, nil
}

// loggedStore logs when a certificate was issued, and ends its node's wait for one.
type loggedStore struct {
	certificate.Store
	turns *turns
	node  string
	log   *slog.Logger
}

func (l *loggedStore) Update(cert, key []byte) (*tls.Certificate, error) {
	pair, err := l.Store.Update(cert, key)
	if err == nil {
		l.turns.clear(l.node)
		l.log.Info("Serving certificate issued", "node", l.node, "expires", pair.Leaf.NotAfter)
	}
	return pair, err
}
