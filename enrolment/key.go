// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/utils/ptr"

	"github.com/picolet/picolet/api/v1alpha1"
)

// The gateway's key is in one Secret, which never changes: to rotate it, delete the
// Secret, start the gateways again and provision the boards with the new public key.
const (
	GatewayKeySecret                   = "picolet-gateway-key"
	gatewayKeyType   corev1.SecretType = "picolet.dev/gateway-key"
	privateKeyField                    = "privateKey" // 32 bytes
	publicKeyField                     = "publicKey"  // base64, for humans
)

// GatewayKey returns the X25519 private key by which boards know the gateway, the
// same for all replicas. The first of them makes it.
func GatewayKey(ctx context.Context, secrets coreclient.SecretInterface) ([v1alpha1.KeySize]byte, error) {
	s, err := secrets.Get(ctx, GatewayKeySecret, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		s, err = makeGatewayKey(ctx, secrets)
	}
	if err != nil {
		return [v1alpha1.KeySize]byte{}, fmt.Errorf("the gateway's key in secret %s: %w", GatewayKeySecret, err)
	}
	return readGatewayKey(s)
}

func makeGatewayKey(ctx context.Context, secrets coreclient.SecretInterface) (*corev1.Secret, error) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	s, err := secrets.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: GatewayKeySecret},
		Type:       gatewayKeyType,
		Immutable:  ptr.To(true),
		Data: map[string][]byte{
			privateKeyField: key.Bytes(),
			publicKeyField:  []byte(v1alpha1.Key(key.PublicKey().Bytes()).String()),
		},
	}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) { // another replica was faster
		return secrets.Get(ctx, GatewayKeySecret, metav1.GetOptions{})
	}
	return s, err
}

func readGatewayKey(s *corev1.Secret) (k [v1alpha1.KeySize]byte, err error) {
	private, err := ecdh.X25519().NewPrivateKey(s.Data[privateKeyField])
	if err != nil || s.Type != gatewayKeyType || string(s.Data[publicKeyField]) != v1alpha1.Key(private.PublicKey().Bytes()).String() {
		return k, fmt.Errorf("secret %s holds no key of a gateway: restore it from a backup; or delete it, start the gateways again, and provision the boards again", s.Name)
	}
	return [v1alpha1.KeySize]byte(private.Bytes()), nil
}
