// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/certificate/csr"
	"k8s.io/client-go/util/keyutil"
)

// Who a node is (RFC 5280 subject; k8s.io/apiserver/pkg/authentication/user), as
// the signer wants it (pkg/apis/certificates/helpers.go, ValidateKubeletClientCSR).
const (
	nodeUserPrefix = "system:node:"
	nodesGroup     = "system:nodes"
	signer         = certificatesv1.KubeAPIServerClientKubeletSignerName
)

var usages = []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageClientAuth}

// issueTimeout is how long the signer may take.
const issueTimeout = 30 * time.Second

// issue makes a key and has a certificate signed for it.
func (p *Pool) issue(ctx context.Context, node string) (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if keyPEM, err = keyutil.MarshalPrivateKeyToPEM(key); err != nil {
		return nil, nil, err
	}
	request, err := certutil.MakeCSRFromTemplate(key, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: nodeUserPrefix + node, Organization: []string{nodesGroup}},
	})
	if err != nil {
		return nil, nil, err
	}
	made, err := p.request(ctx, node, request)
	if err != nil {
		return nil, nil, err
	}
	certPEM, err = p.await(ctx, node, made)
	return certPEM, keyPEM, err
}

// request makes a signing request and approves it. One that cannot be approved
// stays, for kubectl certificate approve.
func (p *Pool) request(ctx context.Context, node string, request []byte) (*certificatesv1.CertificateSigningRequest, error) {
	asked := &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{GenerateName: SecretPrefix},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			Request:           request,
			SignerName:        signer,
			ExpirationSeconds: csr.DurationToExpirationSeconds(p.config.Lifetime),
			Usages:            usages,
		},
	}
	made, err := p.client.CertificatesV1().CertificateSigningRequests().Create(ctx, asked, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("requesting a certificate for node %s: %w%s", node, err, hint(err))
	}
	if err := p.approve(ctx, node, asked, made); err != nil {
		p.config.Logger.Warn("Cannot approve the signing request of a node: run kubectl certificate approve, or kubectl apply -f deploy/certificates.yaml",
			"node", node, "csr", made.Name, "err", err)
	}
	return made, nil
}

// hint says what gives the right that is lacking.
func hint(err error) string {
	if apierrors.IsForbidden(err) {
		return ": run kubectl apply -f deploy/certificates.yaml"
	}
	return ""
}

// approve approves the request made, which the API server answered to the one
// asked. Requests are neither listed nor watched here, so none that somebody else
// made can come to be approved.
func (p *Pool) approve(ctx context.Context, node string, asked, made *certificatesv1.CertificateSigningRequest) error {
	if !sameRequest(asked, made) {
		return fmt.Errorf("signing request %s is not the one that was made for node %s", made.Name, node)
	}
	approved := made.DeepCopy()
	approved.Status.Conditions = append(approved.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
		Type:    certificatesv1.CertificateApproved,
		Status:  corev1.ConditionTrue,
		Reason:  "PicoletActsForNode",
		Message: "The gateway that acts for node " + node + " made this request.",
	})
	_, err := p.client.CertificatesV1().CertificateSigningRequests().UpdateApproval(ctx, made.Name, approved, metav1.UpdateOptions{})
	if apierrors.IsConflict(err) {
		return nil // somebody else decided; await tells how
	}
	return err
}

// sameRequest tells whether the API server recorded what was asked.
func sameRequest(asked, made *certificatesv1.CertificateSigningRequest) bool {
	return made.Name != "" && made.UID != "" &&
		made.Spec.SignerName == asked.Spec.SignerName &&
		bytes.Equal(made.Spec.Request, asked.Spec.Request) &&
		slices.Equal(made.Spec.Usages, asked.Spec.Usages) &&
		len(made.Status.Conditions) == 0
}

// await returns the certificate when it is signed. It asks, rather than watch, for
// which the gateway would have to see every signing request of the cluster.
func (p *Pool) await(ctx context.Context, node string, made *certificatesv1.CertificateSigningRequest) (certPEM []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, issueTimeout)
	defer cancel()
	backoff := wait.Backoff{Duration: 20 * time.Millisecond, Factor: 2, Jitter: 0.1, Steps: 8, Cap: 2 * time.Second}
	var seen *certificatesv1.CertificateSigningRequest
	err = backoff.DelayFunc().Until(ctx, true, false, func(ctx context.Context) (bool, error) {
		got, err := p.client.CertificatesV1().CertificateSigningRequests().Get(ctx, made.Name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		if got.UID != made.UID {
			return false, fmt.Errorf("another has taken the place of signing request %s", made.Name)
		}
		seen, certPEM = got, got.Status.Certificate
		return len(certPEM) > 0, refusal(got)
	})
	if wait.Interrupted(err) {
		return nil, fmt.Errorf("signing request %s for node %s: %s", made.Name, node, why(seen))
	}
	if err != nil {
		return nil, fmt.Errorf("signing request %s for node %s: %w", made.Name, node, err)
	}
	return certPEM, nil
}

// refusal says that a request will come to nothing.
func refusal(r *certificatesv1.CertificateSigningRequest) error {
	for _, c := range r.Status.Conditions {
		if c.Type == certificatesv1.CertificateDenied || c.Type == certificatesv1.CertificateFailed {
			return fmt.Errorf("%s: %s: %s", c.Type, c.Reason, c.Message)
		}
	}
	return nil
}

// why says what a request waits for.
func why(r *certificatesv1.CertificateSigningRequest) string {
	switch {
	case r == nil:
		return "the API server did not answer in time"
	case len(r.Status.Conditions) == 0:
		return "nobody approved it: run kubectl certificate approve " + r.Name + ", or kubectl apply -f deploy/certificates.yaml"
	}
	return "it is approved, but not signed: kube-controller-manager must run with --cluster-signing-cert-file and --cluster-signing-key-file, or --cluster-signing-kube-apiserver-client-*"
}

// errNotOfNode says that a certificate is not one by which a node is known.
var errNotOfNode = errors.New("the certificate is not a node's client certificate")

// readPair takes a certificate and its key as that of a node.
func readPair(node string, certPEM, keyPEM []byte) (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, errors.New("certificate and key do not belong together, or are not PEM") // a key may be quoted in err
	}
	leaf := pair.Leaf
	if leaf.Subject.CommonName != nodeUserPrefix+node || !slices.Equal(leaf.Subject.Organization, []string{nodesGroup}) ||
		!slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) {
		return nil, errNotOfNode
	}
	return &pair, nil
}

// renewalTime is between 70 and 90 % of a certificate's life, as that of a kubelet
// (k8s.io/client-go/util/certificate, jitteryDuration), another time in each
// replica: the one whose time comes first renews for all.
func renewalTime(leaf *x509.Certificate) time.Time {
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	return leaf.NotBefore.Add(time.Duration(float64(life) * (0.7 + 0.2*mathrand.Float64())))
}
