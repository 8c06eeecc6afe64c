// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/picolet/picolet/cluster"
)

// kubectlLines are the versions of kubectl that must work.
var kubectlLines = []string{"1.36", "1.37"}

// kubectls finds the paths of all kubectls, by line. Where a control plane was
// given by its path, there is only its own.
func kubectls(t *testing.T) map[string]string {
	t.Helper()
	if b := requireBinary(t); os.Getenv(cluster.BinaryEnv) != "" {
		return map[string]string{"of the control plane": filepath.Join(filepath.Dir(b.Path), "kubectl")}
	}
	found := make(map[string]string)
	for _, line := range kubectlLines {
		b, err := cluster.Find(t.Context(), cluster.FindOptions{Source: filepath.Join("..", "controlplane"), Version: line})
		if errors.Is(err, cluster.ErrNotBuilt) && os.Getenv("CI") != "true" {
			t.Logf("kubectl %s is not tried: run `make controlplane KUBERNETES=%[1]s`", line)
			continue
		}
		if err != nil {
			t.Fatalf("kubectl %s: %v (KUBERNETES=%[1]s)", line, err)
		}
		found[line] = filepath.Join(filepath.Dir(b.Path), "kubectl")
	}
	return found
}

// kubectlRun is a run of kubectl, and what must come of it.
type kubectlRun struct {
	args   string // divided by blanks
	stdout string // regular expression of all of it
	stderr string // regular expression of a part
	code   int
}

// kubectlUser uses one kubectl as the administrator, about one node.
type kubectlUser struct {
	plane *plane
	path  string
	node  string
	env   []string
}

// checkKubectl tries all that kubectl must do with a Ready node that came
// through a gateway with kubelet ports, in a cluster with a metrics-server.
func checkKubectl(t *testing.T, p *plane, kubectl, node string) {
	t.Helper()
	u := &kubectlUser{plane: p, path: kubectl, node: node}
	u.waitPod(t)
	t.Run("get", u.get)
	t.Run("describe", u.describe)
	t.Run("logs", u.logs)
	t.Run("logs since", u.logsSince)
	t.Run("logs follow", u.logsFollow)
	for protocol, use := range map[string]string{"WebSocket": "true", "SPDY": "false"} {
		t.Run("exec by "+protocol, func(t *testing.T) {
			by := *u
			by.env = []string{"KUBECTL_REMOTE_COMMAND_WEBSOCKETS=" + use}
			by.exec(t, protocol)
		})
	}
	t.Run("proxy", u.proxy)
	t.Run("top", u.top)
}

// command is a command of kubectl. In args, NODE is the node, POD its pod.
func (u *kubectlUser) command(ctx context.Context, args string) *exec.Cmd {
	fields := strings.Fields(strings.NewReplacer(
		"NODE", u.node, "POD", "--namespace=kube-system picolet-"+u.node,
	).Replace(args))
	c := exec.CommandContext(ctx, u.path, fields...)
	c.Env = append(append(os.Environ(), "KUBECONFIG="+u.plane.AdminKubeconfig(), "HOME="+u.plane.dir), u.env...)
	return c
}

// run returns what kubectl printed, and its exit code.
func (u *kubectlUser) run(ctx context.Context, args string) (stdout, stderr string, code int, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	c := u.command(ctx, args)
	var out, told bytes.Buffer
	c.Stdout, c.Stderr = &out, &told
	if err = c.Run(); err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
			code, err = exit.ExitCode(), nil
		}
	}
	return out.String(), told.String(), code, err
}

// try runs kubectl and says how it differs from what must come of it.
func (u *kubectlUser) try(ctx context.Context, r kubectlRun) error {
	stdout, stderr, code, err := u.run(ctx, r.args)
	if err != nil {
		return fmt.Errorf("kubectl %s: %w", r.args, err)
	}
	want := strings.ReplaceAll(r.stdout, "NODE", regexp.QuoteMeta(u.node))
	if code != r.code || !regexp.MustCompile(`(?s)^(?:`+want+`)$`).MatchString(stdout) || !regexp.MustCompile(r.stderr).MatchString(stderr) {
		return fmt.Errorf("kubectl %s: exit code %d\n%s\n%s\nwant %d\n%s\n%s", r.args, code, stdout, stderr, r.code, want, r.stderr)
	}
	return nil
}

func (u *kubectlUser) check(t *testing.T, runs []kubectlRun) {
	t.Helper()
	for _, r := range runs {
		if err := u.try(t.Context(), r); err != nil {
			t.Error(err)
		}
	}
}

func (u *kubectlUser) eventually(t *testing.T, limit time.Duration, r kubectlRun) {
	t.Helper()
	eventually(t, limit, func(ctx context.Context) error { return u.try(ctx, r) })
}

// output is what a run of kubectl that must succeed printed.
func (u *kubectlUser) output(t *testing.T, args string) string {
	t.Helper()
	stdout, stderr, code, err := u.run(t.Context(), args)
	if err != nil || code != 0 {
		t.Fatalf("kubectl %s: exit code %d, %v\n%s", args, code, err, stderr)
	}
	return stdout
}

// waitPod waits until the pod of the firmware runs, and says what it logged
// when its node was Ready.
func (u *kubectlUser) waitPod(t *testing.T) {
	t.Helper()
	u.eventually(t, 30*time.Second, kubectlRun{"wait --for=condition=Ready --timeout=5s node/NODE", `node/NODE condition met\n`, "", 0})
	u.eventually(t, 30*time.Second, kubectlRun{"get pod POD --no-headers", `picolet-NODE +1/1 +Running +0 .*`, "", 0})
	u.eventually(t, 30*time.Second, kubectlRun{"logs POD", `.*msg="Node registered".*`, "", 0})
}

func (u *kubectlUser) get(t *testing.T) {
	address := regexp.QuoteMeta(kubeletAddress(t).String())
	u.check(t, []kubectlRun{
		{"get node NODE --no-headers", `NODE +Ready +<none> .*`, "", 0},
		{"get node NODE --no-headers -o wide", `NODE +Ready .* ` + address + ` .*`, "", 0},
		{"get node NODE -o jsonpath={.status.daemonEndpoints.kubeletEndpoint.Port}", `[0-9]{5}`, "", 0},
		{"get pods -A --field-selector=spec.nodeName=NODE --no-headers", `kube-system +picolet-NODE +1/1 .*`, "", 0},
		{"get pod POD -o jsonpath={.status.hostIP}", address, "", 0},
	})
}

func (u *kubectlUser) describe(t *testing.T) {
	u.check(t, []kubectlRun{
		{"describe node NODE", `Name: +NODE\n.*\n  Ready +True .*KubeletReady.*\n  InternalIP: .*\n  kube-system +picolet-NODE .*`, "", 0},
		{"describe pod POD", `Name: +picolet-NODE\n.*\nStatus: +Running\n.*\n  firmware:\n.*`, "", 0},
	})
}

// logLine is a record of the board's log.
const logLine = `(?:INFO|WARN|ERROR) msg=[^\n]*\n`

func (u *kubectlUser) logs(t *testing.T) {
	const stamp = `(?:20[0-9-]{8}T[0-9:.]+Z|\+[0-9.]+s) `
	u.check(t, []kubectlRun{
		{"logs POD", `INFO msg="Kubelet started"[^\n]*\n(?:` + logLine + `)+`, "", 0},
		{"logs POD -c firmware --tail=2", `(?:` + logLine + `){2}`, "", 0},
		{"logs POD --container=firmware --tail=1", logLine, "", 0},
		{"logs POD --all-containers --tail=1", logLine, "", 0},
		{"logs POD --tail=0", ``, "", 0},
		{"logs POD --tail=2 --timestamps", `(?:` + stamp + logLine + `){2}`, "", 0},
		{"logs POD --since=1h", `(?:` + logLine + `){2,}`, "", 0},
		{"logs POD --since-time=2100-01-01T00:00:00Z", ``, "", 0},
		{"logs POD --limit-bytes=8", `INFO msg`, "", 0},
		{"logs POD --prefix --tail=1", `\[pod/picolet-NODE/firmware\] ` + logLine, "", 0},
		{"logs POD --previous", ``, `a board keeps no log over a reboot`, 1},
		{"logs POD --container=other", ``, `container other is not valid`, 1},
		{"logs POD --since=1h --since-time=2100-01-01T00:00:00Z", ``, `at most one of .sinceTime. or .sinceSeconds. may be specified`, 1},
	})
}

// logsSince: a time in the midst of the log cuts it there, to the second.
func (u *kubectlUser) logsSince(t *testing.T) {
	var first, last time.Time
	eventually(t, 30*time.Second, func(context.Context) (err error) {
		u.output(t, "exec POD -- blink 1 20") // is logged
		if first, last, err = dates(u.output(t, "logs POD --timestamps")); err == nil && last.Equal(first) {
			err = errors.New("all records are of the same second")
		}
		return err
	})
	part := u.output(t, "logs POD --timestamps --since-time="+last.Format(time.RFC3339))
	if from, to, err := dates(part); err != nil || from.Before(last) || to.Before(last) {
		t.Errorf("since %v, kubectl shows records of %v to %v, %v:\n%s", last, from, to, err, part)
	}
}

// dates are the seconds of a log's first and last record that have a date: those
// from before the board knew the time may have none.
func dates(log string) (first, last time.Time, err error) {
	stamps := regexp.MustCompile(`(?m)^20\S+Z`).FindAllString(log, -1)
	if len(stamps) == 0 {
		return first, last, fmt.Errorf("no record has a date:\n%s", log)
	}
	first, err = time.Parse(time.RFC3339Nano, stamps[0])
	if err != nil {
		return first, last, err
	}
	last, err = time.Parse(time.RFC3339Nano, stamps[len(stamps)-1])
	return first.Truncate(time.Second), last.Truncate(time.Second), err
}

// logsFollow: what is logged while kubectl follows is shown as it comes.
func (u *kubectlUser) logsFollow(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := u.command(ctx, "logs POD -f --tail=0")
	out := new(logBuffer)
	c.Stdout, c.Stderr = out, out
	must(t, c.Start())
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	eventually(t, 45*time.Second, func(context.Context) error {
		u.output(t, "exec POD -- blink 1 20")
		if !strings.Contains(out.String(), `msg="Command carried out" command=blink_led`) {
			return fmt.Errorf("kubectl logs -f does not show the command; it says %q", out)
		}
		return nil
	})
	select {
	case err := <-ended:
		t.Errorf("kubectl logs -f ended by itself: %v\n%s", err, out)
	default:
		cancel()
		<-ended
	}
}

// execMethods are the methods by which a client asks for a stream.
var execMethods = map[string]string{"WebSocket": "GET", "SPDY": "POST"}

func (u *kubectlUser) exec(t *testing.T, protocol string) {
	asked := execMethods[protocol] + `"? .*/pods/picolet-` + u.node + `/exec\?`
	u.check(t, []kubectlRun{
		{"exec POD -v=6 -- status", `\{\n  "node": \{\n    "name": "NODE".*\}\n`, asked, 0},
		{"exec POD -- memory 0 17", `0000  (?:[0-9a-f]{2} ?){16} *[^\n]*\n0010  [0-9a-f]{2}[^\n]*\n`, "", 0},
		{"exec POD -- set_pin 15 PWM:7", ``, "", 0},
		{"exec POD -- gpio 15", `PWM:7\n`, "", 0},
		{"exec POD -i -t -- gpio 15", `PWM:7\r?\n`, "", 0},
		{"exec POD -c firmware -- set_pin 15 LOW", ``, "", 0},
		{"exec POD -- gpio 15", `LOW\n`, "", 0},
		{"exec POD -- set_pin 15 UP", ``, "want HIGH, LOW or PWM", 1},
		{"exec POD -- gpio x", ``, `usage: gpio \[PIN\]`, 2},
		{"exec POD -- blink_led 1 20", ``, "", 0},
		{"exec POD -- sh", ``, `"sh": no such command`, 127},
		{"exec POD -c other -- status", ``, `container other is not valid|container not found`, 1},
	})
}

func (u *kubectlUser) proxy(t *testing.T) {
	const proxy = "get --raw /api/v1/nodes/NODE/proxy"
	if kubeletAddress(t).IsLoopback() {
		t.Skip("the API server proxies to no loopback address")
	}
	u.check(t, []kubectlRun{
		{proxy + "/healthz", `ok`, "", 0},
		{proxy + "/metrics", `# HELP .*\npicolet_heartbeats_total [1-9].*`, "", 0},
		{proxy + "/metrics/resource", `.*\nnode_memory_working_set_bytes [1-9].*`, "", 0},
		{proxy + "/stats/summary", `\{"node":\{"nodeName":"NODE".*`, "", 0},
		{proxy + "/configz", `\{"kubeletconfig".*`, "", 0},
		{proxy + "/spec", `\{.*"num_cores":[12].*`, "", 0},
		{proxy + "/pods", `\{"kind":"PodList".*"name":"picolet-NODE".*`, "", 0},
		{proxy + "/pico/status", `\{.*"registered":true.*`, "", 0},
		{proxy + "/pico/memory?length=2", `.*"hex":"[0-9a-f]{4}".*`, "", 0},
		{proxy + "/logs", `.*msg="Node registered".*`, "", 0},
		{proxy + "/logs/", `.*msg="Node registered".*`, "", 0},
		{proxy + "/nowhere", ``, "does not serve the path", 1},
	})
}

// top needs two scrapes of metrics-server, which are 10 s apart.
func (u *kubectlUser) top(t *testing.T) {
	u.eventually(t, 90*time.Second, kubectlRun{"top node NODE --no-headers", `NODE +[0-9]+m +[0-9]+% +[0-9]+[KM]i +[0-9]+% *\n`, "", 0})
	u.eventually(t, 30*time.Second, kubectlRun{"top pod POD --no-headers", `picolet-NODE +[0-9]+m +[0-9]+[KM]i *\n`, "", 0})
	u.check(t, []kubectlRun{
		{"top pod POD --containers --no-headers", `picolet-NODE +firmware +[0-9]+m +[0-9]+[KM]i *\n`, "", 0},
	})
}
