// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/picolet/picolet/cluster"
	"github.com/picolet/picolet/deploy"
	"github.com/picolet/picolet/netns"
)

// kubeletAddress is where clients reach kubelet ports.
func kubeletAddress(tb testing.TB) netip.Addr {
	tb.Helper()
	return netns.Address()
}

// freePort finds a port of an address that stays free for a program to listen
// on: it is neither one that the system gives away nor one for kubelet ports.
func freePort(tb testing.TB, a netip.Addr) netip.AddrPort {
	tb.Helper()
	for range 100 {
		at := netip.AddrPortFrom(a, uint16(10_000+rand.IntN(10_000)))
		if l, err := net.Listen("tcp", at.String()); err == nil {
			must(tb, l.Close())
			return at
		}
	}
	tb.Fatal("no free port")
	return netip.AddrPort{}
}

// startKubeletPlane starts a control plane for tests of kubelet ports. One that
// signs gives kubelets the certificates they ask for, and its API server takes no
// others; else kubelets have certificates that nobody can check.
func startKubeletPlane(t *testing.T, signs bool) *plane {
	t.Helper()
	p := &plane{dir: t.TempDir()}
	o := cluster.Options{Binary: requireBinary(t).Path, Dir: filepath.Join(p.dir, "plane"), Datastore: cluster.Memory}
	if signs {
		o.APIServerArgs = []string{"kubelet-certificate-authority=" + p.ca()}
	} else {
		o.ControllerManagerArgs = []string{"controllers=*,-certificatesigningrequest-signing-controller"}
	}
	var err error
	p.Cluster, err = cluster.Start(t.Context(), o)
	must(t, err)
	t.Cleanup(p.Kill)
	must(t, p.prepare(t.Context()))
	for _, manifests := range [][]byte{deploy.Devices, deploy.Enrolment, deploy.KubeletPort, deploy.Admission} {
		must(t, deploy.Apply(t.Context(), p.config, manifests))
	}
	return p
}

// ca is the file of the cluster's CA, which signs the certificates of kubelets.
func (p *plane) ca() string { return filepath.Join(p.dir, "plane", "pki", "ca.crt") }

// token makes a token for a ServiceAccount.
func (p *plane) token(t *testing.T, namespace, account string) string {
	t.Helper()
	hour := int64(time.Hour.Seconds())
	r, err := p.client.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), account,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &hour}}, metav1.CreateOptions{})
	must(t, err)
	return r.Status.Token
}

// kubeconfig writes what a ServiceAccount outside of a pod needs.
func (p *plane) kubeconfig(t *testing.T, file, namespace, account string) {
	t.Helper()
	must(t, clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"c": {Server: p.URL(), CertificateAuthority: p.ca()}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"u": {Token: p.token(t, namespace, account)}},
		Contexts:       map[string]*clientcmdapi.Context{"x": {Cluster: "c", AuthInfo: "u"}},
		CurrentContext: "x",
	}, file))
}

// runTool runs a program until the test ends; if it ends before, the test fails.
func runTool(t *testing.T, path string, args ...string) *logBuffer {
	t.Helper()
	log := new(logBuffer)
	ctx, cancel := context.WithCancel(context.Background())
	c := exec.CommandContext(ctx, path, args...)
	c.Stdout, c.Stderr = log, log
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 10 * time.Second
	must(t, c.Start())
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	t.Cleanup(func() {
		select {
		case err := <-ended:
			t.Errorf("%s ended by itself: %v", filepath.Base(path), err)
		default:
			cancel()
			<-ended
		}
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(path), log)
		}
	})
	return log
}
