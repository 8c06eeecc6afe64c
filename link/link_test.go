// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package link_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/picolet/picolet/link"
)

func TestTCPCarriesBytes(t *testing.T) {
	t.Parallel()
	l := listen(t)
	go echo(l)
	c, err := link.TCP(l.Addr().String()).Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	checkEcho(t, c)
}

func TestTLSCarriesBytes(t *testing.T) {
	t.Parallel()
	cert, roots := serverCertificate(t)
	l := tls.NewListener(listen(t), &tls.Config{Certificates: []tls.Certificate{cert}})
	go echo(l)
	c, err := link.TLS(l.Addr().String(), &tls.Config{RootCAs: roots}).Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	checkEcho(t, c)
}

func TestTLSRefusesAnUnknownAuthority(t *testing.T) {
	t.Parallel()
	cert, _ := serverCertificate(t)
	l := tls.NewListener(listen(t), &tls.Config{Certificates: []tls.Certificate{cert}})
	go echo(l)
	_, err := link.TLS(l.Addr().String(), &tls.Config{RootCAs: x509.NewCertPool()}).Dial(t.Context())
	var unknown x509.UnknownAuthorityError
	if !errors.As(err, &unknown) {
		t.Errorf("Dial: %v, want an unknown authority", err)
	}
}

func TestDialErrorNamesThePeer(t *testing.T) {
	t.Parallel()
	l := listen(t)
	addr := l.Addr().String()
	_ = l.Close()
	_, err := link.TCP(addr).Dial(t.Context())
	if err == nil || !strings.Contains(err.Error(), addr) {
		t.Errorf("Dial: %v, want an error that names %s", err, addr)
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	t.Parallel()
	silent := listen(t) // accepts, but never answers the handshake
	ctx, cancel := context.WithCancel(t.Context())
	d := link.TLS(silent.Addr().String(), &tls.Config{ServerName: "example.com"})
	go func() {
		if c, err := silent.Accept(); err == nil {
			cancel()
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
		}
	}()
	if _, err := d.Dial(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Dial: %v, want context.Canceled", err)
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func echo(l net.Listener) {
	c, err := l.Accept()
	if err != nil {
		return
	}
	_, _ = io.Copy(c, c)
	_ = c.Close()
}

func checkEcho(t *testing.T, c net.Conn) {
	t.Helper()
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, "hello"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
		t.Errorf("read %q, %v", got, err)
	}
}

// serverCertificate borrows the one that net/http/httptest serves with, valid
// for 127.0.0.1.
func serverCertificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return s.TLS.Certificates[0], roots
}
