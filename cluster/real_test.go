// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/picolet/picolet/cluster"
)

// realBinary returns the control plane itself. It is built where CI=true or
// PICOLET_E2E=1; elsewhere a test is skipped rather than made to last minutes.
func realBinary(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a real control plane")
	}
	requireGo(t)
	source := filepath.Join("..", "controlplane")
	b, err := cluster.Find(t.Context(), cluster.FindOptions{Source: source})
	if errors.Is(err, cluster.ErrNotBuilt) {
		if os.Getenv("CI") != "true" && os.Getenv("PICOLET_E2E") != "1" {
			t.Skip(err)
		}
		next := time.Now()
		b, err = cluster.Build(t.Context(), cluster.BuildOptions{Source: source, Progress: func(done, total int) {
			if now := time.Now(); total > 0 && now.After(next) {
				next = now.Add(10 * time.Second)
				t.Logf("Building Kubernetes: %d of %d packages", done, total)
			}
		}})
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Path
}

// kubectl runs the control plane's kubectl as the administrator.
func kubectl(t *testing.T, c *cluster.Cluster, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, c.Kubectl(), append([]string{"--kubeconfig", c.AdminKubeconfig()}, args...)...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func mustKubectl(t *testing.T, c *cluster.Cluster, want string, args ...string) {
	t.Helper()
	out, err := kubectl(t, c, args...)
	if err != nil || out != want {
		t.Errorf("kubectl %s: %v\n%s\nwant\n%s", strings.Join(args, " "), err, out, want)
	}
}

func TestRealControlPlane(t *testing.T) {
	t.Parallel()
	binary := realBinary(t)
	for _, datastore := range []string{cluster.Memory, cluster.SQLite} {
		t.Run(datastore, func(t *testing.T) {
			t.Parallel()
			// A path too long for a unix socket, which holds about 104 bytes.
			dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 20))
			c := startReal(t, cluster.Options{Binary: binary, Dir: dir, Datastore: datastore})
			url := c.URL()
			t.Run("is Kubernetes with its controllers", func(t *testing.T) { checkControllers(t, c) })
			t.Run("confines nodes and the API server", func(t *testing.T) { checkRights(t, c) })
			t.Run("keeps its directory to itself", func(t *testing.T) { checkExclusive(t, binary, dir) })
			mustKubectl(t, c, "configmap/kept created", "create", "configmap", "kept", "--from-literal=a=1")

			for _, end := range []func(){func() {}, c.Kill} { // in order, and as by a crash
				end()
				checkRestart(t, c, datastore)
			}
			if c.URL() != url {
				t.Errorf("URL %s after the restart, %s before", c.URL(), url)
			}
			if err := c.Stop(t.Context()); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Join(dir, "controlplane.log")); err != nil {
				t.Error(err)
			}
		})
	}
}

func checkRestart(t *testing.T, c *cluster.Cluster, datastore string) {
	t.Helper()
	if err := c.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	out, err := kubectl(t, c, "get", "configmap", "kept", "--output=jsonpath={.data.a}")
	if datastore == cluster.SQLite && (err != nil || out != "1") {
		t.Errorf("after the restart: %q, %v", out, err)
	}
	if datastore == cluster.Memory && !strings.Contains(out, "NotFound") {
		t.Errorf("memory kept %q over a restart", out)
	}
}

func startReal(t *testing.T, o cluster.Options) *cluster.Cluster {
	t.Helper()
	c, err := cluster.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Kill)
	return c
}

// checkControllers shows that an object travels through API server, controllers and
// scheduler: with no node, a pod of a Deployment is made and found unschedulable.
func checkControllers(t *testing.T, c *cluster.Cluster) {
	mustKubectl(t, c, "deployment.apps/web created", "create", "deployment", "web", "--image=example.com/web")
	mustKubectl(t, c, "pod/"+podName(t, c)+" condition met", "wait", "pod", "--selector=app=web", "--for=condition=PodScheduled=false", "--timeout=30s")
}

func podName(t *testing.T, c *cluster.Cluster) string {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		name, err := kubectl(t, c, "get", "pods", "--selector=app=web", "--output=jsonpath={.items[*].metadata.name}")
		if err == nil && name != "" {
			return name
		}
		if time.Now().After(deadline) {
			t.Fatalf("no pod of the deployment: %q, %v", name, err)
		}
	}
}

func checkRights(t *testing.T, c *cluster.Cluster) {
	node := []string{"--as=system:node:a", "--as-group=system:nodes"}
	apiServer := []string{"--as=kube-apiserver-kubelet-client"}
	for _, tt := range []struct {
		want     string
		who      []string
		question []string
	}{
		{"no", node, []string{"list", "secrets"}},
		{"no", node, []string{"get", "configmap/kept"}},
		{"yes", node, []string{"create", "nodes"}},
		{"yes", apiServer, []string{"get", "nodes/proxy"}},
		{"no", apiServer, []string{"list", "secrets"}},
	} {
		// kubectl exits with 1 when the answer is no, and may add the reason.
		out, err := kubectl(t, c, append(append([]string{"auth", "can-i"}, tt.question...), tt.who...)...)
		lines := strings.Split(out, "\n")
		if answer, _, _ := strings.Cut(lines[len(lines)-1], " "); answer != tt.want {
			t.Errorf("may %v %v? %q, %v, want %s", tt.who, tt.question, out, err, tt.want)
		}
	}
	manifest := filepath.Join(t.TempDir(), "node.json")
	for name, want := range map[string]string{"a": "node/a created", "b": `node "a" is not allowed to modify node "b"`} {
		write(t, manifest, `{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "`+name+`"}}`)
		out, err := kubectl(t, c, append([]string{"create", "-f", manifest}, node...)...)
		if !strings.Contains(out, want) {
			t.Errorf("node a creates node %s: %q, %v, want %q", name, out, err, want)
		}
	}
	checkAnonymous(t, c)
}

// checkAnonymous shows that who brings no credentials gets nothing.
func checkAnonymous(t *testing.T, c *cluster.Cluster) {
	client := &http.Client{
		Timeout:   time.Minute,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
	}
	for _, path := range []string{"/api/v1/nodes", "/version", "/readyz"} {
		resp, err := client.Get(c.URL() + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s without credentials: %s, want 401", path, resp.Status)
		}
	}
}

// checkExclusive shows that a second control plane on the same directory says so.
func checkExclusive(t *testing.T, binary, dir string) {
	second, err := cluster.Start(t.Context(), cluster.Options{Binary: binary, Dir: dir})
	if err == nil {
		second.Kill()
		t.Fatal("a second control plane started in the same directory")
	}
	if !strings.Contains(err.Error(), "in use by another control plane") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %q, want one line on the directory", err)
	}
}
