// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"
)

func clientAuth(api *signingAPI) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(api.ca)
	return &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
}

// TestIssuedOnce: many who ask at once wait for one certificate, which is made for
// that node and kept; a second pool, as after a restart, uses the same.
func TestIssuedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, newSigningAPI(t))
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { b.held(t, "pico-1") })
		}
		wg.Wait()
		leaf := b.held(t, "pico-1")
		if made, approved := b.api.counts(); made != 1 || approved != 1 {
			t.Errorf("%d requests, %d approvals", made, approved)
		}
		if leaf.Subject.String() != "CN=system:node:pico-1,O=system:nodes" {
			t.Errorf("subject %s", leaf.Subject)
		}
		s := b.secret(t, "pico-1")
		if s.Type != corev1.SecretTypeTLS || len(s.Data) != 2 {
			t.Errorf("secret of type %s with %d values", s.Type, len(s.Data))
		}
		if again := newBench(t, b.api).held(t, "pico-1"); !again.Equal(leaf) {
			t.Error("another certificate after a restart")
		}
		if made, _ := b.api.counts(); made != 1 {
			t.Errorf("%d requests after a restart", made)
		}
		if log := b.log.String(); strings.Contains(log, "PRIVATE KEY") || !strings.Contains(log, "Client certificate of a node issued") {
			t.Errorf("log:\n%s", log)
		}
	})
}

// TestWhatIsRequested: the signer refuses what differs in the least.
func TestWhatIsRequested(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, newSigningAPI(t), func(c *Config) { c.Lifetime = time.Hour })
		b.held(t, "pico-1")
		got, err := b.api.CertificatesV1().CertificateSigningRequests().Get(t.Context(), SecretPrefix+"1", metav1.GetOptions{})
		must(t, err)
		want := fmt.Sprint("kubernetes.io/kube-apiserver-client-kubelet", []string{"digital signature", "client auth"}, 3600)
		if is := fmt.Sprint(got.Spec.SignerName, got.Spec.Usages, *got.Spec.ExpirationSeconds); is != want {
			t.Errorf("requested %s, want %s", is, want)
		}
		if c := got.Status.Conditions; len(c) != 1 || c[0].Type != certificatesv1.CertificateApproved || !strings.Contains(c[0].Message, "pico-1") {
			t.Errorf("conditions %+v", c)
		}
	})
}

// TestRenewed: between 70 and 90 % of its life, and while it is used further.
func TestRenewed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, newSigningAPI(t))
		first := b.held(t, "pico-1")
		time.Sleep(69 * time.Hour) // of 100
		if b.held(t, "pico-1"); !b.held(t, "pico-1").Equal(first) {
			t.Error("renewed before 70 %")
		}
		time.Sleep(22 * time.Hour)
		if !b.held(t, "pico-1").Equal(first) {
			t.Error("a due certificate that is good must be used while the next is requested")
		}
		synctest.Wait()
		second := b.held(t, "pico-1")
		if made, _ := b.api.counts(); second.Equal(first) || made != 2 {
			t.Errorf("not renewed after 90 %%: %d requests", made)
		}
	})
}

// TestRenewedOnce: the replica whose time comes second takes what the first made.
func TestRenewedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newBench(t, newSigningAPI(t))
		b := newBench(t, a.api)
		a.held(t, "pico-1")
		b.held(t, "pico-1")
		time.Sleep(91 * time.Hour)
		a.held(t, "pico-1")
		synctest.Wait()
		b.held(t, "pico-1")
		synctest.Wait()
		if made, _ := a.api.counts(); made != 2 || !a.held(t, "pico-1").Equal(b.held(t, "pico-1")) {
			t.Errorf("%d requests, or two certificates", made)
		}
	})
}

// TestFasterReplica: two replicas that start at once settle on one certificate.
func TestFasterReplica(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		verb string
		err  error
	}{
		"first certificate": {"create", apierrors.NewAlreadyExists(schema.GroupResource{Resource: "secrets"}, "x")},
		"renewal":           {"update", apierrors.NewConflict(schema.GroupResource{Resource: "secrets"}, "x", nil)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				api := newSigningAPI(t)
				a, b := newBench(t, api), newBench(t, newSigningAPI(t))
				if tt.verb == "update" {
					a.held(t, "pico-1")
					time.Sleep(99 * time.Hour)
				}
				theirs := b.held(t, "pico-1")
				once := new(atomic.Bool)
				api.PrependReactor(tt.verb, "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
					if once.Swap(true) {
						return false, nil, nil
					}
					secret := b.secret(t, "pico-1")
					_ = api.Tracker().Delete(corev1.SchemeGroupVersion.WithResource("secrets"), DefaultNamespace, secret.Name)
					return true, nil, errors.Join(api.Tracker().Add(secret), tt.err)
				})
				a.held(t, "pico-1")
				synctest.Wait()
				if !a.held(t, "pico-1").Equal(theirs) {
					t.Error("the certificate that the other replica put into the Secret does not count")
				}
			})
		})
	}
}

// TestExpired: one that was not renewed in time is not used.
func TestExpired(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, newSigningAPI(t))
		first := b.held(t, "pico-1")
		time.Sleep(101 * time.Hour)
		if b.held(t, "pico-1").Equal(first) {
			t.Error("an expired certificate is used")
		}
	})
}

// TestRequestInTrouble: each says what to do, and is not tried again with each
// request of the board.
func TestRequestInTrouble(t *testing.T) {
	t.Parallel()
	condition := func(kind certificatesv1.RequestConditionType) func(*certificatesv1.CertificateSigningRequest) {
		return func(r *certificatesv1.CertificateSigningRequest) {
			r.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: kind, Reason: "Policy", Message: "no boards here"}}
		}
	}
	for name, tt := range map[string]struct {
		prepare  func(*signingAPI)
		want     string
		approved int
	}{
		"denied":     {func(a *signingAPI) { a.judge = condition(certificatesv1.CertificateDenied) }, "Denied: Policy: no boards here", 1},
		"failed":     {func(a *signingAPI) { a.judge = condition(certificatesv1.CertificateFailed) }, "Failed: Policy", 1},
		"not signed": {func(a *signingAPI) { a.judge = func(*certificatesv1.CertificateSigningRequest) {} }, "--cluster-signing-cert-file", 1},
		"may not approve": {func(a *signingAPI) {
			a.PrependReactor("update", "certificatesigningrequests", func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, apierrors.NewForbidden(schema.GroupResource{}, "x", errors.New("no"))
			})
		}, "kubectl certificate approve picolet-node-1", 0},
		"another request": {func(a *signingAPI) {
			a.alter = func(r *certificatesv1.CertificateSigningRequest) { r.Spec.Request = []byte("another") }
		}, "nobody approved it", 0},
		"another signer": {func(a *signingAPI) {
			a.alter = func(r *certificatesv1.CertificateSigningRequest) {
				r.Spec.SignerName = "kubernetes.io/kube-apiserver-client"
			}
		}, "nobody approved it", 0},
		"more usages": {func(a *signingAPI) {
			a.alter = func(r *certificatesv1.CertificateSigningRequest) {
				r.Spec.Usages = append(r.Spec.Usages, certificatesv1.UsageServerAuth)
			}
		}, "nobody approved it", 0},
		"may not request": {func(a *signingAPI) {
			a.PrependReactor("create", "certificatesigningrequests", func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, apierrors.NewForbidden(schema.GroupResource{}, "x", errors.New("no"))
			})
		}, "kubectl apply -f deploy/certificates.yaml", 0},
		"may not read its Secrets": {func(a *signingAPI) {
			a.PrependReactor("get", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, apierrors.NewForbidden(schema.GroupResource{}, "x", errors.New("no"))
			})
		}, "kubectl apply -f deploy/certificates.yaml", 0},
		"a certificate for another key": {func(a *signingAPI) {
			a.judge = func(r *certificatesv1.CertificateSigningRequest) {
				r.Status.Certificate = a.certify(pkix.Name{CommonName: "system:node:pico-1", Organization: []string{"system:nodes"}}, a.key.Public())
			}
		}, "certificate and key do not belong together", 1},
		"a Secret of somebody else": {func(a *signingAPI) {
			_ = a.Tracker().Add(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: SecretPrefix + "pico-1", Namespace: DefaultNamespace}, Type: corev1.SecretTypeOpaque})
		}, "delete it, or give the board another node name", 0},
		"a certificate for another node": {func(a *signingAPI) {
			a.judge = func(r *certificatesv1.CertificateSigningRequest) {
				a.signAs(r, pkix.Name{CommonName: "system:node:pico-2", Organization: []string{"system:nodes"}})
			}
		}, errNotOfNode.Error(), 1},
		"a certificate for an administrator": {func(a *signingAPI) {
			a.judge = func(r *certificatesv1.CertificateSigningRequest) {
				a.signAs(r, pkix.Name{CommonName: "system:node:pico-1", Organization: []string{"system:nodes", "system:masters"}})
			}
		}, errNotOfNode.Error(), 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				api := newSigningAPI(t)
				tt.prepare(api)
				b := newBench(t, api)
				_, err := b.Transport(t.Context(), "pico-1")
				if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "pico-1") {
					t.Fatalf("%v: lacks %q", err, tt.want)
				}
				made, approved := api.counts()
				if approved != tt.approved {
					t.Errorf("%d requests were approved", approved)
				}
				if _, err := b.Transport(t.Context(), "pico-1"); err == nil || !strings.Contains(err.Error(), "tried again in") {
					t.Errorf("at once again: %v", err)
				}
				if again, _ := api.counts(); again != made {
					t.Error("tried again at once")
				}
				if log := b.log.String(); !strings.Contains(log, "Cannot get the client certificate of a node") || strings.Contains(log, "PRIVATE KEY") {
					t.Errorf("log:\n%s", log)
				}
			})
		})
	}
}

// TestDamagedSecret: what cannot be used is replaced.
func TestDamagedSecret(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, newSigningAPI(t))
		b.held(t, "pico-2")
		other := b.secret(t, "pico-2").Data
		for name, data := range map[string]map[string][]byte{
			"pico-3": {}, "pico-4": {corev1.TLSCertKey: []byte("x"), corev1.TLSPrivateKeyKey: []byte("-----BEGIN EC PRIVATE KEY-----")},
			"pico-5": other,
		} {
			must(t, b.api.Tracker().Add(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: SecretPrefix + name, Namespace: DefaultNamespace}, Type: corev1.SecretTypeTLS, Data: data}))
			if got := b.held(t, name).Subject.CommonName; got != nodeUserPrefix+name {
				t.Errorf("%s acts as %s", name, got)
			}
			if pair, err := readPair(name, b.secret(t, name).Data[corev1.TLSCertKey], b.secret(t, name).Data[corev1.TLSPrivateKeyKey]); err != nil || pair == nil {
				t.Errorf("%s: kept %v", name, err)
			}
		}
	})
}

// TestBounds: nodes and requests at one time.
func TestBounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api := newSigningAPI(t)
		release := make(chan struct{})
		api.judge = func(r *certificatesv1.CertificateSigningRequest) { <-release; api.sign(r) }
		b := newBench(t, api, func(c *Config) { c.MaxNodes, c.MaxRequests = 2, 1 })
		done := make(chan error, 1)
		go func() { _, err := b.Transport(t.Context(), "pico-1"); done <- err }()
		synctest.Wait()
		if _, err := b.Transport(t.Context(), "pico-2"); !errors.Is(err, ErrBusy) {
			t.Errorf("second request: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.Transport(ctx, "pico-1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who waits too long: %v", err)
		}
		close(release)
		must(t, <-done)
		b.held(t, "pico-2")
		if _, err := b.Transport(t.Context(), "pico-3"); !errors.Is(err, ErrFull) {
			t.Errorf("third node: %v", err)
		}
		time.Sleep(unusedAfter / 2)
		b.held(t, "pico-2")
		time.Sleep(unusedAfter / 2)
		b.held(t, "pico-3")
		if _, err := b.Transport(t.Context(), "pico-1"); !errors.Is(err, ErrFull) || b.count() != 2 {
			t.Errorf("the node that was not used for long keeps its place: %v", err)
		}
	})
}

func TestRemove(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, newSigningAPI(t))
		first := b.held(t, "pico-1")
		must(t, b.Remove(t.Context(), "pico-1"))
		must(t, b.Remove(t.Context(), "pico-1")) // is gone already
		if _, err := b.api.CoreV1().Secrets(DefaultNamespace).Get(t.Context(), SecretPrefix+"pico-1", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("the Secret: %v", err)
		}
		if b.held(t, "pico-1").Equal(first) {
			t.Error("the same certificate after Remove")
		}
	})
}

func TestNames(t *testing.T) {
	t.Parallel()
	b := newBench(t, newSigningAPI(t))
	for _, name := range []string{"", "A", "a/b", "../x", "a,O=system:masters", strings.Repeat("a.", 120) + "a"} {
		if _, err := b.Transport(t.Context(), name); err == nil {
			t.Errorf("node name %q is taken", name)
		}
		if err := b.Remove(t.Context(), name); err == nil {
			t.Errorf("node name %q is removed", name)
		}
	}
	if made, _ := b.api.counts(); made > 0 || b.count() > 0 {
		t.Errorf("%d requests, %d nodes", made, b.count())
	}
}

// TestSentAsNode: what goes over a transport carries the node's certificate and
// nothing of the gateway; after a 401 there is a new certificate, but not one for
// each request.
func TestSentAsNode(t *testing.T) {
	t.Parallel()
	api := newSigningAPI(t)
	var unauthorized atomic.Bool
	config := startTLS(t, api, func(w http.ResponseWriter, r *http.Request) {
		if unauthorized.Load() {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, r.TLS.PeerCertificates[0].Subject.CommonName, " ", r.Proto, " ", r.Header.Get("Authorization"))
	})
	b := newBench(t, api, func(c *Config) { c.Kubernetes = config })
	for _, node := range []string{"pico-1", "pico-2", "pico-1"} {
		rt, err := b.Transport(t.Context(), node)
		must(t, err)
		if code, body := ask(t, rt, config.Host); code != 200 || body != "system:node:"+node+" HTTP/2.0 " {
			t.Errorf("%s: %d %s", node, code, body)
		}
	}
	first := b.held(t, "pico-1")
	unauthorized.Store(true)
	for range 5 {
		if rt, err := b.Transport(t.Context(), "pico-1"); err == nil {
			ask(t, rt, config.Host)
		} else if !strings.Contains(err.Error(), "--client-ca-file") {
			t.Errorf("refused: %v", err)
		}
	}
	if made, _ := api.counts(); made != 3 { // one for pico-2
		t.Errorf("%d requests after five refusals", made)
	}
	_, kept, err := b.load(t.Context(), "pico-1")
	must(t, err)
	if kept.leaf.Equal(first) {
		t.Error("the refused certificate is in the Secret still")
	}
}

func TestConfigIsValidated(t *testing.T) {
	t.Parallel()
	k := &rest.Config{Host: "https://a"}
	for want, c := range map[string]Config{
		"field Kubernetes is required":     {},
		"field Kubernetes has a Transport": {Kubernetes: &rest.Config{Transport: http.DefaultTransport}},
		"field Namespace":                  {Kubernetes: k, Namespace: "a/b"},
		"field Lifetime is 1m0s":           {Kubernetes: k, Lifetime: time.Minute},
		"field MaxNodes is -1":             {Kubernetes: k, MaxNodes: -1},
		"field MaxRequests is -1":          {Kubernetes: k, MaxRequests: -1},
		"/nonexistent":                     {Kubernetes: &rest.Config{Host: "https://a", TLSClientConfig: rest.TLSClientConfig{CAFile: "/nonexistent"}}},
	} {
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
	p, err := New(Config{Kubernetes: k})
	must(t, err)
	p.Close()
	if _, err := p.Transport(t.Context(), "pico-1"); err == nil {
		t.Error("a closed Pool works")
	}
}
