// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/picolet/picolet/cluster"
)

// limit is how long a test waits for what must happen.
const limit = 20 * time.Second

const fakeURL = "https://127.0.0.1:6443"

// TestMain lets the test binary stand in for picolet-controlplane, and for a program
// that starts one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		os.Exit(fakeControlPlane(os.Args[1:]))
	}
	if dir := os.Getenv("CLUSTER_TEST_LAUNCHER"); dir != "" {
		os.Exit(launcher(dir))
	}
	os.Exit(m.Run())
}

// value returns what follows a flag.
func value(args []string, flag string) string {
	if i := slices.Index(args, flag); i >= 0 && i+1 < len(args) {
		return args[i+1]
	}
	return ""
}

// fakeControlPlane behaves as its --apiserver-arg says.
func fakeControlPlane(args []string) int {
	dir := value(args, "--dir")
	behaviour := value(args, "--apiserver-arg")
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	if err := os.WriteFile(filepath.Join(dir, "args"), []byte(strings.Join(args, "\n")), 0o600); err != nil {
		return 9
	}
	switch behaviour {
	case "refuse":
		fmt.Fprintln(os.Stderr, "I0102 15:04:05.000000       1 a.go:1] information")
		fmt.Fprintln(os.Stderr, "picolet-controlplane: port 6443 is in use")
		return 1
	case "panic":
		fmt.Fprintln(os.Stderr, "E0102 15:04:05.000000       1 a.go:1] cannot go on")
		for range 2000 {
			fmt.Fprintln(os.Stderr, "I0102 15:04:05.000000       1 a.go:1] information")
		}
		fmt.Fprintln(os.Stderr, "panic: no memory")
		return 2
	case "never":
	default:
		fmt.Print("warming up\nread")
		fmt.Print("y " + fakeURL + "\nmore\n")
	}
	if behaviour == "die" {
		return 7
	}
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	for {
		select {
		case <-ended:
			_ = os.WriteFile(filepath.Join(dir, "parent-gone"), nil, 0o600)
			return 0
		case <-signals:
			if behaviour != "deaf" {
				return 0
			}
		}
	}
}

// launcher starts a fake control plane, says so and waits to be killed.
func launcher(dir string) int {
	self, err := os.Executable()
	if err != nil {
		return 1
	}
	if _, err := cluster.Start(context.Background(), cluster.Options{Binary: self, Dir: dir}); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("started")
	select {}
}

func fake(t *testing.T, behaviour string) cluster.Options {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return cluster.Options{Binary: self, Dir: filepath.Join(t.TempDir(), "state"), APIServerArgs: []string{behaviour}, StartTimeout: limit}
}

func start(t *testing.T, o cluster.Options) *cluster.Cluster {
	t.Helper()
	c, err := cluster.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Kill)
	return c
}

// waitDone waits for the end of the process.
func waitDone(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	select {
	case <-c.Done():
	case <-time.After(limit):
		t.Fatal("the process still runs")
	}
}

func isDone(c *cluster.Cluster) bool {
	select {
	case <-c.Done():
		return true
	default:
		return false
	}
}

func TestStartPassesOptionsAndStopEndsIt(t *testing.T) {
	t.Parallel()
	o := fake(t, "ok")
	o.Datastore, o.Address, o.Port = cluster.Memory, "127.0.0.2", 7443
	o.ControllerManagerArgs, o.SchedulerArgs = []string{"a=1", "b=2"}, []string{"c=3"}
	c := start(t, o)
	if c.URL() != fakeURL {
		t.Errorf("URL %q, want %q", c.URL(), fakeURL)
	}
	got, err := os.ReadFile(filepath.Join(o.Dir, "args"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"serve", "--exit-with-parent", "--dir", o.Dir, "--port", "7443", "--datastore", "memory", "--address", "127.0.0.2",
		"--apiserver-arg", "ok", "--controller-manager-arg", "a=1", "--controller-manager-arg", "b=2", "--scheduler-arg", "c=3"}
	if !slices.Equal(strings.Split(string(got), "\n"), want) {
		t.Errorf("arguments\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	if isDone(c) || c.Err() != nil {
		t.Fatal("ended before it was stopped")
	}
	for range 2 {
		if err := c.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if !isDone(c) || c.Err() != nil {
		t.Errorf("after Stop: done %v, err %v", isDone(c), c.Err())
	}
}

func TestStartMakesKubectl(t *testing.T) {
	t.Parallel()
	o := fake(t, "ok")
	c := start(t, o)
	if target, err := os.Readlink(c.Kubectl()); err != nil || target != o.Binary {
		t.Errorf("kubectl leads to %q, %v", target, err)
	}
	if want := filepath.Join(o.Dir, "admin.kubeconfig"); c.AdminKubeconfig() != want {
		t.Errorf("kubeconfig %q, want %q", c.AdminKubeconfig(), want)
	}
}

func TestStartFailures(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*cluster.Options)
		want   []string
		not    string
	}{
		"says why":        {func(o *cluster.Options) { o.APIServerArgs = []string{"refuse"} }, []string{"port 6443 is in use", "exit status 1"}, "information"},
		"crashes":         {func(o *cluster.Options) { o.APIServerArgs = []string{"panic"} }, []string{"panic: no memory", "exit status 2"}, "information"},
		"never ready":     {func(o *cluster.Options) { o.APIServerArgs, o.StartTimeout = []string{"never"}, time.Millisecond }, []string{"not ready after 1ms"}, ""},
		"no binary":       {func(o *cluster.Options) { o.Binary = "" }, []string{"Find or Build"}, ""},
		"missing binary":  {func(o *cluster.Options) { o.Binary += "-missing" }, []string{"make controlplane"}, ""},
		"no directory":    {func(o *cluster.Options) { o.Dir = "" }, []string{"no directory"}, ""},
		"bad directory":   {func(o *cluster.Options) { o.Dir = os.DevNull + "/x" }, []string{"you may write"}, ""},
		"negative limit":  {func(o *cluster.Options) { o.StartTimeout = -1 }, []string{"negative"}, ""},
		"no such program": {func(o *cluster.Options) { o.Binary = os.DevNull }, []string{"make controlplane"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := fake(t, "ok")
			tt.change(&o)
			c, err := cluster.Start(t.Context(), o)
			if err == nil {
				c.Kill()
				t.Fatal("started")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q lacks %q", err, want)
				}
			}
			if tt.not != "" && strings.Contains(err.Error(), tt.not) {
				t.Errorf("error %q holds %q", err, tt.not)
			}
		})
	}
}

func TestStartCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o := fake(t, "never")
	if _, err := cluster.Start(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

func TestEndByItself(t *testing.T) {
	t.Parallel()
	c := start(t, fake(t, "die"))
	waitDone(t, c)
	if err := c.Err(); err == nil || !strings.Contains(err.Error(), "exit status 7") {
		t.Errorf("error %v, want exit status 7", err)
	}
	if err := c.Stop(t.Context()); err != nil {
		t.Errorf("Stop after the end: %v", err)
	}
}

func TestKill(t *testing.T) {
	t.Parallel()
	c := start(t, fake(t, "deaf"))
	c.Kill()
	if !isDone(c) || c.Err() != nil {
		t.Errorf("after Kill: done %v, err %v", isDone(c), c.Err())
	}
}

func TestStopKillsWhatDoesNotListen(t *testing.T) {
	t.Parallel()
	c := start(t, fake(t, "deaf"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	if !isDone(c) {
		t.Error("still runs")
	}
}

func TestRestart(t *testing.T) {
	t.Parallel()
	c := start(t, fake(t, "ok"))
	for _, end := range []func(){func() {}, c.Kill} {
		end()
		before := c.Done()
		if err := c.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		select {
		case <-before:
		default:
			t.Error("the process before still runs")
		}
		if isDone(c) || c.URL() != fakeURL {
			t.Errorf("after Restart: done %v, URL %q", isDone(c), c.URL())
		}
	}
}

func TestNoOrphanWhenTheLauncherIsKilled(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "CLUSTER_TEST_LAUNCHER="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, len("started\n"))
	if _, err := io.ReadFull(out, line); err != nil || string(line) != "started\n" {
		t.Errorf("launcher says %q, %v", line, err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	for deadline := time.Now().Add(limit); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, "parent-gone")); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the control plane outlived its launcher")
		}
	}
}

func TestLog(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		old  int64
		kept bool
	}{"small log is kept": {1 << 20, true}, "large log is dropped": {17 << 20, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := fake(t, "refuse")
			log := filepath.Join(o.Dir, "controlplane.log")
			if err := os.MkdirAll(o.Dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(log, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(log, tt.old); err != nil {
				t.Fatal(err)
			}
			if _, err := cluster.Start(t.Context(), o); err == nil {
				t.Fatal("started")
			}
			info, err := os.Stat(log)
			if err != nil {
				t.Fatal(err)
			}
			if info.Size() == 0 || (info.Size() > tt.old) != tt.kept {
				t.Errorf("log of %d bytes became %d", tt.old, info.Size())
			}
		})
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestLogThatCannotBeWrittenIsNoFailure(t *testing.T) {
	t.Parallel()
	o := fake(t, "panic")
	o.Log = failingWriter{}
	_, err := cluster.Start(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "panic: no memory") {
		t.Errorf("error %v, want the end of the log", err)
	}
}
