// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"

	"github.com/picolet/picolet/testlog"
)

// signingAPI is the part of an API server, with its signer, that a Pool asks.
type signingAPI struct {
	*fake.Clientset
	ca    *x509.Certificate
	key   *ecdsa.PrivateKey
	life  time.Duration
	alter func(*certificatesv1.CertificateSigningRequest) // of what was created
	judge func(*certificatesv1.CertificateSigningRequest) // in the place of approval and signature

	mu       sync.Mutex
	made     int
	approved int
}

func newSigningAPI(t testing.TB) *signingAPI {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0), KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	ca, err := x509.ParseCertificate(der)
	must(t, err)
	a := &signingAPI{Clientset: fake.NewClientset(), ca: ca, key: key, life: 100 * time.Hour}
	a.PrependReactor("create", "certificatesigningrequests", a.create)
	a.PrependReactor("update", "certificatesigningrequests", a.update)
	return a
}

func (a *signingAPI) create(action clienttesting.Action) (bool, runtime.Object, error) {
	request := action.(clienttesting.CreateAction).GetObject().DeepCopyObject().(*certificatesv1.CertificateSigningRequest)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.made++
	request.Name = fmt.Sprint(request.GenerateName, a.made)
	request.UID = types.UID(request.Name)
	request.Spec.Username = "system:serviceaccount:picolet-system:picolet-gateway"
	if a.alter != nil {
		a.alter(request)
	}
	return true, request, a.Tracker().Add(request)
}

func (a *signingAPI) update(action clienttesting.Action) (bool, runtime.Object, error) {
	if action.GetSubresource() != "approval" {
		return true, nil, fmt.Errorf("update of %s", action.GetSubresource())
	}
	request := action.(clienttesting.UpdateAction).GetObject().DeepCopyObject().(*certificatesv1.CertificateSigningRequest)
	a.mu.Lock()
	a.approved++
	a.mu.Unlock()
	if a.judge != nil {
		a.judge(request)
	} else {
		a.sign(request)
	}
	return true, request, a.Tracker().Update(certificatesv1.SchemeGroupVersion.WithResource("certificatesigningrequests"), request, "")
}

// sign does what the signer does.
func (a *signingAPI) sign(request *certificatesv1.CertificateSigningRequest) {
	a.signAs(request, asked(request).Subject)
}

func (a *signingAPI) signAs(request *certificatesv1.CertificateSigningRequest, subject pkix.Name) {
	request.Status.Certificate = a.certify(subject, asked(request).PublicKey)
}

func asked(request *certificatesv1.CertificateSigningRequest) *x509.CertificateRequest {
	block, _ := pem.Decode(request.Spec.Request)
	asked, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil || asked.CheckSignature() != nil {
		panic("a bad request")
	}
	return asked
}

func (a *signingAPI) certify(subject pkix.Name, key any) (certPEM []byte) {
	now := time.Now()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: subject, NotBefore: now, NotAfter: now.Add(a.life),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, a.ca, key, a.key)
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func (a *signingAPI) counts() (made, approved int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.made, a.approved
}

// bench is a pool before a signingAPI, with an HTTPS server for what is sent.
type bench struct {
	*Pool
	api *signingAPI
	log *testlog.Buffer
}

func newBench(t testing.TB, api *signingAPI, change ...func(*Config)) *bench {
	t.Helper()
	log := new(testlog.Buffer)
	c := Config{Kubernetes: &rest.Config{Host: "https://api.test"}, Logger: slog.New(slog.NewTextHandler(log, nil))}
	for _, f := range change {
		f(&c)
	}
	must(t, c.Validate())
	p, err := newPool(c.withDefaults(), api)
	must(t, err)
	t.Cleanup(p.Close)
	return &bench{p, api, log}
}

// held is the certificate that the pool would use now.
func (b *bench) held(t testing.TB, node string) *x509.Certificate {
	t.Helper()
	rt, err := b.Transport(t.Context(), node)
	must(t, err)
	return rt.(*holding).leaf
}

func (b *bench) secret(t testing.TB, node string) *corev1.Secret {
	t.Helper()
	s, err := b.api.CoreV1().Secrets(DefaultNamespace).Get(t.Context(), SecretPrefix+node, metav1.GetOptions{})
	must(t, err)
	return s
}

// startTLS serves handler to clients with certificates of the CA, and returns the
// configuration to reach it.
func startTLS(t testing.TB, api *signingAPI, handler http.HandlerFunc) *rest.Config {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.TLS = clientAuth(api)
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return &rest.Config{Host: server.URL, BearerToken: "gateway-token", TLSClientConfig: rest.TLSClientConfig{CAData: ca}}
}

func ask(t testing.TB, rt http.RoundTripper, url string) (code int, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	must(t, err)
	resp, err := rt.RoundTrip(req)
	must(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, string(b)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
