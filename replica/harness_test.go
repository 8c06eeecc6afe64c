// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"

	"github.com/picolet/picolet/api/devices"
	"github.com/picolet/picolet/api/v1alpha1"
	"github.com/picolet/picolet/board/virtual"
	"github.com/picolet/picolet/cluster"
	"github.com/picolet/picolet/deploy"
	"github.com/picolet/picolet/enrolment"
	"github.com/picolet/picolet/fleet"
	"github.com/picolet/picolet/kubelet"
	"github.com/picolet/picolet/link"
	"github.com/picolet/picolet/link/noise"
	"github.com/picolet/picolet/linked"
	"github.com/picolet/picolet/netns"
	"github.com/picolet/picolet/testlog"
)

func TestMain(m *testing.M) {
	klog.SetSlogLogger(slog.New(slog.DiscardHandler)) // libraries tell of what tests break
	code := netns.Main(m)
	stopPlane()
	os.Exit(code)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until check returns nil.
func eventually(t testing.TB, limit time.Duration, check func() error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, limit, true, func(context.Context) (bool, error) {
		last = check()
		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("after %v: %v", limit, last)
	}
}

// plane is a real control plane, which checks serving certificates of kubelet
// ports, with the manifests of deploy. The tests share it.
type plane struct {
	*cluster.Cluster
	dir     string
	admin   *rest.Config
	own     *rest.Config // the gateway's
	client  kubernetes.Interface
	devices *devices.Client
}

var (
	shared    = sync.OnceValues(startPlane)
	stopPlane = func() {}
)

func livePlane(t testing.TB) *plane {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a control plane")
	}
	p, err := shared()
	if errors.Is(err, cluster.ErrNotBuilt) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	must(t, err)
	return p
}

func startPlane() (*plane, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	binary, err := cluster.Find(ctx, cluster.FindOptions{Source: filepath.Join("..", "controlplane")})
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "picolet-replica-")
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "plane")
	c, err := cluster.Start(ctx, cluster.Options{
		Binary: binary.Path, Dir: data, Datastore: cluster.Memory,
		APIServerArgs: []string{"kubelet-certificate-authority=" + filepath.Join(data, "pki", "ca.crt")},
	})
	if err != nil {
		return nil, err
	}
	stopPlane = func() {
		c.Kill()
		_ = os.RemoveAll(dir)
	}
	return preparePlane(ctx, c, dir)
}

func preparePlane(ctx context.Context, c *cluster.Cluster, dir string) (*plane, error) {
	admin, err := clientcmd.BuildConfigFromFlags("", c.AdminKubeconfig())
	if err != nil {
		return nil, err
	}
	admin.QPS = -1
	for _, manifests := range [][]byte{deploy.Namespace, deploy.RBAC, deploy.Devices, deploy.Enrolment, deploy.KubeletPort, deploy.Admission} {
		if err := deploy.Apply(ctx, admin, manifests); err != nil {
			return nil, err
		}
	}
	p := &plane{Cluster: c, dir: dir, admin: admin, client: kubernetes.NewForConfigOrDie(admin)}
	if p.devices, err = devices.New(admin); err != nil {
		return nil, err
	}
	token, err := p.client.CoreV1().ServiceAccounts(enrolment.DefaultNamespace).CreateToken(ctx, "picolet-gateway",
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](7200)}}, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	p.own = rest.AnonymousClientConfig(admin)
	p.own.BearerToken = token.Status.Token
	return p, nil
}

// kubectl runs kubectl as the administrator.
func (p *plane) kubectl(t testing.TB, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, p.Kubectl(), args...)
	c.Env = append(os.Environ(), "KUBECONFIG="+p.AdminKubeconfig(), "HOME="+p.dir)
	out, err := c.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("kubectl %q: %w: %s", args, err, out)
	}
	return string(out), err
}

// prints checks what kubectl prints.
func (p *plane) prints(t testing.TB, want string, args ...string) {
	t.Helper()
	eventually(t, 30*time.Second, func() error {
		out, err := p.kubectl(t, args...)
		if err == nil && !strings.Contains(out, want) {
			err = fmt.Errorf("kubectl %q: %q, want %q", args, out, want)
		}
		return err
	})
}

// set is what an administrator says of a Device, as kubectl pico approve does.
func (p *plane) set(t testing.TB, device, spec string) {
	t.Helper()
	_, err := p.devices.Patch(t.Context(), device, types.MergePatchType, []byte(`{"spec":`+spec+`}`), metav1.PatchOptions{})
	must(t, err)
}

// approve lets a board in and has it come at once: else it waits some seconds before
// it tries again.
func (p *plane) approve(t testing.TB, b *testBoard, spec string) {
	t.Helper()
	p.set(t, b.device, spec)
	eventually(t, 30*time.Second, func() error {
		d, err := p.devices.Get(t.Context(), b.device, metav1.GetOptions{})
		if err == nil && !meta.IsStatusConditionTrue(d.Status.Conditions, v1alpha1.Enrolled) {
			err = errors.New("not enrolled")
		}
		return err
	})
	b.boot(t)
}

// waitNode waits until check finds nothing wrong with the Node.
func (p *plane) waitNode(t testing.TB, name string, check func(*corev1.Node) error) (node *corev1.Node) {
	t.Helper()
	eventually(t, time.Minute, func() (err error) {
		if node, err = p.client.CoreV1().Nodes().Get(t.Context(), name, metav1.GetOptions{}); err != nil {
			return err
		}
		return check(node)
	})
	return node
}

func isReady(n *corev1.Node) error {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
			return nil
		}
	}
	return errors.New("not Ready")
}

func portOf(n *corev1.Node) int { return int(n.Status.DaemonEndpoints.KubeletEndpoint.Port) }

// logs is a log whose lines a test counts.
type logs struct{ testlog.Buffer }

func (l *logs) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// lines counts those that hold all of texts.
func (l *logs) lines(texts ...string) (n int) {
	for line := range strings.Lines(l.String()) {
		missing := 0
		for _, text := range texts {
			if !strings.Contains(line, text) {
				missing++
			}
		}
		if missing == 0 {
			n++
		}
	}
	return n
}

var serial atomic.Int64

func unique(prefix string) string { return fmt.Sprintf("%s-%d", prefix, serial.Add(1)) }

// process is a replica that runs.
type process struct {
	*Replica
	addr string // for links
	key  noise.PublicKey
	log  *logs
	stop func()
}

// nextPorts gives each process a range of kubelet ports of its own.
var nextPorts atomic.Int32

func (p *plane) start(t testing.TB, change func(*Config)) *process {
	t.Helper()
	r := &process{log: new(logs)}
	first := 20_000 + 100*int(nextPorts.Add(1))
	c := Config{
		Kubernetes: p.own, Name: unique("gw"), Addresses: []netip.Addr{netns.Address()}, ListenHost: netns.Address().String(),
		FirstPort: first, LastPort: first + 99, Logger: r.log.logger(),
	}
	if change != nil {
		change(&c)
	}
	var err error
	r.Replica, err = New(c)
	must(t, err)
	must(t, r.Preflight(t.Context()))
	r.key, err = r.PublicKey(t.Context())
	must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	r.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Serve(ctx, l, nil) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("replica: %v", err)
		}
	})
	t.Cleanup(func() {
		r.stop()
		if t.Failed() {
			t.Logf("log of the replica:\n%s", r.log)
		}
	})
	return r
}

// testBoard is a virtual board that comes by link.
type testBoard struct {
	name     string
	device   string // name of its Device
	hardware *virtual.Board
	log      *logs
	link     linked.Config
	gateway  atomic.Pointer[string] // address; the board dials whatever is there
	maps     []kubelet.ObjectName   // that it reads
	stop     func()
}

// Dial implements link.Dialer.
func (b *testBoard) Dial(ctx context.Context) (net.Conn, error) {
	return link.TCP(*b.gateway.Load()).Dial(ctx)
}

var _ link.Dialer = (*testBoard)(nil)

// newBoard makes a board with a key of its own, which is switched off.
func newBoard(t testing.TB, r *process) *testBoard {
	t.Helper()
	private, err := noise.GenerateKey(rand.Reader)
	must(t, err)
	key, err := noise.NewKey(private)
	must(t, err)
	b := &testBoard{name: unique("pico"), device: v1alpha1.Key(key.Public).Name(), log: new(logs), stop: func() {}}
	b.link = linked.Config{
		Key: key, GatewayKey: r.key, Random: rand.Reader, Memory: make([]byte, noise.BufferSize),
		Hello: noise.Hello{NodeName: b.name, Version: "v1.2.3"},
	}
	b.gateway.Store(&r.addr)
	b.hardware, err = virtual.New(virtual.Options{ID: b.name})
	must(t, err)
	b.link.Hello.BoardID = b.hardware.Board().Facts.ID
	t.Cleanup(func() {
		b.stop()
		if t.Failed() {
			t.Logf("log of board %s:\n%s", b.name, b.log)
		}
	})
	return b
}

// boot switches the board off and on.
func (b *testBoard) boot(t testing.TB) {
	t.Helper()
	b.stop()
	b.hardware.Reset()
	n, err := fleet.NewNode(fleet.Options{Name: b.name, Boot: b.machine, Dialer: b, Log: b.log.logger()})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	b.stop = sync.OnceFunc(func() {
		cancel()
		must(t, <-ended)
	})
}

func (b *testBoard) machine(boot int) (fleet.Kubelet, error) {
	if boot > 0 {
		b.hardware.Reset()
	}
	c := b.link
	c.Kubelet = new(kubelet.Kubelet)
	err := c.Kubelet.Configure(kubelet.Config{
		NodeName: b.name, Host: "gateway", Version: "v1.37.2", Board: b.hardware.Board(),
		ConfigMaps: append([]kubelet.ObjectName{}, b.maps...), Seed: 1 + uint64(serial.Add(1)),
	})
	if err != nil {
		return nil, err
	}
	return linked.New(c)
}

// join has a board come, approves it and waits until its Node is Ready.
func (p *plane) join(t testing.TB, b *testBoard, spec string) *corev1.Node {
	t.Helper()
	b.boot(t)
	eventually(t, 30*time.Second, func() error {
		d, err := p.devices.Get(t.Context(), b.device, metav1.GetOptions{})
		if err == nil && !d.IsPending() {
			err = errors.New("not pending")
		}
		return err
	})
	p.approve(t, b, spec)
	return p.waitNode(t, b.name, isReady)
}
