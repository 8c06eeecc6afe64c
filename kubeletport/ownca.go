// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"time"

	certutil "k8s.io/client-go/util/cert"
)

// Life of a certificate of the own CA.
const (
	ownLife  = 365 * 24 * time.Hour
	backdate = 5 * time.Minute // for clients whose clock is behind
)

// ownCA signs serving certificates without asking anybody. It holds for the
// clients that were told to trust it, or that check nothing, as an API server
// without --kubelet-certificate-authority.
type ownCA struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// newOwnCA takes a CA, or makes one where none is given.
func newOwnCA(given *tls.Certificate) (*ownCA, error) {
	if given == nil {
		return makeOwnCA()
	}
	key, ok := given.PrivateKey.(crypto.Signer)
	if !ok || len(given.Certificate) == 0 {
		return nil, errors.New("give a certificate with its private key")
	}
	cert, err := x509.ParseCertificate(given.Certificate[0])
	if err != nil {
		return nil, err
	}
	if !cert.IsCA {
		return nil, errors.New("the certificate is none of a CA")
	}
	return &ownCA{cert: cert, key: key}, nil
}

func makeOwnCA() (*ownCA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	cert, err := certutil.NewSelfSignedCACert(certutil.Config{CommonName: "picolet-kubelet-port"}, key)
	if err != nil {
		return nil, err
	}
	return &ownCA{cert: cert, key: key}, nil
}

// issue makes a serving certificate with a key of its own.
func (ca *ownCA) issue(s subject) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: nodeUserPrefix + s.node, Organization: []string{nodesGroup}},
		NotBefore:    now.Add(-backdate),
		NotAfter:     earlier(now.Add(ownLife), ca.cert.NotAfter),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{s.node},
		IPAddresses:  s.ips,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der, ca.cert.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// wornOut tells whether four fifths of a certificate's life are over.
func (ca *ownCA) wornOut(c *tls.Certificate) bool {
	life := c.Leaf.NotAfter.Sub(c.Leaf.NotBefore)
	return time.Since(c.Leaf.NotBefore) > life*4/5
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
