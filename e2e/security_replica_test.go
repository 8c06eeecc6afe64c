// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/picolet/picolet/api/devices"
	"github.com/picolet/picolet/api/v1alpha1"
	"github.com/picolet/picolet/link/noise"
	"github.com/picolet/picolet/link/noise/session"
	"github.com/picolet/picolet/linked"
	"github.com/picolet/picolet/netns"
	"github.com/picolet/picolet/replica"
)

// replicaRun is all that "picolet gateway" runs, in this process: links, enrolment
// and kubelet ports, with the rights of the manifests alone.
type replicaRun struct {
	plane   *plane
	devices *devices.Client // the administrator's
	links   netip.AddrPort
	key     noise.PublicKey
	admin   *httptest.Server
	log     *logBuffer
}

func startReplica(t *testing.T, p *plane, change ...func(*replica.Config)) *replicaRun {
	t.Helper()
	r := &replicaRun{plane: p, log: new(logBuffer)}
	var err error
	r.devices, err = devices.New(p.config)
	must(t, err)
	own, err := p.identity(t.Context(), gatewayAccount)
	must(t, err)
	address := netns.Address()
	c := replica.Config{
		Kubernetes: own, Name: unique("replica"), Addresses: []netip.Addr{address}, ListenHost: address.String(),
		Logger: slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&c)
	}
	run, err := replica.New(c)
	must(t, err)
	r.key, err = run.PublicKey(t.Context())
	must(t, err)
	r.serve(t, run, address)
	return r
}

// serve runs a replica until the test ends, and waits until it is ready.
func (r *replicaRun) serve(t *testing.T, run *replica.Replica, address netip.Addr) {
	t.Helper()
	l, err := net.Listen("tcp", netip.AddrPortFrom(address, 0).String())
	must(t, err)
	r.links = netip.MustParseAddrPort(l.Addr().String())
	r.admin = httptest.NewServer(run.AdminHandler()) // on 127.0.0.1
	t.Cleanup(r.admin.Close)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := run.Serve(ctx, l, nil); err != nil {
			t.Errorf("replica: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
		if t.Failed() {
			t.Logf("replica:\n%s", r.log)
		}
	})
	eventually(t, 30*time.Second, func(ctx context.Context) error {
		_, err := getText(ctx, r.admin.URL+"/readyz")
		return err
	})
}

// device makes the Device of a key; approved nil leaves it pending.
func (r *replicaRun) device(t *testing.T, key noise.PublicKey, node string, approved *bool) string {
	t.Helper()
	k := v1alpha1.Key(key)
	d, err := r.devices.Create(t.Context(), &v1alpha1.Device{
		ObjectMeta: metav1.ObjectMeta{Name: k.Name()},
		Spec:       v1alpha1.DeviceSpec{PublicKey: k.String(), NodeName: node, Approved: approved},
	}, metav1.CreateOptions{})
	must(t, err)
	return d.Name
}

// board starts a board with an approved Device, and waits until its node is Ready.
func (r *replicaRun) board(t *testing.T) *testBoard {
	t.Helper()
	name := unique("secured")
	_, key := newLinkKey(t)
	r.device(t, key.Public, name, ptr.To(true))
	t.Cleanup(func() { checkBudget(t, r.log, name) })
	return readyBoard(t, r.plane, boardOptions{
		name: name, gateway: r.links.String(), link: &linked.Config{Key: key, GatewayKey: r.key, Random: rand.Reader},
	})
}

// dial opens a link that has no kubelet behind it.
func (r *replicaRun) dial(t *testing.T, key noise.Key, node string) (*session.Session, error) {
	t.Helper()
	c, err := net.DialTimeout("tcp", r.links.String(), 10*time.Second)
	must(t, err)
	return session.Dial(t.Context(), c, session.Board{
		Key: key, GatewayKey: r.key, Hello: noise.Hello{BoardID: node, NodeName: node, Version: "e2e"},
	})
}

// portOf is where a node's status says that its kubelet port is.
func portOf(n *corev1.Node) (netip.AddrPort, error) {
	for _, a := range n.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			return netip.ParseAddrPort(fmt.Sprintf("%s:%d", a.Address, n.Status.DaemonEndpoints.KubeletEndpoint.Port))
		}
	}
	return netip.AddrPort{}, fmt.Errorf("node %s has no address", n.Name)
}
