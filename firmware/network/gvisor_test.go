// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	linkethernet "gvisor.dev/gvisor/pkg/tcpip/link/ethernet"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	wiretcp "gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// peers is a board in real time, with gVisor's stack as all other hosts: the
// proof that a stack of others understands the board. Only DHCP is ours.
type peers struct {
	*lan
	stack *stack.Stack
	wire  *channel.Endpoint
	in    chan []byte // frames for the board
	drop  float64
	rand  *rand.Rand

	mu         sync.Mutex
	api        *api
	registered chan struct{}
}

func newPeers(t *testing.T, loss float64) *peers {
	t.Helper()
	p := &peers{
		lan: newLAN(t, "192.0.2.1:8080"), in: make(chan []byte, 64), drop: loss, rand: rand.New(rand.NewPCG(5, 5)),
		api: newAPI(), registered: make(chan struct{}),
		wire: channel.New(512, MaxFrame, tcpip.LinkAddress([]byte{0x02, 0, 0, 0, 0, 1})),
	}
	p.stack = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{arp.NewProtocol, ipv4.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{wiretcp.NewProtocol, icmp.NewProtocol4},
	})
	if err := p.stack.CreateNIC(1, linkethernet.New(p.wire)); err != nil {
		t.Fatal(err)
	}
	address := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: tcpip.AddressWithPrefix{Address: tcpip.AddrFrom4(gatewayIP), PrefixLen: 24}}
	if err := p.stack.AddProtocolAddress(1, address, stack.AddressProperties{}); err != nil {
		t.Fatal(err)
	}
	p.stack.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: 1}})
	p.serve()
	p.start()
	return p
}

// serve answers as an API server.
func (p *peers) serve() {
	listener, err := gonet.ListenTCP(p.stack, tcpip.FullAddress{NIC: 1, Port: 8080}, ipv4.ProtocolNumber)
	if err != nil {
		p.t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(p.handle)}
	go func() { _ = server.Serve(listener) }()
	p.t.Cleanup(func() { _ = server.Close() })
}

func (p *peers) handle(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	p.mu.Lock()
	code, answer := p.api.respond(r)
	lease := r.Method == http.MethodPost && strings.Contains(r.URL.Path, "/leases")
	p.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, answer)
	if lease {
		select {
		case <-p.registered:
		default:
			close(p.registered)
		}
	}
	if answer == "" {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
}

// start runs the board until the test ends.
func (p *peers) start() {
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for {
			pkt := p.wire.ReadContext(ctx)
			if pkt == nil {
				return
			}
			frame := pkt.ToView().ToSlice()
			pkt.DecRef()
			select {
			case p.in <- frame:
			case <-ctx.Done():
				return
			}
		}
	})
	running.Go(func() { p.runBoard(ctx) })
	p.t.Cleanup(func() {
		stop()
		running.Wait()
		p.wire.Close()
		p.stack.Close()
	})
}

func (p *peers) runBoard(ctx context.Context) {
	began := time.Now()
	timer := time.NewTimer(0)
	p.n.LinkUp(0)
	for {
		p.now = time.Since(began)
		p.n.Poll(p.now)
		for size := p.n.Next(p.now, p.buf[:]); size > 0; size = p.n.Next(p.now, p.buf[:]) {
			p.send(bytes.Clone(p.buf[:size]))
		}
		timer.Reset(p.n.Poll(p.now) - p.now)
		select {
		case frame := <-p.in:
			if p.rand.Float64() >= p.drop {
				p.n.Receive(time.Since(began), frame)
			}
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
}

// send gives a frame of the board to the DHCP server, or to gVisor.
func (p *peers) send(frame []byte) {
	if frame[12] == 8 && frame[13] == 0 && frame[23] == 17 {
		p.receive(frame)
		for _, f := range p.flying {
			p.n.Receive(p.now, f.frame)
		}
		p.flying = nil
		p.n.Poll(p.now)
		return
	}
	if p.rand.Float64() < p.drop {
		return
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(frame)})
	p.wire.InjectInbound(0, pkt)
	pkt.DecRef()
}

func (p *peers) await(limit time.Duration) {
	p.t.Helper()
	select {
	case <-p.registered:
	case <-time.After(limit):
		p.t.Fatalf("node is not registered after %v", limit)
	}
}

// get asks the board's port over a connection of its own.
func (p *peers) get(path string) (string, error) {
	client := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return gonet.DialContextTCP(ctx, p.stack, tcpip.FullAddress{NIC: 1, Addr: tcpip.AddrFrom4(boardIP), Port: kubeletPort}, ipv4.ProtocolNumber)
		},
	}}
	r, err := client.Get("http://board" + path)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	return fmt.Sprint(r.StatusCode, " ", string(body)), err
}

func TestAgainstGVisor(t *testing.T) {
	t.Parallel()
	p := newPeers(t, 0)
	p.await(10 * time.Second)
	if got, err := p.get("/healthz"); got != "200 ok" {
		t.Errorf("/healthz: %q, %v", got, err)
	}
	if got, err := p.get("/metrics"); err != nil || !strings.HasPrefix(got, "200 ") || len(got) < 3000 {
		t.Errorf("/metrics: %d bytes, %v", len(got), err)
	}
}

func TestAgainstGVisorWithLoss(t *testing.T) {
	t.Parallel()
	p := newPeers(t, 0.05)
	p.await(30 * time.Second)
	if got, err := p.get("/metrics"); err != nil || !strings.HasPrefix(got, "200 ") || len(got) < 3000 {
		t.Errorf("/metrics: %d bytes, %v", len(got), err)
	}
}

func TestManyClientsOfGVisor(t *testing.T) {
	t.Parallel()
	p := newPeers(t, 0)
	p.await(10 * time.Second)
	var clients sync.WaitGroup
	var mu sync.Mutex
	answers := map[string]int{}
	for range 50 {
		clients.Go(func() {
			got, err := p.get("/healthz")
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				answers[err.Error()]++
				return
			}
			answers[got[:3]]++
		})
	}
	clients.Wait()
	if n := answers["200"] + answers["429"] + answers["503"]; n != 50 {
		t.Errorf("50 clients got %v", answers)
	}
}
