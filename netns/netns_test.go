// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// exitEnv tells TestMain which exit code its tests shall have, instead of running
// them; hangEnv that they shall not end; goneEnv that the program shall be gone,
// so that it cannot be started once more.
const (
	exitEnv = "PICOLET_NETNS_TEST_EXIT"
	hangEnv = "PICOLET_NETNS_TEST_HANG"
	goneEnv = "PICOLET_NETNS_TEST_GONE"
)

func TestMain(m *testing.M) {
	if gone := os.Getenv(goneEnv); gone != "" {
		_ = os.Remove(gone) // a copy
	}
	if code, err := strconv.Atoi(os.Getenv(exitEnv)); err == nil && inside() {
		os.Exit(code)
	}
	if os.Getenv(hangEnv) != "" && inside() {
		fmt.Println(os.Getpid())
		select {} // until it is killed
	}
	os.Exit(Main(m))
}

func requireNamespace(t *testing.T) {
	t.Helper()
	if !inside() {
		t.Skip("this system allows no network namespace")
	}
}

// outside runs this test binary as if from a shell, with one more variable.
func outside(env string) *exec.Cmd {
	c := exec.Command(os.Args[0], "-test.run=^$")
	c.Env = append(os.Environ(), childEnv+"=", env)
	return c
}

func TestNamespaceHasLoopbackAndOneAddress(t *testing.T) {
	t.Parallel()
	requireNamespace(t)
	interfaces, err := net.Interfaces()
	if err != nil || len(interfaces) != 1 || interfaces[0].Flags&(net.FlagUp|net.FlagLoopback) != net.FlagUp|net.FlagLoopback {
		t.Fatalf("interfaces %v: %v", interfaces, err)
	}
	for _, a := range []string{"127.0.0.1", Address().String()} {
		l, err := net.Listen("tcp", net.JoinHostPort(a, "0"))
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.DialTimeout("tcp", l.Addr().String(), 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		_ = l.Close()
	}
	if Address().IsLoopback() {
		t.Errorf("address %v", Address())
	}
}

func TestNothingElseIsReached(t *testing.T) {
	t.Parallel()
	requireNamespace(t)
	c, err := net.DialTimeout("tcp", "198.51.100.1:80", 10*time.Second) // TEST-NET-2
	if !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("%v, %v", c, err)
	}
}

func TestExitCodeIsPassedOn(t *testing.T) {
	t.Parallel()
	requireNamespace(t)
	for _, want := range []int{0, 1, 7} {
		c := outside(fmt.Sprintf("%s=%d", exitEnv, want))
		if out, err := c.CombinedOutput(); c.ProcessState == nil || c.ProcessState.ExitCode() != want {
			t.Errorf("want exit code %d: %v\n%s", want, err, out)
		}
	}
}

func TestTestsDieWithTheirParent(t *testing.T) {
	t.Parallel()
	requireNamespace(t)
	c := outside(hangEnv + "=1")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 16)
	if n, err := out.Read(line); err != nil || n == 0 { // it runs
		t.Fatalf("%d bytes, %v", n, err)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := out.Read(line) // the child has the other end, too
		ended <- err
	}()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("the child goes on")
		}
	case <-time.After(30 * time.Second):
		t.Error("the child lives on")
	}
	_ = c.Wait() // killed
}

func TestRunsInPlaceOutsideOfCIOnly(t *testing.T) {
	t.Parallel()
	requireNamespace(t)
	for _, tt := range []struct {
		ci   string
		code int
		says string
	}{
		{"CI=", 0, "Tests run without a network of their own"},
		{"CI=true", 1, "run them as root, or allow user namespaces"},
	} {
		c := outside(tt.ci)
		c.Path = filepath.Join(t.TempDir(), "gone.test")
		if err := os.Link(os.Args[0], c.Path); err != nil {
			t.Fatal(err)
		}
		c.Env = append(c.Env, goneEnv+"="+c.Path)
		out, err := c.CombinedOutput()
		if c.ProcessState == nil || c.ProcessState.ExitCode() != tt.code || !strings.Contains(string(out), tt.says) {
			t.Errorf("%s: %v\n%s", tt.ci, err, out)
		}
	}
}
