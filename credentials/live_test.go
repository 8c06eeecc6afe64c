// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"bytes"
	"context"
	"crypto/x509"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"

	"github.com/picolet/picolet/cluster"
	"github.com/picolet/picolet/deploy"
)

// live is a real control plane, and the gateway's own credentials with the rights
// of certificates.yaml alone.
type live struct {
	admin *rest.Config
	own   *rest.Config
}

func startLive(t *testing.T) *live {
	t.Helper()
	binary, err := cluster.Find(t.Context(), cluster.FindOptions{})
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no control plane to test with: %v", err)
		}
		t.Skipf("needs a control plane, as `make test` builds: %v", err)
	}
	c, err := cluster.Start(t.Context(), cluster.Options{Binary: binary.Path, Dir: t.TempDir(), Datastore: cluster.Memory})
	must(t, err)
	t.Cleanup(c.Kill)
	l := new(live)
	l.admin, err = clientcmd.BuildConfigFromFlags("", c.AdminKubeconfig())
	must(t, err)
	must(t, deploy.Apply(t.Context(), l.admin, deploy.Namespace))
	must(t, deploy.Apply(t.Context(), l.admin, deploy.RBAC))
	must(t, deploy.Apply(t.Context(), l.admin, deploy.Certificates))
	token, err := kubernetes.NewForConfigOrDie(l.admin).CoreV1().ServiceAccounts("picolet-system").CreateToken(t.Context(), "picolet-gateway",
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](3600)}}, metav1.CreateOptions{})
	must(t, err)
	l.own = rest.AnonymousClientConfig(l.admin)
	l.own.BearerToken = token.Status.Token
	return l
}

func (l *live) pool(t *testing.T, change ...func(*Config)) *Pool {
	t.Helper()
	c := Config{Kubernetes: l.own}
	for _, f := range change {
		f(&c)
	}
	p, err := New(c)
	must(t, err)
	t.Cleanup(p.Close)
	return p
}

func held(t *testing.T, p *Pool, node string) *x509.Certificate {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	rt, err := p.Transport(ctx, node)
	must(t, err)
	return rt.(*holding).leaf
}

// TestLive is a certificate's life before the real API server and signer.
func TestLive(t *testing.T) {
	t.Parallel()
	l := startLive(t)
	start := time.Now()
	a := l.pool(t)
	first := held(t, a, "pico-1")
	t.Logf("a certificate took %v, valid %v", time.Since(start), first.NotAfter.Sub(first.NotBefore))
	if life := time.Until(first.NotAfter); life > 7*24*time.Hour || life < 6*24*time.Hour {
		t.Errorf("lifetime %v", life)
	}
	if restarted := l.pool(t); !held(t, restarted, "pico-1").Equal(first) {
		t.Error("another certificate after a restart")
	}
	later := l.pool(t, func(c *Config) { c.Now = func() time.Time { return time.Now().Add(155 * time.Hour) } }) // 92 % of 168 h
	if !held(t, later, "pico-1").Equal(first) {
		held(t, later, "pico-1") // was renewed at first sight already
	}
	limit := time.After(20 * time.Second)
	for held(t, later, "pico-1").Equal(first) {
		select {
		case <-limit:
			t.Fatal("not renewed")
		case <-time.After(10 * time.Millisecond):
		}
	}
	if held(t, l.pool(t), "pico-1").Equal(first) {
		t.Error("the renewed certificate is not in the Secret")
	}
	if code, body := ask(t, transport(t, a, "pico-1"), l.own.Host+"/api/v1/nodes/pico-2"); code != 403 || !strings.Contains(body, `system:node:pico-1`) {
		t.Errorf("another node: %d %s", code, body)
	}
	l.replicasAtOnce(t)
	l.otherRequests(t)
	must(t, a.Remove(t.Context(), "pico-1"))
	if _, err := kubernetes.NewForConfigOrDie(l.admin).CoreV1().Secrets(DefaultNamespace).Get(t.Context(), SecretPrefix+"pico-1", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the Secret after Remove: %v", err)
	}
}

func transport(t *testing.T, p *Pool, node string) *holding {
	t.Helper()
	held(t, p, node)
	rt, err := p.Transport(t.Context(), node)
	must(t, err)
	return rt.(*holding)
}

// replicasAtOnce: whoever is first, all use the certificate of the Secret.
func (l *live) replicasAtOnce(t *testing.T) {
	leaves := make([]*x509.Certificate, 4)
	var wg sync.WaitGroup
	for i := range leaves {
		p := l.pool(t)
		wg.Go(func() { leaves[i] = held(t, p, "pico-3") })
	}
	wg.Wait()
	for _, leaf := range leaves[1:] {
		if leaf == nil || !bytes.Equal(leaf.Raw, leaves[0].Raw) {
			t.Error("two replicas use two certificates")
		}
	}
}

// otherRequests: the rights see no request that they were not told the name of,
// and sign for no other signer.
func (l *live) otherRequests(t *testing.T) {
	requests := kubernetes.NewForConfigOrDie(l.own).CertificatesV1().CertificateSigningRequests()
	if _, err := requests.List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("lists signing requests: %v", err)
	}
	secrets := kubernetes.NewForConfigOrDie(l.own).CoreV1().Secrets(DefaultNamespace)
	if _, err := secrets.List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("lists Secrets: %v", err)
	}
	own, err := kubernetes.NewForConfigOrDie(l.admin).CertificatesV1().CertificateSigningRequests().List(t.Context(), metav1.ListOptions{})
	must(t, err)
	if len(own.Items) == 0 {
		t.Fatal("no signing request was made")
	}
	r := own.Items[0]
	r.Name, r.GenerateName, r.ResourceVersion, r.Status = "", "x-", "", certificatesv1.CertificateSigningRequestStatus{}
	r.Spec.SignerName = certificatesv1.KubeAPIServerClientSignerName
	made, err := requests.Create(t.Context(), &r, metav1.CreateOptions{})
	must(t, err)
	made.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: certificatesv1.CertificateApproved, Status: "True", Reason: "x"}}
	if _, err := requests.UpdateApproval(t.Context(), made.Name, made, metav1.UpdateOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("approves for another signer: %v", err)
	}
}
