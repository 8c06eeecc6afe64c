// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"os"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/picolet/picolet/api/devices"
)

// thief has the gateway's token, and none of its code.
type thief struct {
	plane *plane
	own   *rest.Config
}

func (f *thief) as(t *testing.T, user string, groups ...string) kubernetes.Interface {
	t.Helper()
	c := rest.CopyConfig(f.own)
	c.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: groups}
	client, err := kubernetes.NewForConfig(c)
	must(t, err)
	return client
}

// TestStolenGatewayToken is what the gateway's token gives to a thief, so that
// docs/security.md tells no less: to be any node, to approve any board, and to get
// a certificate that servers of any name can serve. And what it does not give.
func TestStolenGatewayToken(t *testing.T) {
	t.Parallel()
	f := &thief{plane: fullPlane(t)}
	var err error
	f.own, err = f.plane.identity(t.Context(), gatewayAccount)
	must(t, err)
	for name, is := range map[string]func(*testing.T){
		"is a node that is no Device": f.anyNode, "approves a board": f.anyDevice, "serves under any name": f.anyName,
		"gets no other credentials": f.noCredentials,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			is(t)
		})
	}
}

func (f *thief) anyNode(t *testing.T) {
	name := unique("no-device")
	own := f.as(t, "system:node:"+name).CoreV1()
	_, err := own.Nodes().Create(t.Context(), boardNode(name), metav1.CreateOptions{})
	must(t, err)
	_, err = f.plane.client.CoreV1().Pods(namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PodSpec{NodeName: name, Containers: []corev1.Container{{Name: "c", Image: "registry.example/none"}}},
	}, metav1.CreateOptions{})
	must(t, err)
	list, err := own.Pods("").List(t.Context(), metav1.ListOptions{FieldSelector: "spec.nodeName=" + name})
	must(t, err)
	if len(list.Items) != 1 {
		t.Errorf("%d pods", len(list.Items))
	}
	must(t, own.Pods(namespace).Delete(t.Context(), name, metav1.DeleteOptions{GracePeriodSeconds: new(int64)}))
}

func (f *thief) anyDevice(t *testing.T) {
	admin, err := devices.New(f.plane.config)
	must(t, err)
	own, err := devices.New(f.own)
	must(t, err)
	_, key := newLinkKey(t)
	device := (&replicaRun{devices: admin}).device(t, key.Public, unique("pending"), nil)
	_, err = own.Patch(t.Context(), device, types.MergePatchType, []byte(`{"spec":{"approved":true}}`), metav1.PatchOptions{})
	must(t, err)
}

// anyName gets a certificate of the cluster's CA for the API server's own name.
func (f *thief) anyName(t *testing.T) {
	const victim = "kubernetes.default.svc"
	name := "system:node:" + unique("no-device")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: name, Organization: []string{"system:nodes"}}, DNSNames: []string{victim},
	}, key)
	must(t, err)
	request, err := f.as(t, name).CertificatesV1().CertificateSigningRequests().Create(t.Context(), &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "stolen-"},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			Request:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
			SignerName: certificatesv1.KubeletServingSignerName,
			Usages:     []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageServerAuth},
		},
	}, metav1.CreateOptions{})
	must(t, err)
	approve(t, f.as(t, ""), request)
	cert := f.plane.issued(t, request.Name)
	roots := x509.NewCertPool()
	ca, err := os.ReadFile(f.plane.ca())
	must(t, err)
	roots.AppendCertsFromPEM(ca)
	if _, err := cert.Verify(x509.VerifyOptions{DNSName: victim, Roots: roots}); err != nil {
		t.Errorf("a certificate for %s: %v", victim, err)
	}
	if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err == nil {
		t.Error("it serves as a client's, too")
	}
}

func approve(t *testing.T, client kubernetes.Interface, request *certificatesv1.CertificateSigningRequest) {
	t.Helper()
	request = request.DeepCopy()
	request.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{
		Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "Stolen",
	}}
	_, err := client.CertificatesV1().CertificateSigningRequests().UpdateApproval(t.Context(), request.Name, request, metav1.UpdateOptions{})
	must(t, err)
}

// issued waits for the certificate of a signing request.
func (p *plane) issued(t *testing.T, name string) (cert *x509.Certificate) {
	t.Helper()
	eventually(t, 30*time.Second, func(ctx context.Context) error {
		r, err := p.client.CertificatesV1().CertificateSigningRequests().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		block, _ := pem.Decode(r.Status.Certificate)
		if block == nil {
			return errors.New("no certificate yet")
		}
		cert, err = x509.ParseCertificate(block.Bytes)
		return err
	})
	return cert
}

func (f *thief) noCredentials(t *testing.T) {
	own := f.as(t, "")
	for name, err := range map[string]error{
		"reads a Secret":             errOf(own.CoreV1().Secrets("kube-system").Get(t.Context(), "any", metav1.GetOptions{})),
		"makes a token":              errOf(own.CoreV1().ServiceAccounts("kube-system").CreateToken(t.Context(), "default", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})),
		"is an administrator":        errOf(f.as(t, "admin", "system:masters").CoreV1().Secrets("").List(t.Context(), metav1.ListOptions{})),
		"is a node in another group": errOf(f.as(t, "system:node:x", "system:masters").CoreV1().Secrets("").List(t.Context(), metav1.ListOptions{})),
		"is a ServiceAccount":        errOf(f.as(t, "system:serviceaccount:kube-system:default").CoreV1().Pods("").List(t.Context(), metav1.ListOptions{})),
		"deletes a node as itself":   own.CoreV1().Nodes().Delete(t.Context(), "x", metav1.DeleteOptions{}),
		"reads a Secret as a node":   errOf(f.as(t, "system:node:x").CoreV1().Secrets("kube-system").Get(t.Context(), "any", metav1.GetOptions{})),
	} {
		if !apierrors.IsForbidden(err) {
			t.Errorf("a thief who %s gets %v, want 403", name, err)
		}
	}
}

func errOf[T any](_ T, err error) error { return err }
