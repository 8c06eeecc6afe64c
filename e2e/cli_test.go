// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/picolet/picolet/api/devices"
	"github.com/picolet/picolet/api/v1alpha1"
)

// picolet is the command itself, built once, with kubectl-pico beside it.
var picolet = sync.OnceValues(func() (path string, err error) {
	dir := filepath.Join(scratch, "bin")
	out, err := exec.Command("go", "build", "-o", dir+"/", "../cmd/picolet", "../cmd/kubectl-pico").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return filepath.Join(dir, "picolet"), err
})

// process is a run of picolet.
type process struct {
	*exec.Cmd
	stdout, stderr logBuffer
	ended          chan struct{}
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	path, err := picolet()
	must(t, err)
	p := &process{Cmd: exec.Command(path, args...), ended: make(chan struct{})}
	p.Stdout, p.Stderr = &p.stdout, &p.stderr
	p.Env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_STATE_HOME=", "PICOLET_CONTROLPLANE="+requireBinary(t).Path)
	must(t, p.Start())
	go func() {
		defer close(p.ended)
		_ = p.Wait() // ProcessState tells
	}()
	t.Cleanup(func() {
		_ = p.Process.Kill()
		<-p.ended
		if t.Failed() {
			t.Logf("picolet %q:\n%s%s", args, &p.stdout, &p.stderr)
		}
	})
	return p
}

// waitOutput waits until picolet printed text.
func (p *process) waitOutput(t *testing.T, text string) {
	t.Helper()
	eventually(t, 90*time.Second, func(context.Context) error {
		select {
		case <-p.ended:
			t.Fatalf("picolet ended, %v", p.ProcessState)
		default:
		}
		if !strings.Contains(p.stdout.String(), text) {
			return fmt.Errorf("picolet did not print %q", text)
		}
		return nil
	})
}

// interrupt ends picolet as Ctrl-C does.
func (p *process) interrupt(t *testing.T) {
	t.Helper()
	must(t, p.Process.Signal(os.Interrupt))
	p.wait(t)
	if !p.ProcessState.Success() {
		t.Errorf("after Ctrl-C: %v, want exit code 0", p.ProcessState)
	}
}

func (p *process) wait(t *testing.T) {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		t.Fatal("picolet did not end within 20s")
	}
}

var exportLine = regexp.MustCompile(`(?m)^  export KUBECONFIG=(\S+)$`)

// client uses the kubeconfig that picolet printed.
func (p *process) client(t *testing.T) (kubeconfig string, c kubernetes.Interface) {
	t.Helper()
	line := exportLine.FindStringSubmatch(p.stdout.String())
	if line == nil {
		t.Fatalf("no line with KUBECONFIG:\n%s", &p.stdout)
	}
	config, err := clientcmd.BuildConfigFromFlags("", line[1])
	must(t, err)
	c, err = kubernetes.NewForConfig(config)
	must(t, err)
	return line[1], c
}

func TestUpStartsThreeReadyNodes(t *testing.T) {
	t.Parallel()
	requireBinary(t)
	p := start(t, "up", "--nodes=3", "--datastore=memory", "--dir="+t.TempDir(), "--gateway-listen="+anyPort, "--address=127.0.0.1", "--kubernetes="+line(t))
	p.waitOutput(t, "Ctrl-C ends all of it")
	kubeconfig, client := p.client(t)
	for _, want := range []string{
		"\n  kubectl get nodes -o wide\n", "\n  kubectl get devices\n", "\n  kubectl patch configmap pico-config ",
		"\n  kubectl logs -n kube-system picolet-pico-1\n", "\n  kubectl exec -n kube-system picolet-pico-1 -- status\n",
		"--gateway-key ", "kubectl pico approve",
	} {
		if !strings.Contains(p.stdout.String(), want) {
			t.Errorf("picolet up does not propose %q", want)
		}
	}
	list, err := client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	must(t, err)
	for i := range list.Items {
		if c := condition(&list.Items[i], corev1.NodeReady); c == nil || c.Status != corev1.ConditionTrue {
			t.Errorf("node %s is %v", list.Items[i].Name, c)
		}
	}
	if len(list.Items) != 3 {
		t.Errorf("%d nodes, want 3", len(list.Items))
	}
	p.tryCommands(t, kubeconfig)

	children := descendants(t, p.Process.Pid)
	if len(children) == 0 {
		t.Error("picolet up runs no control plane")
	}
	p.interrupt(t)
	for _, pid := range children {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d still runs: %v", pid, err)
		}
	}
}

// tryCommands runs what picolet proposes to try, as it stands there.
func (p *process) tryCommands(t *testing.T, kubeconfig string) {
	t.Helper()
	_, proposed, _ := strings.Cut(p.stdout.String(), "Then try:")
	var tried int
	for command := range strings.Lines(proposed) {
		if !strings.HasPrefix(command, "  kubectl ") || strings.HasPrefix(command, "  kubectl # ") {
			continue // not on loopback
		}
		tried++
		c := exec.CommandContext(t.Context(), "sh", "-c", command)
		c.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "HOME="+t.TempDir(), "PATH="+filepath.Dir(requireBinary(t).Path)+":"+os.Getenv("PATH"))
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", command, err, out)
		}
	}
	if tried != 5 {
		t.Errorf("%d commands of kubectl were proposed, want 5", tried)
	}
}

// descendants lists the processes below pid.
func descendants(t *testing.T, pid int) (all []int) {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	must(t, err)
	if len(threads) == 0 {
		t.Skip("the processes of picolet cannot be listed: this is no Linux with /proc/PID/task/TID/children")
	}
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // the thread has ended
		}
		must(t, err)
		for _, field := range strings.Fields(string(text)) {
			child, err := strconv.Atoi(field)
			must(t, err)
			all = append(append(all, child), descendants(t, child)...)
		}
	}
	return all
}

// line is the Kubernetes line of the control plane under test, as 1.37.
func line(t *testing.T) string {
	t.Helper()
	version := strings.Split(strings.TrimPrefix(sharedPlane(t).version, "v"), ".")
	return strings.Join(version[:2], ".")
}

func TestUpKeepsItsState(t *testing.T) {
	t.Parallel()
	requireBinary(t)
	dir := t.TempDir()
	args := []string{"up", "--nodes=2", "--dir=" + dir, "--gateway-listen=" + anyPort, "--address=127.0.0.1", "--kubernetes=" + line(t)}
	first := start(t, args...)
	first.waitOutput(t, "Ctrl-C ends all of it")
	kubeconfig, client := first.client(t)
	_, err := client.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "kept"}}, metav1.CreateOptions{})
	must(t, err)
	key := gatewayKeyLine.FindString(first.stdout.String())
	revoked := revoke(t, kubeconfig, "pico-2")
	first.interrupt(t)

	second := start(t, args...)
	second.waitOutput(t, "Ctrl-C ends all of it")
	if said := second.stdout.String(); key == "" || !strings.Contains(said, key) || !strings.Contains(said, "\n1 node is Ready") {
		t.Errorf("after a restart with one board kept out, and key %q:\n%s", key, said)
	}
	if want := "pico-2 is kept out: kubectl pico approve " + revoked; !strings.Contains(second.stderr.String(), want) {
		t.Errorf("after a restart picolet does not say %q", want)
	}
	_, client = second.client(t)
	if _, err := client.CoreV1().ConfigMaps("default").Get(t.Context(), "kept", metav1.GetOptions{}); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	third := start(t, args...)
	third.wait(t)
	checkRefusal(t, third, `another "picolet up" runs in `+dir)
	second.interrupt(t)
}

var gatewayKeyLine = regexp.MustCompile(`--gateway-key \S+`)

// revoke keeps the board of a node out, and returns the name of its Device.
func revoke(t *testing.T, kubeconfig, node string) string {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	must(t, err)
	client, err := devices.New(config)
	must(t, err)
	list, err := client.List(t.Context(), metav1.ListOptions{})
	must(t, err)
	i := slices.IndexFunc(list.Items, func(d v1alpha1.Device) bool { return d.Spec.NodeName == node })
	if i < 0 {
		t.Fatalf("no Device is node %s", node)
	}
	_, err = client.Patch(t.Context(), list.Items[i].Name, types.MergePatchType, []byte(`{"spec":{"approved":false}}`), metav1.PatchOptions{})
	must(t, err)
	return list.Items[i].Name
}

// The machine itself, or a virtual board, as a node, without a gateway.
func TestNodeCommandWithoutAGateway(t *testing.T) {
	t.Parallel()
	p, name, dir := sharedPlane(t), unique("command"), t.TempDir()
	account := p.kubeletAccount(t)
	identity, err := p.identity(t.Context(), account)
	must(t, err)
	p.allowConfigMap(t, rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: gatewayNamespace, Name: account}, name)
	ca, token := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "token")
	must(t, errors.Join(os.WriteFile(ca, p.authority(t), 0o600), os.WriteFile(token, []byte(identity.BearerToken+"\n"), 0o600)))
	for _, hardware := range []string{"virtual", "linux"} {
		t.Run(hardware, func(t *testing.T) {
			t.Parallel()
			b := &testBoard{clusterNode: clusterNode{p, unique(hardware)}}
			t.Cleanup(func() { b.deleteNode(t) })
			run := start(t, "node", "--name="+b.name, "--board="+hardware, "--server="+p.URL(), "--ca-file="+ca, "--token-file="+token,
				"--dir="+t.TempDir(), "--listen="+anyPort, "--configmap="+namespace+"/"+name)
			n := b.waitStatus(t, corev1.ConditionTrue)
			if n.Status.NodeInfo.OperatingSystem != "linux" || n.Labels["picolet.dev/board"] != hardware {
				t.Errorf("labels %v, nodeInfo %v", n.Labels, n.Status.NodeInfo)
			}
			run.interrupt(t)
			if strings.Contains(run.stderr.String()+run.stdout.String(), identity.BearerToken) {
				t.Error("the token stands in the output")
			}
		})
	}
}

// badInput is where the command lines of TestBadInputIsToldInOneLine point to.
type badInput struct {
	dir    string // where there is nothing yet
	file   string // empty
	token  string // file
	broken string // file, no kubeconfig
	away   string // kubeconfig of an API server at nowhere
	taken  string // address that somebody listens on
	closed string // address that nobody listens on
}

func makeBadInput(t *testing.T, dir string) badInput {
	t.Helper()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	taken, err := net.Listen("tcp", anyPort)
	must(t, err)
	t.Cleanup(func() { _ = taken.Close() })
	closed := keptAddress(t)
	return badInput{
		dir:    filepath.Join(dir, "new"),
		file:   write("file", ""),
		token:  write("token", "abc"),
		broken: write("broken", "apiVersion: v1\nkind: Config\nclusters: {"),
		away: write("away", `apiVersion: v1
kind: Config
current-context: a
contexts: [{name: a, context: {cluster: a, user: a}}]
users: [{name: a, user: {token: b}}]
clusters: [{name: a, cluster: {server: "https://`+closed+`"}}]
`),
		taken:  taken.Addr().String(),
		closed: closed,
	}
}

// badCommand is a command line, and what is said about it.
type badCommand struct {
	says string
	line string
}

func badCommands(in badInput, spare string) map[string]badCommand {
	const anywhere = " --listen=" + anyPort
	virtual := "node --name=a --board=virtual --dir=" + spare + anywhere
	return map[string]badCommand{
		"an unknown command":          {"there is no command", "uo"},
		"an unknown flag":             {"--nods", "up --nods=3"},
		"a flag of another kind":      {"--nodes", "up --nodes=three"},
		"too many nodes":              {"--nodes", "up --nodes=100000"},
		"an unknown line":             {"--kubernetes", "up --kubernetes=1.2 --dir=" + in.dir},
		"a prefix that is no name":    {"--name-prefix", "up --name-prefix=Pico_W --dir=" + in.dir},
		"a name that is no DNS label": {"--name", "node --name=-a- --gateway=" + in.closed + " --dir=" + in.dir},
		"no name":                     {"--name", "node --gateway=" + in.closed + " --dir=" + in.dir},
		"no cluster":                  {"--gateway", "node --name=a"},
		"a gateway that is away":      {in.closed, virtual + " --gateway=" + in.closed},
		"an API server that is away":  {in.closed, virtual + " --server=https://" + in.closed + " --token-file=" + in.token},
		"a cluster that is away":      {in.closed, "gateway --admin-listen=" + anyPort + anywhere + " --kubeconfig=" + in.away},
		"a broken kubeconfig":         {in.broken, "gateway --kubeconfig=" + in.broken + anywhere},
		"a missing kubeconfig":        {in.dir, "gateway --kubeconfig=" + in.dir + anywhere},
		"a taken port of up":          {in.taken, "up --dir=" + spare + " --gateway-listen=" + in.taken},
		"a taken port of a node":      {in.taken, "node --name=a --gateway=" + in.closed + " --dir=" + in.dir + " --listen=" + in.taken},
		"a taken port of a gateway":   {in.taken, "gateway --kubeconfig=" + in.away + " --listen=" + in.taken},
		"a directory in a file":       {in.file, "up --dir=" + in.file + "/state --gateway-listen=" + anyPort},
	}
}

// What cannot work is told in one line, with another exit code than 0, and
// leaves nothing behind.
func TestBadInputIsToldInOneLine(t *testing.T) {
	t.Parallel()
	requireBinary(t)
	dir := t.TempDir()
	in := makeBadInput(t, dir)
	before := tree(t, dir)
	for name, tt := range badCommands(in, t.TempDir()) {
		t.Run(name, func(t *testing.T) {
			p := start(t, strings.Fields(tt.line)...)
			p.wait(t)
			checkRefusal(t, p, tt.says)
		})
	}
	if after := tree(t, dir); !slices.Equal(after, before) {
		t.Errorf("files %q, were %q", after, before)
	}
}

// Root is not stopped by the mode of a directory: for it, TestBadInput has a
// directory below a file.
func TestUpInADirectoryOfOthers(t *testing.T) {
	t.Parallel()
	requireBinary(t)
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere")
	}
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o500))
	p := start(t, "up", "--dir="+dir, "--gateway-listen="+anyPort)
	p.wait(t)
	checkRefusal(t, p, dir)
}

// checkRefusal checks that picolet failed and said why, in one line.
func checkRefusal(t *testing.T, p *process, says string) {
	t.Helper()
	code := p.ProcessState.ExitCode()
	said := p.stderr.String()
	if code <= 0 || p.stdout.String() != "" || strings.Count(said, "\n") != 1 || !strings.HasPrefix(said, "picolet: ") || !strings.Contains(said, says) {
		t.Errorf("exit code %d, standard output %q, standard error %q; want a code over 0 and one line with %q", code, &p.stdout, said, says)
	}
}

// tree lists the files below dir.
func tree(t *testing.T, dir string) (files []string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		files = append(files, path)
		return err
	}))
	return files
}

func TestUpOnAFullDisk(t *testing.T) {
	t.Parallel()
	requireBinary(t)
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("a small file system can be mounted by root only: %v: %s", err, bytes.TrimSpace(out))
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	p := start(t, "up", "--dir="+dir, "--gateway-listen="+anyPort)
	p.wait(t)
	checkRefusal(t, p, "not enough space")
	if files := tree(t, dir); len(files) != 1 {
		t.Errorf("files were left: %q", files)
	}
}
