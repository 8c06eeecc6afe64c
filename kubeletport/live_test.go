// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"

	"github.com/picolet/picolet/board/virtual"
	controlplane "github.com/picolet/picolet/cluster"
	"github.com/picolet/picolet/deploy"
	"github.com/picolet/picolet/fleet"
	"github.com/picolet/picolet/kubelet"
	"github.com/picolet/picolet/kubeletport/staticpod"
	"github.com/picolet/picolet/link"
	"github.com/picolet/picolet/netns"
)

// live is a real control plane, which checks serving certificates, and a Server
// with the rights of deploy/rbac.yaml and deploy/kubelet-port.yaml alone.
type live struct {
	*controlplane.Cluster
	dir    string
	addr   string // of this process; on loopback, the API server refuses to proxy to it
	admin  *rest.Config
	client kubernetes.Interface // the administrator's
	own    *rest.Config         // the gateway's
	server *Server
	log    *syncBuffer
	ports  map[string]string // addresses of boards, by node
}

// requireControlPlane skips where there is no control plane, except in CI.
func requireControlPlane(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a real control plane")
	}
	b, err := controlplane.Find(t.Context(), controlplane.FindOptions{Source: filepath.Join("..", "controlplane")})
	if errors.Is(err, controlplane.ErrNotBuilt) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	must(t, err)
	return b.Path
}

func startLive(t *testing.T) *live {
	t.Helper()
	l := &live{dir: t.TempDir(), addr: netns.Address().String(), log: new(syncBuffer), ports: make(map[string]string)}
	var err error
	l.Cluster, err = controlplane.Start(t.Context(), controlplane.Options{
		Binary: requireControlPlane(t), Dir: filepath.Join(l.dir, "plane"), Datastore: controlplane.Memory,
		APIServerArgs: []string{"kubelet-certificate-authority=" + filepath.Join(l.dir, "plane", "pki", "ca.crt")},
	})
	must(t, err)
	t.Cleanup(l.Kill)
	l.admin, err = clientcmd.BuildConfigFromFlags("", l.AdminKubeconfig())
	must(t, err)
	l.client = kubernetes.NewForConfigOrDie(l.admin)
	must(t, deploy.Apply(t.Context(), l.admin, deploy.Namespace))
	must(t, deploy.Apply(t.Context(), l.admin, deploy.RBAC))
	must(t, deploy.Apply(t.Context(), l.admin, deploy.KubeletPort))
	token, err := l.client.CoreV1().ServiceAccounts("picolet-system").CreateToken(t.Context(), "picolet-gateway",
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](3600)}}, metav1.CreateOptions{})
	must(t, err)
	l.own = rest.AnonymousClientConfig(l.admin)
	l.own.BearerToken = token.Status.Token
	l.server = l.startServer(t, func(c *Config) {
		c.NodeKubernetes, c.ApproveOwn = l.asNode, true
	})
	return l
}

// asNode is the gateway's way to act for a node (KEP-5284).
func (l *live) asNode(node string) (kubernetes.Interface, error) {
	c := rest.CopyConfig(l.own)
	c.Impersonate.UserName = nodeUserPrefix + node
	return kubernetes.NewForConfig(c)
}

// Dial implements Boards.
func (l *live) Dial(ctx context.Context, node string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", l.ports[node])
}

func (l *live) startServer(t *testing.T, change func(*Config)) *Server {
	t.Helper()
	c := Config{
		Boards: l, Kubernetes: kubernetes.NewForConfigOrDie(l.own),
		Addresses: []netip.Addr{netip.MustParseAddr(l.addr)}, ListenHost: l.addr,
		Logger: slog.New(slog.NewTextHandler(l.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	change(&c)
	s, err := New(c)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		if t.Failed() {
			t.Logf("log of the server:\n%s", l.log.tail())
		}
	})
	return s
}

// startNode starts a virtual board whose kubelet talks to the API server itself,
// and the pod that mirrors its firmware.
func (l *live) startNode(t *testing.T, s *Server, name string) *virtual.Board {
	t.Helper()
	port, err := s.Add(Node{Name: name, Version: "v1"})
	must(t, err)
	hardware, err := virtual.New(virtual.Options{ID: name})
	must(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	l.ports[name] = listener.Addr().String()
	u, err := url.Parse(l.admin.Host)
	must(t, err)
	secure, err := rest.TLSConfigFor(l.admin)
	must(t, err)
	n, err := fleet.NewNode(fleet.Options{
		Name: name, Dialer: link.TLS(u.Host, secure), Listener: listener, FixedAddress: true,
		Boot: fleet.Machine(func(boot int) (kubelet.Config, error) {
			if boot > 0 {
				hardware.Reset()
			}
			return kubelet.Config{
				NodeName: name, Host: u.Host, Version: "v1.37.2", Board: hardware.Board(), Seed: 1 + uint64(boot),
				Address: l.addr, Port: port,
			}, nil
		}),
	})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		must(t, <-ended)
	})
	l.mirrorPod(t, name)
	return hardware
}

// mirrorPod creates the pod as the node does, once the node is there.
func (l *live) mirrorPod(t *testing.T, name string) {
	t.Helper()
	var object *corev1.Node
	eventually(t, "node "+name+" is registered", func() (ok bool) {
		var err error
		object, err = l.client.CoreV1().Nodes().Get(t.Context(), name, metav1.GetOptions{})
		return err == nil
	})
	client, err := l.asNode(name)
	must(t, err)
	pod := staticpod.Mirror(staticpod.New(staticpod.Options{
		Node: name, NodeUID: object.UID, Version: "v1", Address: l.addr, Started: time.Now(),
	}))
	pods := client.CoreV1().Pods(staticpod.Namespace)
	_, err = pods.Create(t.Context(), pod, metav1.CreateOptions{})
	must(t, err)
	status, err := json.Marshal(map[string]any{"status": pod.Status})
	must(t, err)
	_, err = pods.Patch(t.Context(), pod.Name, types.StrategicMergePatchType, status, metav1.PatchOptions{}, "status")
	must(t, err)
}

// kubectl runs kubectl as the administrator.
func (l *live) kubectl(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, l.Kubectl(), args...)
	c.Env = append(os.Environ(), "KUBECONFIG="+l.AdminKubeconfig(), "HOME="+l.dir)
	var out, told bytes.Buffer
	c.Stdout, c.Stderr = &out, &told
	if err := c.Run(); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			t.Fatal(err)
		}
		code = exit.ExitCode()
	}
	return out.String(), told.String(), code
}

// TestLive is what kubectl must do with a node, through the real API server.
func TestLive(t *testing.T) {
	t.Parallel()
	l := startLive(t)
	hardware := l.startNode(t, l.server, "live-1")
	eventually(t, "the serving certificate is issued", func() bool {
		return strings.Contains(l.log.String(), `msg="Serving certificate issued" node=live-1`)
	})
	t.Run("get", l.get)
	t.Run("logs", l.logs)
	for _, feature := range []string{"SPDY", "ExtendWebSocketsToKubelet"} {
		l.declare(t, feature)
		t.Run("exec by "+feature, func(t *testing.T) { l.exec(t, hardware) })
		t.Run("refused by "+feature, l.refusals)
	}
	t.Run("follow over a reboot", l.followReboot)
	t.Run("flooded with random tokens", l.flooded)
	t.Run("own CA", l.ownCA)
}

// declare makes the API server pass WebSockets on, or translate them to SPDY.
func (l *live) declare(t *testing.T, feature string) {
	t.Helper()
	features := "[]"
	if feature != "SPDY" {
		features = `["` + feature + `"]`
	}
	_, err := l.client.CoreV1().Nodes().Patch(t.Context(), "live-1", types.MergePatchType,
		[]byte(`{"status":{"declaredFeatures":`+features+`}}`), metav1.PatchOptions{}, "status")
	must(t, err)
}

// kubectlTest is a run of kubectl.
type kubectlTest struct {
	args   string
	stdout string // regular expression
	stderr string // regular expression
	code   int
}

func (l *live) check(t *testing.T, tests []kubectlTest) {
	t.Helper()
	for _, tt := range tests {
		stdout, stderr, code := l.kubectl(t, strings.Fields(tt.args)...)
		if code != tt.code || !regexp.MustCompile(`(?s)^`+tt.stdout+`$`).MatchString(stdout) || !regexp.MustCompile(tt.stderr).MatchString(stderr) {
			t.Errorf("kubectl %s: exit code %d\n%s\n%s\nwant %d\n%s\n%s", tt.args, code, stdout, stderr, tt.code, tt.stdout, tt.stderr)
		}
	}
}

func (l *live) get(t *testing.T) {
	const proxy = "get --raw /api/v1/nodes/live-1/proxy"
	pods := []kubectlTest{
		{"--namespace kube-system get pods --no-headers", `picolet-live-1 +1/1 +Running +0 .*`, "", 0},
		{"--namespace kube-system wait --for condition=Ready pod/picolet-live-1", `pod/picolet-live-1 condition met\n`, "", 0},
	}
	if l.check(t, pods); l.addr == "127.0.0.1" {
		return
	}
	l.check(t, []kubectlTest{
		{proxy + "/healthz", `ok`, "", 0},
		{proxy + "/metrics", `# HELP .*`, "", 0},
		{proxy + "/stats/summary", `\{"node":\{"nodeName":"live-1".*`, "", 0},
		{proxy + "/configz", `\{"kubeletconfig".*`, "", 0},
		{proxy + "/pods", `\{"kind":"PodList".*"name":"picolet-live-1".*`, "", 0},
		{proxy + "/pico/memory?length=2", `.*"hex":"0000".*`, "", 0},
		{proxy + "/nowhere", ``, "does not serve the path", 1},
	})
}

func (l *live) logs(t *testing.T) {
	eventually(t, "the lease is logged or the node is registered", func() bool {
		out, _, _ := l.kubectl(t, "--namespace=kube-system", "logs", "picolet-live-1")
		return strings.Contains(out, `msg="Node registered"`)
	})
	const logs = "--namespace kube-system logs picolet-live-1"
	const line = `(INFO|WARN) msg=[^\n]*\n`
	const stamp = `(20[0-9-]{8}T[0-9:.]{15}Z|\+[0-9.]+s) `
	l.check(t, []kubectlTest{
		{logs, `INFO msg="Kubelet started"[^\n]*\n(` + line + `)+`, "", 0},
		{logs + " --container firmware --tail 1", line, "", 0},
		{logs + " --tail 0", ``, "", 0},
		{logs + " --tail 1 --timestamps", stamp + line, "", 0},
		{logs + " --since 1h", `(` + line + `){2,}`, "", 0},
		{logs + " --since-time 2100-01-01T00:00:00Z", ``, "", 0},
		{logs + " --limit-bytes 8", `INFO msg`, "", 0},
		{logs + " --previous", ``, `a board keeps no log over a reboot`, 1},
		{logs + " --container other", ``, `container other is not valid`, 1},
	})
}

func (l *live) exec(t *testing.T, hardware *virtual.Board) {
	const run = "--namespace kube-system exec picolet-live-1 -- "
	l.check(t, []kubectlTest{
		{run + "status", `\{\n  "node": \{\n    "name": "live-1".*\}\n`, "", 0},
		{run + "memory 0 17", `0000  (00 ){15}00\n0010  00\n`, "", 0},
		{run + "memory 0x10 1", `0010  00\n`, "", 0},
		{run + "set_pin 15 PWM:7", ``, "", 0},
		{run + "gpio 15", `PWM:7\n`, "", 0},
		{run + "set_pin 15 UP", ``, "unknown pin mode, want HIGH, LOW or PWM", 1},
		{run + "gpio x", ``, `usage: gpio \[PIN\]`, 2},
		{run + "blink_led 1 20", ``, "", 0},
		{run + "blink_led 0", ``, "count must be 1 to 100\n", 1},
		{"cp kube-system/picolet-live-1:/etc/hosts hosts", `files cannot be copied to or from a board: it has no file system; [^\n]*\n`, "command terminated with exit code 127", 127},
		{run + "help", `commands:\n  status .*`, "", 0},
		{run + "sh", ``, `"sh": no such command: a board runs no programs\ncommands:`, 127},
		{"--namespace kube-system exec -i -t picolet-live-1 -- gpio 15", `PWM:7\r?\n`, "", 0},
	})
	if s, err := hardware.Pin(15); err != nil || s.Duty != 7 {
		t.Errorf("pin 15 is %v, %v", s, err)
	}
}

func (l *live) refusals(t *testing.T) {
	l.check(t, []kubectlTest{
		{"--namespace kube-system attach picolet-live-1", ``, "cannot attach to a board", 1},
		{"--namespace kube-system port-forward picolet-live-1 0:80", ``, "cannot forward ports to a board|upgrad", 1},
	})
}

// followReboot: kubectl logs --follow shows what is logged after a reboot.
func (l *live) followReboot(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, l.Kubectl(), "--kubeconfig", l.AdminKubeconfig(), "--namespace=kube-system", "logs", "--follow", "--tail=0", "picolet-live-1")
	out := new(syncBuffer)
	c.Stdout = out
	must(t, c.Start())
	defer func() {
		cancel()
		_ = c.Wait() // killed
	}()
	logged := func(command string) func() bool {
		return func() bool {
			if _, stderr, code := l.kubectl(t, "--namespace=kube-system", "exec", "picolet-live-1", "--", command); code != 0 {
				t.Logf("%s: %s", command, stderr)
			}
			return strings.Contains(out.String(), `msg="Command carried out" command=blink_led`)
		}
	}
	eventually(t, "a command shows in the log", logged("blink"))
	if _, stderr, code := l.kubectl(t, "--namespace=kube-system", "exec", "picolet-live-1", "--", "reboot"); code != 0 {
		t.Fatal(stderr)
	}
	eventually(t, "the log goes on after the reboot", func() bool {
		return regexp.MustCompile(`(?m)^INFO msg="Kubelet started".* reset=software$`).MatchString(out.String())
	})
}

// flooded: kubectl logs works while somebody tries random tokens, of which the API server
// sees few.
func (l *live) flooded(t *testing.T) {
	addr := net.JoinHostPort(l.addr, strconv.Itoa(l.server.portOfNode("live-1").number))
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	var refused, limited atomic.Int32
	for i := range 16 { // half of what one address may have
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
		running.Go(func() {
			for try := 0; ctx.Err() == nil; try++ {
				r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+addr+"/healthz", nil)
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("Authorization", fmt.Sprintf("Bearer random-%d-%d", i, try))
				resp, err := client.Do(r)
				if err != nil {
					continue
				}
				_ = resp.Body.Close()
				switch resp.StatusCode {
				case http.StatusUnauthorized:
					refused.Add(1)
				case http.StatusTooManyRequests:
					limited.Add(1)
				default:
					t.Errorf("a random token: %s", resp.Status)
				}
			}
		})
	}
	begin := time.Now()
	eventually(t, "random tokens are limited", func() bool { return limited.Load() > 100 })
	l.check(t, []kubectlTest{{"--namespace kube-system logs --tail 1 picolet-live-1", `(INFO|WARN) msg=.*`, "", 0}})
	if n, most := int(refused.Load()), guessBurst+int(time.Since(begin)/guessInterval)+1; n > most {
		t.Errorf("%d random tokens were reviewed, want %d at most", n, most)
	}
}

// ownCA: the API server refuses a certificate that its kubelet CA did not sign,
// unless it is told not to look.
func (l *live) ownCA(t *testing.T) {
	s := l.startServer(t, func(*Config) {})
	l.startNode(t, s, "live-2")
	const logs = "--namespace kube-system logs --tail 1 picolet-live-2"
	l.check(t, []kubectlTest{
		{logs, ``, "certificate signed by unknown authority", 1},
		{logs + " --insecure-skip-tls-verify-backend", `(INFO|WARN) msg=.*`, "", 0},
	})
	if !strings.Contains(l.log.String(), "own CA") {
		t.Error("the log does not tell of the own CA")
	}
	s.Remove("live-2")
	l.check(t, []kubectlTest{{logs, ``, "connection refused", 1}})
}
