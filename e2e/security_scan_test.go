// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/picolet/picolet/netns"
)

// TestPortScan is a port scanner's view of a gateway with two boards. It runs
// before the tests that are parallel, for it must be alone at its address.
func TestPortScan(t *testing.T) {
	address := netns.Address()
	if address.IsLoopback() {
		t.Skip("needs an address at which nobody else listens: run it as root, or allow user namespaces")
	}
	p := fullPlane(t)
	r := startReplica(t, p)
	want := []netip.AddrPort{r.links}
	for range 2 {
		port, err := portOf(r.board(t).mustNode(t))
		must(t, err)
		want = append(want, port)
	}
	slices.SortFunc(want, netip.AddrPort.Compare)
	if open := scan(t, address); !slices.Equal(open, want) {
		t.Errorf("the ports %v are open, want those of links (%v) and of the two nodes: %v", open, r.links, want)
	}
	checkNoUDP(t)
	for _, port := range want {
		checkPlainText(t, port)
	}
	if code, err := probe(r.links, &tls.Config{}, ""); err == nil {
		t.Errorf("the port for links speaks TLS, and answers %d", code)
	}
	for _, port := range want {
		if port != r.links {
			checkKubeletPort(t, p, port)
		}
	}
}

// scan tries every TCP port of an address.
func scan(t *testing.T, address netip.Addr) []netip.AddrPort {
	t.Helper()
	var (
		next    = make(chan uint16)
		mu      sync.Mutex
		open    []netip.AddrPort
		working sync.WaitGroup
	)
	for range 64 {
		working.Go(func() {
			for port := range next {
				at := netip.AddrPortFrom(address, port)
				c, err := net.DialTimeout("tcp", at.String(), 10*time.Second)
				if err != nil {
					if !strings.Contains(err.Error(), "connection refused") {
						t.Errorf("port %d: %v", port, err)
					}
					continue
				}
				_ = c.Close()
				mu.Lock()
				open = append(open, at)
				mu.Unlock()
			}
		})
	}
	for port := 1; port <= 65535; port++ {
		next <- uint16(port)
	}
	close(next)
	working.Wait()
	slices.SortFunc(open, netip.AddrPort.Compare)
	return open
}

// checkNoUDP looks for UDP sockets of this network that others could reach.
func checkNoUDP(t *testing.T) {
	t.Helper()
	for _, file := range []string{"/proc/self/net/udp", "/proc/self/net/udp6"} {
		text, err := os.ReadFile(file)
		must(t, err)
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 1 && strings.Contains(f[1], ":") && !strings.HasPrefix(f[1], "0100007F:") {
				t.Errorf("%s: a UDP socket is open at %s", file, f[1])
			}
		}
	}
}

// checkPlainText wants no byte for anything that is neither TLS nor a link.
func checkPlainText(t *testing.T, port netip.AddrPort) {
	t.Helper()
	for _, said := range []string{
		"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.0\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n", strings.Repeat("\x00", 300),
	} {
		c, err := net.DialTimeout("tcp", port.String(), 10*time.Second)
		must(t, err)
		must(t, c.SetDeadline(time.Now().Add(30*time.Second)))
		_, err = io.WriteString(c, said)
		must(t, err)
		if answer, err := io.ReadAll(c); len(answer) > 0 || os.IsTimeout(err) {
			t.Errorf("port %v answers %.20q with %.100q, %v", port, said, answer, err)
		}
		_ = c.Close()
	}
}

// checkKubeletPort asks as nobody, as somebody without rights, and as the API
// server.
func checkKubeletPort(t *testing.T, p *plane, port netip.AddrPort) {
	t.Helper()
	pki := filepath.Dir(p.ca())
	own, err := tls.LoadX509KeyPair(filepath.Join(pki, "apiserver-kubelet-client.crt"), filepath.Join(pki, "apiserver-kubelet-client.key"))
	must(t, err)
	for _, tt := range []struct {
		name   string
		config *tls.Config
		token  string
		want   int
	}{
		{"nobody", &tls.Config{}, "", http.StatusUnauthorized},
		{"an unknown token", &tls.Config{}, "unknown", http.StatusUnauthorized},
		{"a token without rights", &tls.Config{}, p.token(t, "default", "default"), http.StatusForbidden},
		{"the gateway's own token", &tls.Config{}, p.token(t, gatewayNamespace, gatewayAccount), http.StatusForbidden},
		{"the API server", &tls.Config{Certificates: []tls.Certificate{own}}, "", http.StatusOK},
	} {
		if code, err := probe(port, tt.config, tt.token); err != nil || code != tt.want {
			t.Errorf("port %v answers %s with %d, %v, want %d", port, tt.name, code, err, tt.want)
		}
	}
}

// probe asks for /healthz over TLS, whoever the server is.
func probe(port netip.AddrPort, c *tls.Config, token string) (int, error) {
	c.InsecureSkipVerify = true
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}, Timeout: 30 * time.Second}
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "https://"+port.String()+"/healthz", nil)
	if err != nil {
		return 0, err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, answer.Body.Close()
}
