// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"

	"github.com/picolet/picolet/enrolment"
	"github.com/picolet/picolet/gateway"
	"github.com/picolet/picolet/kubeletport"
	"github.com/picolet/picolet/link/noise"
	"github.com/picolet/picolet/netns"
)

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	here := []netip.Addr{netip.MustParseAddr("192.0.2.10")}
	good := Config{Kubernetes: &rest.Config{Host: "https://192.0.2.1"}, Name: "gw-1"}
	for name, tt := range map[string]struct {
		change func(*Config)
		want   string // "": good
	}{
		"least":              {func(*Config) {}, ""},
		"with ports":         {func(c *Config) { c.Addresses = here }, ""},
		"certificates":       {func(c *Config) { c.Identity = gateway.IdentityCertificates }, ""},
		"no API server":      {func(c *Config) { c.Kubernetes = nil }, "field Kubernetes is required"},
		"no name":            {func(c *Config) { c.Name = "" }, "field Name"},
		"name":               {func(c *Config) { c.Name = "GW 1" }, "field Name"},
		"namespace":          {func(c *Config) { c.Namespace = "a/b" }, "field Namespace"},
		"identity":           {func(c *Config) { c.Identity = "root" }, "field Identity"},
		"ports for nobody":   {func(c *Config) { c.FirstPort = 1 }, "field Addresses is required"},
		"ports without link": {func(c *Config) { c.NoLinks, c.Addresses = true, here }, "field Addresses is for kubelet ports"},
		"range of ports":     {func(c *Config) { c.Addresses, c.FirstPort, c.LastPort = here, 9, 8 }, "FirstPort"},
		"no address":         {func(c *Config) { c.Addresses = []netip.Addr{netip.IPv4Unspecified()} }, "field Addresses"},
		"names":              {func(c *Config) { c.NodeNames = []string{"["} }, "field NodeNames"},
	} {
		c := good
		tt.change(&c)
		switch _, err := New(c); {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
}

func TestServeIsChecked(t *testing.T) {
	t.Parallel()
	start := func(noLinks bool) *Replica {
		r, err := New(Config{Kubernetes: &rest.Config{Host: "https://192.0.2.1"}, Name: "gw-1", NoLinks: noLinks})
		must(t, err)
		return r
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { _ = l.Close() }()
	r := start(false)
	for _, err := range []error{r.Serve(t.Context(), nil, nil), r.Serve(t.Context(), l, nil), start(true).Serve(t.Context(), l, nil)} {
		if err == nil {
			t.Error("no error")
		}
	}
}

// TestRights: what is not used needs no rights.
func TestRights(t *testing.T) {
	t.Parallel()
	secrets := authorizationv1.ResourceAttributes{Verb: "get", Resource: "secrets", Namespace: "garden"}
	reviews := authorizationv1.ResourceAttributes{Verb: "create", Group: "authentication.k8s.io", Resource: "tokenreviews"}
	mirror := authorizationv1.ResourceAttributes{Verb: "impersonate-on:arbitrary-node:create", Resource: "pods", Namespace: "kube-system"}
	approve := authorizationv1.ResourceAttributes{Verb: "approve", Group: "certificates.k8s.io", Resource: "signers", Name: "kubernetes.io/kube-apiserver-client-kubelet"}
	here := []netip.Addr{netip.MustParseAddr("192.0.2.10")}
	for name, tt := range map[string]struct {
		config Config
		want   []authorizationv1.ResourceAttributes
	}{
		"plain HTTP":   {Config{NoLinks: true}, nil},
		"links":        {Config{}, []authorizationv1.ResourceAttributes{secrets}},
		"ports":        {Config{Addresses: here}, []authorizationv1.ResourceAttributes{secrets, reviews, mirror}},
		"plainly":      {Config{Addresses: here, Identity: gateway.IdentityPlain}, []authorizationv1.ResourceAttributes{secrets, reviews}},
		"certificates": {Config{Identity: gateway.IdentityCertificates}, []authorizationv1.ResourceAttributes{secrets, approve}},
	} {
		tt.config.Namespace = "garden"
		rights, err := tt.config.rights()
		must(t, err)
		has := func(a authorizationv1.ResourceAttributes) bool {
			for _, r := range rights {
				if r.ResourceAttributes == a && strings.HasPrefix(r.Manifest, "deploy/") {
					return true
				}
			}
			return false
		}
		wanted := 0
		for _, a := range []authorizationv1.ResourceAttributes{secrets, reviews, mirror, approve} {
			if has(a) {
				wanted++
			}
		}
		for _, a := range tt.want {
			if !has(a) {
				t.Errorf("%s: %+v is not asked for", name, a)
			}
		}
		if wanted != len(tt.want) {
			t.Errorf("%s: asks for more than it needs: %+v", name, rights)
		}
	}
}

func TestEndReason(t *testing.T) {
	t.Parallel()
	for reason, want := range map[enrolment.Reason]noise.Reason{
		enrolment.Revoked: noise.EndRevoked, enrolment.Deleted: noise.EndRevoked, enrolment.NodeNameMismatch: noise.EndRevoked,
		enrolment.TakenOver: noise.EndReplaced, enrolment.Unavailable: noise.EndShutdown,
	} {
		if got := endReason(&enrolment.Refusal{Reason: reason}); got != want {
			t.Errorf("%s: %v, want %v", reason, got, want)
		}
	}
	if got := endReason(context.Canceled); got != noise.EndRevoked {
		t.Errorf("released: %v", got)
	}
}

func TestRefusalIsToldToTheBoardAndLoggedOnce(t *testing.T) {
	t.Parallel()
	r := &enrolment.Refusal{Reason: enrolment.Pending, Message: "device 3f9a waits"}
	err := error(told{r})
	if got, ok := errors.AsType[*enrolment.Refusal](err); !errors.Is(err, gateway.ErrTold) || !ok || got != r || err.Error() != r.Message {
		t.Errorf("%v", err)
	}
}

// onePort is a Node that has had a port.
type onePort struct{ port int32 }

func (n onePort) Node(context.Context, string) (*corev1.Node, error) {
	if n.port == 0 {
		return nil, errors.New("the API server does not answer")
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "pico-1", UID: "u1"}}
	node.Status.DaemonEndpoints.KubeletEndpoint.Port = n.port
	return node, nil
}

// TestPortsOutliveReplacedLinks: a link that ends late takes nothing from its
// successor.
func TestPortsOutliveReplacedLinks(t *testing.T) {
	t.Parallel()
	const first = 29_100
	server, err := kubeletport.New(kubeletport.Config{
		Boards: boards{}, Kubernetes: fake.NewClientset(), Addresses: []netip.Addr{netns.Address()}, ListenHost: netns.Address().String(),
		FirstPort: first, LastPort: first + 50,
	})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		server.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	p := newPorts(server, onePort{first + 7})
	old, late := &visit{node: "pico-1"}, &visit{node: "pico-1"}
	number, err := p.open(t.Context(), old)
	if err != nil || number != first+7 {
		t.Errorf("port %d, %v", number, err)
	}
	p.nodes = onePort{} // who has a port keeps it without being asked for
	if number, err = p.open(t.Context(), late); err != nil || number != first+7 {
		t.Errorf("port %d, %v", number, err)
	}
	if p.close(old); !isOpen(number) {
		t.Error("the old link closed the port of the new one")
	}
	p.close(late)
	if p.close(late); isOpen(number) {
		t.Error("the port stays open")
	}
}
