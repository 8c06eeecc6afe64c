// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"

	"github.com/picolet/picolet/api/devices"
	"github.com/picolet/picolet/api/v1alpha1"
	"github.com/picolet/picolet/cluster"
	"github.com/picolet/picolet/deploy"
	"github.com/picolet/picolet/testlog"
)

// plane is a real control plane with the manifests of deploy applied, which the
// tests of this package share.
type plane struct {
	cluster *cluster.Cluster
	admin   *rest.Config
	own     *rest.Config // the gateway's: a token of its ServiceAccount
	client  kubernetes.Interface
	devices *devices.Client
}

var errNoBinary = errors.New("no control plane to test with")

var shared = sync.OnceValues(startPlane)

func TestMain(m *testing.M) {
	code := m.Run()
	stopPlane()
	os.Exit(code)
}

var stopPlane = func() {}

func startPlane() (*plane, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	binary, err := cluster.Find(ctx, cluster.FindOptions{})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoBinary, err)
	}
	dir, err := os.MkdirTemp("", "picolet-enrolment-")
	if err != nil {
		return nil, err
	}
	c, err := cluster.Start(ctx, cluster.Options{Binary: binary.Path, Dir: dir, Datastore: cluster.Memory})
	if err != nil {
		return nil, err
	}
	stopPlane = func() {
		c.Kill()
		_ = os.RemoveAll(dir)
	}
	return preparePlane(ctx, c)
}

func preparePlane(ctx context.Context, c *cluster.Cluster) (*plane, error) {
	admin, err := clientcmd.BuildConfigFromFlags("", c.AdminKubeconfig())
	if err != nil {
		return nil, err
	}
	admin.QPS = -1
	for _, manifests := range [][]byte{deploy.Namespace, deploy.RBAC, deploy.Devices, deploy.Enrolment} {
		if err := deploy.Apply(ctx, admin, manifests); err != nil {
			return nil, err
		}
	}
	p := &plane{cluster: c, admin: admin, client: kubernetes.NewForConfigOrDie(admin)}
	if p.devices, err = devices.New(admin); err != nil {
		return nil, err
	}
	token, err := p.client.CoreV1().ServiceAccounts(DefaultNamespace).CreateToken(ctx, "picolet-gateway",
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](7200)}}, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	p.own = rest.AnonymousClientConfig(admin)
	p.own.BearerToken = token.Status.Token
	return p, wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		_, err := p.devices.List(ctx, metav1.ListOptions{Limit: 1}) // the API server takes a moment
		return err == nil, nil
	})
}

func livePlane(t testing.TB) *plane {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a control plane")
	}
	p, err := shared()
	if errors.Is(err, errNoBinary) && os.Getenv("CI") != "true" {
		t.Skipf("needs a control plane, as `make test` builds: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// testClock is the real time and an offset: of all clocks, the API server's too, and
// of this machine's wall clock alone.
type testClock struct{ offset, wall atomic.Int64 }

func (c *testClock) advance(d time.Duration) { c.offset.Add(int64(d)) }
func (c *testClock) step(d time.Duration)    { c.wall.Add(int64(d)) }

// drive makes e live by c.
func (c *testClock) drive(e *Enrolment) {
	base := time.Now()
	e.clock.elapsed = func() time.Duration { return time.Since(base) + time.Duration(c.offset.Load()) }
	e.clock.wall = func() time.Time { return time.Now().Add(time.Duration(c.offset.Load() + c.wall.Load())) }
}

// dates makes the API server live by c.
func (c *testClock) dates(config *rest.Config) *rest.Config {
	config = rest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			answer, err := next.RoundTrip(r)
			if err == nil {
				if date, err := http.ParseTime(answer.Header.Get("Date")); err == nil {
					answer.Header.Set("Date", date.Add(time.Duration(c.offset.Load())).Format(http.TimeFormat))
				}
			}
			return answer, err
		})
	})
	return config
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// gate is an Enrolment that runs.
type gate struct {
	*Enrolment
	clock *testClock
	logs  *logs
	stop  func()
}

// logs is a log in which a test looks for Devices.
type logs struct{ testlog.Buffer }

// about is what the log says about a Device.
func (l *logs) about(device string) (found string) {
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, device) {
			found += line
		}
	}
	return found
}

var serial atomic.Int64

func unique(prefix string) string { return fmt.Sprintf("%s-%d", prefix, serial.Add(1)) }

// gate starts an Enrolment and waits until it decides.
func (p *plane) gate(t testing.TB, change func(*Config)) *gate {
	t.Helper()
	g := p.start(t, change)
	g.waitReady(t)
	return g
}

func (p *plane) start(t testing.TB, change func(*Config)) *gate {
	t.Helper()
	g := &gate{clock: new(testClock), logs: new(logs)}
	c := Config{
		Kubernetes: g.clock.dates(p.own), Replica: unique("gw"), MaxPending: 1000,
		Logger: slog.New(slog.NewTextHandler(g.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&c)
	}
	var err error
	if g.Enrolment, err = New(c); err != nil {
		t.Fatal(err)
	}
	g.clock.drive(g.Enrolment)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	g.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(g.stop)
	return g
}

func (g *gate) waitReady(t testing.TB) {
	t.Helper()
	select {
	case <-g.Ready():
	case <-time.After(30 * time.Second):
		t.Fatalf("not ready: %s", g.logs)
	}
}

// newKey is the public half of a fresh key.
func newKey(t testing.TB) v1alpha1.Key {
	t.Helper()
	k, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return v1alpha1.Key(k.PublicKey().Bytes())
}

// addresses differ, so that no test meets another's limits.
func newHello(t testing.TB) Hello {
	n := serial.Add(1)
	return Hello{
		Key: newKey(t), BoardID: fmt.Sprintf("e66%013x", n), NodeName: fmt.Sprintf("pico-%d", n),
		Firmware: "v0.4.0", Address: fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255),
	}
}

func (g *gate) decide(t testing.TB, h Hello) (*Hold, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	hold, err := g.Decide(ctx, h)
	if hold != nil {
		t.Cleanup(hold.Release)
	}
	return hold, err
}

// refused wants a refusal for a reason, and returns it.
func (g *gate) refused(t testing.TB, h Hello, want Reason) *Refusal {
	t.Helper()
	_, err := g.decide(t, h)
	r, ok := errors.AsType[*Refusal](err)
	if !ok || r.Reason != want {
		t.Fatalf("board %s: %v (%+v), want %s", h, err, r, want)
	}
	if len(r.Message) > 160 {
		t.Errorf("a board can log 160 bytes, not %d: %s", len(r.Message), r.Message)
	}
	return r
}

func (g *gate) admitted(t testing.TB, h Hello) *Hold {
	t.Helper()
	hold, err := g.decide(t, h)
	if err != nil {
		t.Fatalf("board %s: %v (%v)\n%s", h, err, errors.Unwrap(err), g.logs)
	}
	return hold
}

// kubectl runs the plain kubectl, as an administrator.
func (p *plane) kubectl(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), p.cluster.Kubectl(), append([]string{"--kubeconfig", p.cluster.AdminKubeconfig()}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %q: %v: %s", args, err, out)
	}
	return string(out)
}

// set is what an administrator says of a Device, by plain kubectl.
func (p *plane) set(t testing.TB, device, spec string) {
	t.Helper()
	p.kubectl(t, "patch", "device", device, "--type=merge", "--patch", `{"spec":`+spec+`}`)
}

func (p *plane) device(t testing.TB, name string) *v1alpha1.Device {
	t.Helper()
	d, err := p.devices.Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// approved makes an approved Device for h.
func (p *plane) approved(t testing.TB, g *gate, h Hello) string {
	t.Helper()
	name := h.Key.Name()
	_, err := p.devices.Create(t.Context(), &v1alpha1.Device{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.DeviceSpec{PublicKey: h.Key.String(), NodeName: h.NodeName, Approved: ptr.To(true)},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	g.sees(t, name, func(d *v1alpha1.Device) bool { return d.IsApproved() })
	return name
}

// sees waits until the gateway knows a Device as it should be.
func (g *gate) sees(t testing.TB, name string, is func(*v1alpha1.Device) bool) {
	t.Helper()
	eventually(t, "the gateway sees device "+name, func() bool { d := g.view.get(name); return d != nil && is(d) })
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) { return is(), nil })
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// has waits for a condition of a Device and returns its message.
func (p *plane) has(t testing.TB, device, kind string, status metav1.ConditionStatus, reason Reason) string {
	t.Helper()
	var message string
	eventually(t, fmt.Sprintf("device %s is %s=%s for %s", device, kind, status, reason), func() bool {
		d, err := p.devices.Get(t.Context(), device, metav1.GetOptions{})
		if err != nil {
			if !apierrors.IsNotFound(err) {
				t.Error(err)
			}
			return false
		}
		c := meta.FindStatusCondition(d.Status.Conditions, kind)
		if c == nil || c.Status != status || c.Reason != string(reason) {
			return false
		}
		message = c.Message
		return true
	})
	return message
}

// cutOff waits until a Hold ends for a reason, and returns how long that took.
func cutOff(t testing.TB, h *Hold, want Reason) time.Duration {
	t.Helper()
	start := time.Now()
	select {
	case <-h.Context().Done():
	case <-time.After(30 * time.Second):
		t.Fatalf("the board of device %s was not cut off", h.Device())
	}
	if r, ok := errors.AsType[*Refusal](context.Cause(h.Context())); !ok || r.Reason != want {
		t.Fatalf("cut off for %v, want %s", context.Cause(h.Context()), want)
	}
	return time.Since(start)
}

// event waits for an Event about a Device.
func (p *plane) event(t testing.TB, device string, reason Reason, text string) {
	t.Helper()
	eventually(t, fmt.Sprintf("an Event %s about device %s says %q", reason, device, text), func() bool {
		list, err := p.client.CoreV1().Events(metav1.NamespaceDefault).List(t.Context(), metav1.ListOptions{
			FieldSelector: "involvedObject.kind=Device,involvedObject.name=" + device + ",reason=" + string(reason),
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list.Items {
			if strings.Contains(e.Message, text) {
				return true
			}
		}
		return false
	})
}
