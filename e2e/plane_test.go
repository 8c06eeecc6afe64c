// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/picolet/picolet/cluster"
	"github.com/picolet/picolet/deploy"
	"github.com/picolet/picolet/netns"
)

// gracePeriod is how long a node may be silent before it is marked Unknown, as
// Kubernetes has it.
const gracePeriod = 50 * time.Second

// namespace holds the ConfigMaps and pods of the tests.
const namespace = "e2e"

// auditPolicy has every request logged once, when it is answered or, a watch,
// begun; with its body where a gateway writes for a node.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Request
  users: [` + gatewayUser + `]
  verbs: [create, update, patch]
  resources: [{resources: [nodes, nodes/status, events]}, {group: coordination.k8s.io, resources: [leases]}]
- level: Metadata
`

// plane is a control plane, with the rights of its administrator.
type plane struct {
	*cluster.Cluster
	dir     string
	version string // as nodes report theirs
	config  *rest.Config
	client  kubernetes.Interface
}

// scratch is removed when all tests are done.
var scratch string

func TestMain(m *testing.M) {
	flag.Parse()
	runInParallel()
	klog.SetSlogLogger(slog.New(slog.DiscardHandler)) // informers tell of outages that tests cause
	os.Exit(runTests(m))
}

// runInParallel lets more tests run at once than there are processors, unless
// -parallel was given: they wait for intervals of Kubernetes nearly all the time.
func runInParallel() {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", "32")
	}
}

func runTests(m *testing.M) int {
	var err error
	if scratch, err = os.MkdirTemp("", "picolet-e2e"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	defer stopShared()
	return netns.Main(m)
}

// binary finds the control plane of the line that $KUBERNETES selects.
var binary = sync.OnceValues(func() (cluster.Binary, error) {
	return cluster.Find(context.Background(), cluster.FindOptions{Source: filepath.Join("..", "controlplane")})
})

// requireBinary skips where there is no control plane, except in CI.
func requireBinary(tb testing.TB) cluster.Binary {
	tb.Helper()
	if testing.Short() {
		tb.Skip("starts a real control plane")
	}
	b, err := binary()
	if errors.Is(err, cluster.ErrNotBuilt) && os.Getenv("CI") != "true" {
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// startPlane starts a control plane on which gateways and boards have all that
// deploy/rbac.yaml gives them, and nothing more.
func startPlane(ctx context.Context, dir string, o cluster.Options) (*plane, error) {
	policy := filepath.Join(dir, "audit.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return nil, err
	}
	p := &plane{dir: dir}
	var err error
	o.Dir = filepath.Join(dir, "plane")
	o.APIServerArgs = append(o.APIServerArgs, "audit-policy-file="+policy, "audit-log-path="+p.auditLog())
	o.ControllerManagerArgs = []string{
		"node-monitor-grace-period=" + gracePeriod.String(),
		"node-monitor-period=1s", // 5s as Kubernetes has it
	}
	if p.Cluster, err = cluster.Start(ctx, o); err != nil {
		return nil, err
	}
	if err := p.prepare(ctx); err != nil {
		p.Kill()
		return nil, err
	}
	return p, nil
}

func (p *plane) auditLog() string { return filepath.Join(p.dir, "audit.log") }

func (p *plane) prepare(ctx context.Context) (err error) {
	if p.config, err = clientcmd.BuildConfigFromFlags("", p.AdminKubeconfig()); err != nil {
		return err
	}
	p.config.QPS = -1
	if p.client, err = kubernetes.NewForConfig(p.config); err != nil {
		return err
	}
	version, err := p.client.Discovery().ServerVersion()
	if err != nil {
		return err
	}
	p.version = version.GitVersion
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	if _, err := p.client.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{}); err != nil {
		return err
	}
	if err := deploy.Apply(ctx, p.config, deploy.Namespace); err != nil {
		return err
	}
	return deploy.Apply(ctx, p.config, deploy.RBAC)
}

// shared is what tests use that do not break it.
var shared struct {
	sync.Mutex
	plane   *plane
	gateway *gatewayRun
}

// sharedPlane returns the control plane that tests share.
func sharedPlane(tb testing.TB) *plane {
	tb.Helper()
	b := requireBinary(tb)
	shared.Lock()
	defer shared.Unlock()
	if shared.plane != nil {
		return shared.plane
	}
	p, err := startPlane(context.Background(), scratch, cluster.Options{Binary: b.Path, Datastore: cluster.Memory})
	if err != nil {
		tb.Fatal(err)
	}
	shared.plane = p
	return p
}

// sharedGateway returns the gateway before the shared control plane.
func sharedGateway(tb testing.TB) *gatewayRun {
	tb.Helper()
	p := sharedPlane(tb)
	shared.Lock()
	defer shared.Unlock()
	if shared.gateway != nil {
		return shared.gateway
	}
	g, err := runGateway(context.Background(), p, gatewayAccount, anyPort)
	if err != nil {
		tb.Fatal(err)
	}
	shared.gateway = g
	return g
}

func stopShared() {
	if shared.gateway != nil {
		if err := shared.gateway.stop(); err != nil {
			fmt.Fprintln(os.Stderr, "shared gateway:", err)
		}
	}
	if shared.plane != nil {
		shared.plane.Kill()
	}
}

// ownPlane starts a control plane for a test that breaks it. It keeps its state
// and its port over a restart.
func ownPlane(t *testing.T) *plane {
	t.Helper()
	o := cluster.Options{Binary: requireBinary(t).Path, Datastore: cluster.SQLite}
	_, port, err := net.SplitHostPort(keptAddress(t))
	must(t, err)
	o.Port, err = strconv.Atoi(port)
	must(t, err)
	p, err := startPlane(t.Context(), t.TempDir(), o)
	must(t, err)
	t.Cleanup(p.Kill)
	return p
}

// kubectl is a command of kubectl as administrator.
func (p *plane) kubectl(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, p.Kubectl(), args...)
	c.Env = append(os.Environ(), "KUBECONFIG="+p.AdminKubeconfig(), "HOME="+p.dir) // where it caches
	return c
}

// mustKubectl runs kubectl and returns what it prints.
func (p *plane) mustKubectl(tb testing.TB, args ...string) string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	out, err := p.kubectl(ctx, args...).Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		tb.Fatalf("kubectl %q: %v", args, err)
	}
	return string(out)
}
