// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// clockSkew is how far behind a peer's clock may be.
const clockSkew = time.Hour

// pair is a certificate with its key.
type pair struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func (p *pair) certPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.cert.Raw})
}

func (p *pair) keyPEM() ([]byte, error) { return privateKeyPEM(p.key) }

func privateKeyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// readPair reads a certificate and its key, and fails when they do not match.
func readPair(dir, name string) (*pair, error) {
	certDER, err := readPEM(filepath.Join(dir, name+".crt"), "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(certDER)
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", name, err)
	}
	keyDER, err := readPEM(filepath.Join(dir, name+".key"), "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(keyDER)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", name, err)
	}
	private, ok := key.(*ecdsa.PrivateKey)
	if !ok || !private.PublicKey.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("key %s does not belong to its certificate", name)
	}
	return &pair{cert: cert, key: private}, nil
}

func readPEM(name, kind string) ([]byte, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("%s holds no %s in PEM form", name, kind)
	}
	return block.Bytes, nil
}

// newServiceAccountKey returns a private key and its public half in PEM form.
func newServiceAccountKey() (private, public []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make service account key: %w", err)
	}
	private, err = privateKeyPEM(key)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return nil, nil, fmt.Errorf("encode service account key: %w", err)
	}
	return private, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

func newAuthority(commonName string, now time.Time) (*pair, error) {
	return sign(&x509.Certificate{
		Subject:               pkix.Name{CommonName: commonName},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(authorityLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}, nil)
}

// leaf describes a certificate that is no authority.
type leaf struct {
	file         string // base name of its files
	authority    string // base name of its signer
	commonName   string
	organization string
	server       bool // for serving, else for a client
	addresses    []netip.Addr
	names        []string
}

func (l leaf) usage() x509.ExtKeyUsage {
	if l.server {
		return x509.ExtKeyUsageServerAuth
	}
	return x509.ExtKeyUsageClientAuth
}

func (l leaf) organizations() []string {
	if l.organization == "" {
		return nil
	}
	return []string{l.organization}
}

// issue makes the certificate. It ends no later than its authority.
func (l leaf) issue(authority *pair, now time.Time) (*pair, error) {
	end := now.Add(leafLife)
	if end.After(authority.cert.NotAfter) {
		end = authority.cert.NotAfter
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: l.commonName, Organization: l.organizations()},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              end,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{l.usage()},
		DNSNames:              l.names,
	}
	for _, a := range l.addresses {
		template.IPAddresses = append(template.IPAddresses, net.IP(a.AsSlice()))
	}
	return sign(template, authority)
}

// fits tells whether a certificate is what issue would make, and lasts long enough.
func (l leaf) fits(cert, authority *x509.Certificate, now time.Time) bool {
	return cert.CheckSignatureFrom(authority) == nil &&
		!now.Before(cert.NotBefore) && now.Add(renewBefore).Before(cert.NotAfter) &&
		cert.Subject.CommonName == l.commonName &&
		slices.Equal(cert.Subject.Organization, l.organizations()) &&
		slices.Equal(cert.ExtKeyUsage, []x509.ExtKeyUsage{l.usage()}) &&
		slices.Equal(cert.DNSNames, l.names) &&
		slices.EqualFunc(cert.IPAddresses, l.addresses, func(ip net.IP, want netip.Addr) bool {
			have, ok := netip.AddrFromSlice(ip)
			return ok && have.Unmap() == want.Unmap()
		})
}

// sign makes a key and a certificate for it, signed by authority or, where that is
// nil, by itself.
func sign(template *x509.Certificate, authority *pair) (*pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	signer := authority
	if signer == nil {
		signer = &pair{cert: template, key: key}
	}
	// A nil serial number lets CreateCertificate choose a random one (RFC 5280, 4.1.2.2).
	der, err := x509.CreateCertificate(rand.Reader, template, signer.cert, &key.PublicKey, signer.key)
	if err != nil {
		return nil, fmt.Errorf("make certificate %s: %w", template.Subject.CommonName, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, errors.New("make certificate: the result does not parse")
	}
	return &pair{cert: cert, key: key}, nil
}
