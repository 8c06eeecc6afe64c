// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package credentials

import (
	"context"
	"crypto/tls"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// SecretPrefix and a node's name make the name of its Secret, of type
// kubernetes.io/tls.
const SecretPrefix = "picolet-node-"

// obtain returns a certificate of a node that is better than old, which may be
// nil: one that is in the Secret, or else a new one, which it puts there.
func (p *Pool) obtain(ctx context.Context, node string, old *holding) (*holding, error) {
	secret, kept, err := p.load(ctx, node)
	if err != nil {
		return nil, err
	}
	if kept != nil && p.better(kept, old) {
		p.metrics.obtained("loaded")
		return kept, nil
	}
	certPEM, keyPEM, err := p.issue(ctx, node)
	if err != nil {
		p.metrics.obtained("failed")
		return nil, err
	}
	pair, err := readPair(node, certPEM, keyPEM)
	if err != nil {
		p.metrics.obtained("failed")
		return nil, fmt.Errorf("the signer's answer for node %s: %w", node, err)
	}
	return p.keep(ctx, node, secret, pair, certPEM, keyPEM)
}

// better tells whether a kept certificate can take the place of old.
func (p *Pool) better(kept, old *holding) bool {
	if old != nil && old.leaf.Equal(kept.leaf) {
		return false
	}
	return p.config.Now().Before(kept.renewAt)
}

// load reads a node's Secret, and what is in it if that can be used.
func (p *Pool) load(ctx context.Context, node string) (*corev1.Secret, *holding, error) {
	secret, err := p.client.CoreV1().Secrets(p.config.Namespace).Get(ctx, SecretPrefix+node, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil, nil
	case err != nil:
		return nil, nil, fmt.Errorf("reading secret %s of node %s: %w%s", SecretPrefix+node, node, err, hint(err))
	case secret.Type != corev1.SecretTypeTLS:
		return nil, nil, fmt.Errorf("secret %s is of type %q, not %s: it is not this gateway's; delete it, or give the board another node name", secret.Name, secret.Type, corev1.SecretTypeTLS)
	}
	pair, err := readPair(node, secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		p.config.Logger.Warn("Secret of a node holds no certificate of it, and gets a new one", "node", node, "secret", secret.Name, "err", err)
		return secret, nil, nil
	}
	return secret, p.newHolding(pair), nil
}

// keep puts a certificate into the node's Secret, which may not exist yet, unless
// another replica was faster: then that one's counts.
func (p *Pool) keep(ctx context.Context, node string, secret *corev1.Secret, pair *tls.Certificate, certPEM, keyPEM []byte) (*holding, error) {
	data := map[string][]byte{corev1.TLSCertKey: certPEM, corev1.TLSPrivateKeyKey: keyPEM}
	secrets := p.client.CoreV1().Secrets(p.config.Namespace)
	var err error
	if secret == nil {
		_, err = secrets.Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: SecretPrefix + node, Labels: map[string]string{"app.kubernetes.io/managed-by": "picolet"}},
			Type:       corev1.SecretTypeTLS,
			Data:       data,
		}, metav1.CreateOptions{})
	} else {
		secret = secret.DeepCopy()
		secret.Data = data
		_, err = secrets.Update(ctx, secret, metav1.UpdateOptions{}) // of the version that was read
	}
	switch {
	case apierrors.IsAlreadyExists(err), apierrors.IsConflict(err), apierrors.IsNotFound(err) && secret != nil:
		return p.adopt(ctx, node)
	case err != nil:
		p.metrics.obtained("failed")
		return nil, fmt.Errorf("keeping the certificate of node %s in secret %s: %w%s", node, SecretPrefix+node, err, hint(err))
	}
	p.metrics.obtained("issued")
	p.config.Logger.Info("Client certificate of a node issued", "node", node, "secret", SecretPrefix+node, "expires", pair.Leaf.NotAfter)
	return p.newHolding(pair), nil
}

// adopt takes what another replica has just put into the Secret.
func (p *Pool) adopt(ctx context.Context, node string) (*holding, error) {
	_, kept, err := p.load(ctx, node)
	if err != nil {
		return nil, err
	}
	if kept == nil {
		return nil, fmt.Errorf("secret %s of node %s was changed or deleted meanwhile", SecretPrefix+node, node)
	}
	p.metrics.obtained("loaded")
	return kept, nil
}

func (p *Pool) deleteSecret(ctx context.Context, node string) error {
	err := p.client.CoreV1().Secrets(p.config.Namespace).Delete(ctx, SecretPrefix+node, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting secret %s of node %s: %w%s", SecretPrefix+node, node, err, hint(err))
	}
	return nil
}
