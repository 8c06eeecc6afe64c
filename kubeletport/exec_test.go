// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	protocols "k8s.io/apimachinery/pkg/util/remotecommand"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	clientexec "k8s.io/client-go/util/exec"

	"github.com/picolet/picolet/board"
)

// executors are the ways by which clients run commands.
var executors = map[string]func(*rest.Config, string) (remotecommand.Executor, error){
	"SPDY": func(c *rest.Config, u string) (remotecommand.Executor, error) {
		target, err := url.Parse(u)
		if err != nil {
			return nil, err
		}
		return remotecommand.NewSPDYExecutor(c, http.MethodPost, target)
	},
	"WebSocket v5": func(c *rest.Config, u string) (remotecommand.Executor, error) {
		return remotecommand.NewWebSocketExecutor(c, http.MethodGet, u)
	},
	"WebSocket v4": func(c *rest.Config, u string) (remotecommand.Executor, error) {
		return remotecommand.NewWebSocketExecutorForProtocols(c, http.MethodGet, u, protocols.StreamProtocolV4Name)
	},
}

func (h *harness) restConfig(token string) *rest.Config {
	return &rest.Config{Host: "https://" + h.addr(), BearerToken: token, TLSClientConfig: rest.TLSClientConfig{Insecure: true}}
}

// execURL is the path of a command with its streams.
func (h *harness) execURL(streams string, argv ...string) string {
	q, err := url.ParseQuery(streams)
	if err != nil {
		panic(err)
	}
	q["command"] = argv
	return "https://" + h.addr() + "/exec" + podPath + "?" + q.Encode()
}

func TestExec(t *testing.T) {
	t.Parallel()
	for name, executor := range executors {
		b, hardware := startKubelet(t) // its limit of requests is one client's
		h := startServer(t, b, nil)
		for _, tt := range []struct {
			argv           []string
			stdout, stderr string
			code           int
		}{
			{[]string{"status"}, "{\n  \"node\": {\n    \"name\": \"pico-1\"", "", 0},
			{[]string{"memory", "16", "17"}, "0010  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00\n0020  00\n", "", 0},
			{[]string{"memory", "0", "0"}, "", "", 0},
			{[]string{"memory", "2000"}, "", "must lie within the 1024 bytes", 1},
			{[]string{"memory", "0x10", "0X11"}, "0010  00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00\n0020  00\n", "", 0},
			{[]string{"memory", "010", "1"}, "000a  00\n", "", 0},
			{[]string{"memory", "x"}, "", "usage: memory [OFFSET [LENGTH]]\n", 2},
			{[]string{"memory", "0x"}, "", "usage: memory", 2},
			{[]string{"memory", "-1"}, "", "usage: memory", 2},
			{[]string{"set_pin", "3", "HIGH"}, "", "", 0},
			{[]string{"gpio", "3"}, "HIGH\n", "", 0},
			{[]string{"gpio"}, "\n3 HIGH\n", "", 0},
			{[]string{"set_pin", "pin_4", "PWM:0x80"}, "", "", 0},
			{[]string{"gpio", "pin_4"}, "PWM:128\n", "", 0},
			{[]string{"gpio", "77"}, "", "the board has no such pin\n", 1},
			{[]string{"gpio", "99999"}, "", "the board has no such pin\n", 1},
			{[]string{"gpio", "x"}, "", "usage: gpio [PIN]\n", 2},
			{[]string{"gpio", "write", "3"}, "", "usage: gpio [PIN]\n", 2},
			{[]string{"set_pin", "3", "PWM:999"}, "", "duty cycle out of range, want PWM:0-255\n", 1},
			{[]string{"set_pin", "3", "UP"}, "", "unknown pin mode, want HIGH, LOW or PWM:0-255\n", 1},
			{[]string{"set_pin", "77", "LOW"}, "", "the board has no such pin\n", 1},
			{[]string{"set_pin", "x", "HIGH"}, "", "usage: set_pin PIN HIGH|LOW|PWM:0-255\n", 2},
			{[]string{"set_pin", "3"}, "", "usage: set_pin", 2},
			{[]string{"blink_led", "1", "20"}, "", "", 0},
			{[]string{"blink_led", "0"}, "", "count must be 1 to 100\n", 1},
			{[]string{"blink_led", "1", "2"}, "", "interval_ms must be 20 to 10000\n", 1},
			{[]string{"blink_led", "1", "2", "3"}, "", "usage: blink_led [COUNT [INTERVAL_MS]]\n", 2},
			{[]string{"help"}, "\n  reboot                           reboot the board\n", "", 0},
			{[]string{"sh", "-c", "ls"}, "", `"sh -c ls": no such command: a board runs no programs`, 127},
			{[]string{"tar", "cf", "-", "/etc"}, "", "files cannot be copied to or from a board", 127},
			{[]string{""}, "", "no such command", 127},
			{[]string{"status", "now"}, "", "usage: status\n", 2},
			{[]string{"reboot", "now"}, "", "usage: reboot\n", 2},

			{[]string{"gpio", "set", "3", "HIGH"}, "", "", 0}, // as they were called once
			{[]string{"gpio", "read", "3"}, "HIGH\n", "", 0},
			{[]string{"gpio", "read"}, "\n3 HIGH\n", "", 0},
			{[]string{"blink", "1", "20"}, "", "", 0},
		} {
			stdout, stderr, code := h.exec(t, executor, tt.argv, false)
			if code != tt.code || !strings.Contains(stdout, tt.stdout) || !strings.Contains(stderr, tt.stderr) || (stderr == "") != (tt.stderr == "") {
				t.Errorf("%s %q: exit code %d\n%s\n%s\nwant %d\n%s\n%s", name, tt.argv, code, stdout, stderr, tt.code, tt.stdout, tt.stderr)
			}
		}
		if stdout, _, code := h.exec(t, executor, []string{"set_pin", "nonsense"}, true); code != 2 || !strings.HasSuffix(stdout, "PWM:0-255\r\n") {
			t.Errorf("%s on a terminal: exit code %d, %q", name, code, stdout)
		}
		if s, err := hardware.Pin(3); err != nil || s.Mode != board.PinHigh {
			t.Errorf("pin 3 is %v, %v", s, err)
		}
	}
}

// exec runs a command, with input that it does not read.
func (h *harness) exec(t *testing.T, by func(*rest.Config, string) (remotecommand.Executor, error), argv []string, tty bool) (string, string, int) {
	t.Helper()
	streams := "input=1&output=1&error=1"
	if tty {
		streams = "input=1&output=1&tty=1"
	}
	x, err := by(h.restConfig("good"), h.execURL(streams, argv...))
	must(t, err)
	var stdout, stderr bytes.Buffer
	o := remotecommand.StreamOptions{Stdin: strings.NewReader("never read\n"), Stdout: &stdout, Tty: tty}
	if !tty {
		o.Stderr = &stderr
	}
	err = x.StreamWithContext(t.Context(), o)
	if exit := (clientexec.CodeExitError{}); errors.As(err, &exit) {
		return stdout.String(), stderr.String(), exit.Code
	}
	must(t, err)
	return stdout.String(), stderr.String(), 0
}

// A command on a board that is away fails, and says why.
func TestExecWithoutABoard(t *testing.T) {
	t.Parallel()
	b := startLogBoard(t)
	b.away = true
	h := startServer(t, b, nil)
	for name, executor := range executors {
		if _, stderr, code := h.exec(t, executor, []string{"status"}, false); code != 1 || !strings.Contains(stderr, "the board of node pico-1 does not answer") {
			t.Errorf("%s: exit code %d, %s", name, code, stderr)
		}
	}
}

// Who may read may not run commands, by whatever protocol.
func TestExecNeedsTheRightToCreate(t *testing.T) {
	t.Parallel()
	b := startBoard(t, okBoard)
	h := startServer(t, b, nil)
	h.cluster.may = func(a authorizationv1.ResourceAttributes) bool { return a.Verb == "get" }
	for name, executor := range executors {
		x, err := executor(h.restConfig("good"), h.execURL("output=1&error=1", "reboot"))
		must(t, err)
		if err := x.StreamWithContext(t.Context(), remotecommand.StreamOptions{Stdout: io.Discard, Stderr: io.Discard}); err == nil || !strings.Contains(err.Error(), "may not create") && !strings.Contains(err.Error(), "403") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if seen := b.requests(); len(seen) > 0 {
		t.Errorf("the board was asked %q", seen)
	}
}

// Input that commands do not read does not pile up: beyond a limit it ends the
// connection.
func TestExecBoundsItsInput(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	h := startServer(t, startBoard(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}), nil)
	defer close(release)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for name, executor := range executors {
		x, err := executor(h.restConfig("good"), h.execURL("input=1&output=1&error=1", "status"))
		must(t, err)
		endless := &countingReader{}
		// A client takes a connection that ends for the end of the command.
		_ = x.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: endless, Stdout: io.Discard, Stderr: io.Discard})
		if endless.n > 32<<20 { // what the buffers of TCP take, many times
			t.Errorf("%s: took %d bytes of input", name, endless.n)
		}
	}
	eventually(t, "the connections end", func() bool { return h.connections.Load() == 0 })
}

// TestExecEndsWhenItsClientIsGone: the board is not kept busy for nobody.
func TestExecEndsWhenItsClientIsGone(t *testing.T) {
	t.Parallel()
	asked, ended := make(chan struct{}), make(chan struct{})
	h := startServer(t, startBoard(t, func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
		ended <- struct{}{}
	}), nil)
	for name, executor := range executors {
		for _, streams := range []string{"output=1&error=1", "input=1&output=1&error=1"} {
			for _, dies := range []bool{false, true} {
				addr, cut := relay(t, h.addr())
				x, err := executor(h.restConfig("good"), strings.Replace(h.execURL(streams, "status"), h.addr(), addr, 1))
				must(t, err)
				ctx, leave := context.WithCancel(t.Context())
				o := remotecommand.StreamOptions{Stdout: io.Discard, Stderr: io.Discard}
				if strings.Contains(streams, "input") {
					o.Stdin, _ = io.Pipe() // of a user who types nothing
				}
				go func() { _ = x.StreamWithContext(ctx, o) }()
				<-asked
				if dies {
					cut()
				}
				leave()
				began := time.Now()
				<-ended
				if d := time.Since(began); d > boardTimeout/2 {
					t.Errorf("%s, %s, dies %v: the board was asked for %v after its client had gone", name, streams, dies, d)
				}
			}
		}
	}
}

// relay passes one connection on to addr, until it is cut.
func relay(t *testing.T, addr string) (listening string, cut func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	far, err := net.Dial("tcp", addr)
	must(t, err)
	go func() {
		near, err := l.Accept()
		if err != nil {
			return
		}
		go func() { _, _ = io.Copy(far, near) }()
		_, _ = io.Copy(near, far)
		_ = near.Close()
	}()
	return l.Addr().String(), func() { _ = far.Close() }
}

// countingReader gives bytes without end.
type countingReader struct{ n int }

func (r *countingReader) Read(p []byte) (int, error) {
	r.n += len(p)
	return len(p), nil
}

func TestExecWithBadUpgrades(t *testing.T) {
	t.Parallel()
	b := startBoard(t, okBoard)
	h := startServer(t, b, nil)
	client := h.client(t, nil)
	key := base64.StdEncoding.EncodeToString(make([]byte, 16))
	webSocket := []string{"Upgrade", "websocket", "Connection", "Upgrade", "Sec-Websocket-Version", "13", "Sec-Websocket-Key", key}
	for _, tt := range []struct {
		name, path string
		headers    []string
	}{
		{"no upgrade", "/exec" + podPath + "?command=status&output=1", nil},
		{"no streams", "/exec" + podPath + "?command=status", webSocket},
		{"unknown WebSocket protocol", "/exec" + podPath + "?command=status&output=1", append([]string{"Sec-Websocket-Protocol", "v9.channel.k8s.io"}, webSocket...)},
		{"unknown SPDY protocol", "/exec" + podPath + "?command=status&output=1", []string{"Upgrade", "SPDY/3.1", "Connection", "Upgrade", "X-Stream-Protocol-Version", "v9.channel.k8s.io"}},
		{"h2c", "/exec" + podPath + "?command=status&output=1", []string{"Upgrade", "h2c", "Connection", "Upgrade"}},
		{"another pod", "/exec/kube-system/picolet-pico-2/firmware?command=status&output=1", webSocket},
	} {
		r := ask(t, client, "GET", tt.path, "", append([]string{"Authorization", "Bearer good"}, tt.headers...)...)
		if r.code < 400 || r.code > 404 {
			t.Errorf("%s: %d %s", tt.name, r.code, r.body)
		}
	}
	if seen := b.requests(); len(seen) > 0 {
		t.Errorf("the board was asked %q", seen)
	}
}
