// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"sync"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/certificate"
)

// Whose certificate a node's is (pkg/kubelet/certificate/kubelet.go); the
// signer asks for both.
const (
	nodeUserPrefix = "system:node:"
	nodesGroup     = "system:nodes"
)

// servingConfig is the TLS of all ports. A client's certificate is asked for
// and looked at with each request, for the client CA can change meanwhile.
// Sessions are not resumed: a ticket of one node would be good for another.
func servingConfig() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS12,
		NextProtos:             []string{"http/1.1"},
		ClientAuth:             tls.RequestClientCert,
		SessionTicketsDisabled: true,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			hello.Conn.(*conn).speaksTLS.Store(true)
			return nil, nil // this one
		},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return hello.Conn.(*conn).port.certs.current()
		},
	}
}

// serving is a node's serving certificate: that of the cluster's signer, or
// else one of the own CA.
type serving struct {
	manager certificate.Manager // nil: own CA only
	own     *ownCA
	subject subject

	mu   sync.Mutex
	leaf *tls.Certificate // of the own CA; nil until it is needed
}

// subject is what a certificate is made for.
type subject struct {
	node string
	ips  []net.IP
}

func (s *Server) newServing(node string) (*serving, error) {
	c := &serving{own: s.own, subject: subject{node: node}}
	for _, a := range s.config.Addresses {
		c.subject.ips = append(c.subject.ips, a.Unmap().AsSlice())
	}
	if s.config.NodeKubernetes == nil {
		return c, nil
	}
	client, err := s.config.NodeKubernetes(node)
	if err != nil {
		return nil, fmt.Errorf("client of node %s: %w", node, err)
	}
	a := &approver{turns: s.turns, node: node, log: s.log}
	if s.config.ApproveOwn {
		a.client = s.config.Kubernetes.CertificatesV1()
	}
	client = approvingClient{Interface: client, approver: a}
	c.manager, err = certificate.NewManager(&certificate.Config{
		Name:             node,
		ClientsetFn:      func(*tls.Certificate) (kubernetes.Interface, error) { return client, nil },
		Template:         c.subject.request(),
		SignerName:       certificatesv1.KubeletServingSignerName,
		GetUsages:        certificate.DefaultKubeletServingGetUsages,
		CertificateStore: &loggedStore{Store: s.config.CertificateStore(node), turns: s.turns, node: node, log: s.log},
	})
	if err != nil {
		return nil, fmt.Errorf("serving certificate of node %s: %w", node, err)
	}
	return c, nil
}

func (s subject) request() *x509.CertificateRequest {
	return &x509.CertificateRequest{
		Subject:     pkix.Name{CommonName: nodeUserPrefix + s.node, Organization: []string{nodesGroup}},
		DNSNames:    []string{s.node},
		IPAddresses: s.ips,
	}
}

// start begins to request the certificate, and to renew it at 70 to 90 % of its
// life; stop ends that.
func (c *serving) start() {
	if c.manager != nil {
		c.manager.Start()
	}
}

func (c *serving) stop() {
	if c.manager != nil {
		c.manager.Stop()
	}
}

func (c *serving) current() (*tls.Certificate, error) {
	if c.manager != nil {
		if cert := c.manager.Current(); cert != nil {
			return cert, nil
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaf == nil || c.own.wornOut(c.leaf) {
		leaf, err := c.own.issue(c.subject)
		if err != nil {
			return nil, err
		}
		c.leaf = leaf
	}
	return c.leaf, nil
}
