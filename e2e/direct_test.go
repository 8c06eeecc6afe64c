// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picolet/picolet/kubelet"
	"github.com/picolet/picolet/link"
)

// The way of the reference: kubectl proxy in place of a gateway.
func TestKubeletWorksThroughKubectlProxy(t *testing.T) {
	t.Parallel()
	p, name := sharedPlane(t), unique("proxied")
	b := startBoard(t, p, boardOptions{gateway: p.kubectlProxy(t), change: readsConfigMaps(name)})
	b.waitStatus(t, corev1.ConditionTrue)
	p.setConfig(t, name, data{"pin_5": "HIGH"})
	b.waitPin(t, 5, "HIGH")
	b.waitRenewals(t, 1)
	p.waitEvent(t, b.name, "ConfigApplied", name)
}

// kubectlProxy runs kubectl proxy and returns its address.
func (p *plane) kubectlProxy(t *testing.T) string {
	t.Helper()
	c := p.kubectl(context.Background(), "proxy", "--port=0")
	out, err := c.StdoutPipe()
	must(t, err)
	must(t, c.Start())
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		_ = c.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "Starting to serve on ")
	if !ok {
		t.Fatalf("kubectl proxy says %q", line)
	}
	return addr
}

// Without a gateway, over TLS, as the node's own user with a certificate of its
// own, and confined by the API server alone.
func TestKubeletWorksOverTLSWithACertificate(t *testing.T) {
	t.Parallel()
	p, name, node := sharedPlane(t), unique("direct"), unique("tls")
	server, roots := p.server(t)
	cert := p.nodeCertificate(t, node)
	// The Node authorizer lets a node read no ConfigMap that no pod of it names.
	p.allowConfigMap(t, rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: "system:node:" + node}, name)
	b := readyBoard(t, p, boardOptions{
		name: node, gateway: server, change: readsConfigMaps(name),
		dialer: link.TLS(server, &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{cert}}),
	})
	p.setConfig(t, name, data{"pin_6": "PWM:6"})
	b.waitPin(t, 6, "PWM:6")
	b.waitRenewals(t, 1)
	p.waitEvent(t, b.name, "ConfigApplied", name)
}

// The same with a bearer token, of a user who may do what a kubelet does.
func TestKubeletWorksOverTLSWithAToken(t *testing.T) {
	t.Parallel()
	p, name := sharedPlane(t), unique("token")
	server, roots := p.server(t)
	account := p.kubeletAccount(t)
	identity, err := p.identity(t.Context(), account)
	must(t, err)
	p.allowConfigMap(t, gatewaySubject(account), name)
	b := readyBoard(t, p, boardOptions{
		gateway: server,
		dialer:  link.TLS(server, &tls.Config{RootCAs: roots}),
		change: func(c *kubelet.Config) {
			readsConfigMaps(name)(c)
			c.Token = identity.BearerToken
		},
	})
	p.setConfig(t, name, data{"pin_8": "HIGH"})
	b.waitPin(t, 8, "HIGH")
	b.waitRenewals(t, 1)
	if strings.Contains(b.log.String(), identity.BearerToken) {
		t.Error("the token stands in the log")
	}
}

// server returns the API server's address and who vouches for it.
func (p *plane) server(t *testing.T) (addr string, roots *x509.CertPool) {
	t.Helper()
	u, err := url.Parse(p.URL())
	must(t, err)
	roots = x509.NewCertPool()
	if !roots.AppendCertsFromPEM(p.authority(t)) {
		t.Fatal("the kubeconfig names no certificate authority")
	}
	return u.Host, roots
}

// authority is the certificate of the cluster's authority, PEM.
func (p *plane) authority(t *testing.T) []byte {
	t.Helper()
	if p.config.CAFile == "" {
		return p.config.CAData
	}
	ca, err := os.ReadFile(p.config.CAFile)
	must(t, err)
	return ca
}

// nodeCertificate has the cluster sign a certificate for a node, as kubeadm's
// join does.
func (p *plane) nodeCertificate(t *testing.T, node string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "system:node:" + node, Organization: []string{"system:nodes"}},
	}, key)
	must(t, err)
	requests := p.client.CertificatesV1().CertificateSigningRequests()
	csr, err := requests.Create(t.Context(), &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{Name: node},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			Request:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
			SignerName: certificatesv1.KubeAPIServerClientKubeletSignerName,
			Usages:     []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageClientAuth},
		},
	}, metav1.CreateOptions{})
	must(t, err)
	p.mustKubectl(t, "certificate", "approve", node)
	eventually(t, 20*time.Second, func(ctx context.Context) error {
		csr, err = requests.Get(ctx, node, metav1.GetOptions{})
		if err == nil && len(csr.Status.Certificate) == 0 {
			err = errors.New("the certificate is not signed yet")
		}
		return err
	})
	block, _ := pem.Decode(csr.Status.Certificate)
	return tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: key}
}

// kubeletAccount makes a ServiceAccount with the rights of a kubelet.
func (p *plane) kubeletAccount(t *testing.T) string {
	t.Helper()
	account := unique("kubelet")
	_, err := p.client.CoreV1().ServiceAccounts(gatewayNamespace).Create(t.Context(),
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: account}}, metav1.CreateOptions{})
	must(t, err)
	rule := func(group, verbs string, resources ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Verbs: strings.Fields(verbs), Resources: resources}
	}
	_, err = p.client.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: account},
		Rules: []rbacv1.PolicyRule{
			rule("", "create get patch", "nodes"), rule("", "patch", "nodes/status"), rule("", "create", "events"),
			rule("coordination.k8s.io", "create get patch update", "leases"),
		},
	}, metav1.CreateOptions{})
	must(t, err)
	_, err = p.client.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: account}, Subjects: []rbacv1.Subject{gatewaySubject(account)},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: account},
	}, metav1.CreateOptions{})
	must(t, err)
	p.waitAllowed(t, "system:serviceaccount:"+gatewayNamespace+":"+account, &authorizationv1.ResourceAttributes{Verb: "create", Resource: "nodes"})
	return account
}
