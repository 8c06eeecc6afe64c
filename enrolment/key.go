// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/picolet/picolet/api/v1alpha1"
)

// The gateway's keys are in one Secret. Each key has two fields: 32 bytes, and the
// public key in base64 for people. Next and previous are there during a rotation only.
const (
	GatewayKeySecret                   = "picolet-gateway-key"
	gatewayKeyType   corev1.SecretType = "picolet.dev/gateway-key"
	privateKeyField                    = "privateKey"
	publicKeyField                     = "publicKey"
	nextPrefix                         = "next-"
	previousPrefix                     = "previous-"

	// keepAnnotation has Helm leave an object alone that a release no longer contains.
	keepAnnotation = "helm.sh/resource-policy"
)

// PrivateKey is an X25519 private key of the gateway. It is never printed.
type PrivateKey [v1alpha1.KeySize]byte

// String gives nothing away.
func (PrivateKey) String() string { return "private key" }

// GoString is String: it keeps the key out of %#v.
func (k PrivateKey) GoString() string { return k.String() }

// MarshalText is String too: it keeps the key out of JSON and of slog.
func (k PrivateKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Public is the public key; the zero Key for the zero PrivateKey, which is no key.
func (k PrivateKey) Public() v1alpha1.Key {
	private, err := ecdh.X25519().NewPrivateKey(k[:])
	if err != nil || k == (PrivateKey{}) {
		return v1alpha1.Key{}
	}
	return v1alpha1.Key(private.PublicKey().Bytes())
}

// GatewayKeys are the keys by which boards know the gateways of a cluster. The zero
// PrivateKey is no key.
type GatewayKeys struct {
	Current  PrivateKey // Required: for boards that are provisioned now
	Next     PrivateKey // boards learn it, until it becomes Current
	Previous PrivateKey // was Current, and still holds
}

// NewestFirst are all keys that hold, in the order in which they came to be.
func (k *GatewayKeys) NewestFirst() []PrivateKey {
	var keys []PrivateKey
	for _, key := range []PrivateKey{k.Next, k.Current, k.Previous} {
		if key != (PrivateKey{}) {
			keys = append(keys, key)
		}
	}
	return keys
}

// fields are the keys with the prefixes of their fields.
func (k *GatewayKeys) fields() map[string]*PrivateKey {
	return map[string]*PrivateKey{"": &k.Current, nextPrefix: &k.Next, previousPrefix: &k.Previous}
}

func (k *GatewayKeys) data() map[string][]byte {
	data := make(map[string][]byte)
	for prefix, key := range k.fields() {
		if *key != (PrivateKey{}) {
			data[prefix+privateKeyField] = key[:]
			data[prefix+publicKeyField] = []byte(key.Public().String())
		}
	}
	return data
}

// ReadGatewayKeys returns the gateway's keys, the same for all replicas. An error can be
// NotFound.
func ReadGatewayKeys(ctx context.Context, secrets coreclient.SecretInterface) (GatewayKeys, error) {
	s, err := secrets.Get(ctx, GatewayKeySecret, metav1.GetOptions{})
	if err != nil {
		return GatewayKeys{}, fmt.Errorf("the gateway's key in secret %s: %w", GatewayKeySecret, err)
	}
	return parseGatewayKeys(s)
}

// EnsureGatewayKeys is ReadGatewayKeys for a cluster that may have no key yet: the first
// gateway makes it.
func EnsureGatewayKeys(ctx context.Context, secrets coreclient.SecretInterface) (GatewayKeys, error) {
	keys, err := ReadGatewayKeys(ctx, secrets)
	if !apierrors.IsNotFound(err) {
		return keys, err
	}
	if err = restoreOrMake(ctx, secrets); err != nil && !apierrors.IsAlreadyExists(err) { // another replica was faster
		return keys, fmt.Errorf("making the gateway's key in secret %s: %w", GatewayKeySecret, err)
	}
	return ReadGatewayKeys(ctx, secrets)
}

// restoreOrMake creates the Secret: from the copy that a rotation was interrupted with, or
// with a new key.
func restoreOrMake(ctx context.Context, secrets coreclient.SecretInterface) error {
	var keys GatewayKeys
	saved, err := secrets.Get(ctx, gatewayKeyCopy, metav1.GetOptions{})
	switch {
	case err == nil:
		keys, err = parseGatewayKeys(saved)
	case apierrors.IsNotFound(err):
		keys.Current, err = newPrivateKey()
	}
	if err != nil {
		return err
	}
	_, err = secrets.Create(ctx, gatewayKeySecret(GatewayKeySecret, &keys), metav1.CreateOptions{})
	return err
}

func newPrivateKey() (PrivateKey, error) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return PrivateKey{}, err
	}
	return PrivateKey(key.Bytes()), nil
}

func gatewayKeySecret(name string, keys *GatewayKeys) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{keepAnnotation: "keep"}},
		Type:       gatewayKeyType,
		Data:       keys.data(),
	}
}

var errNoGatewayKey = errors.New("holds no key of a gateway")

func parseGatewayKeys(s *corev1.Secret) (keys GatewayKeys, err error) {
	for prefix, key := range keys.fields() {
		private, there := s.Data[prefix+privateKeyField]
		if !there && prefix != "" {
			continue
		}
		if len(private) == len(key) {
			*key = PrivateKey(private)
		}
		if public := key.Public(); public == (v1alpha1.Key{}) || string(s.Data[prefix+publicKeyField]) != public.String() {
			err = errNoGatewayKey
		}
	}
	if err != nil || s.Type != gatewayKeyType {
		return GatewayKeys{}, fmt.Errorf("secret %s %w: restore it from a backup; or delete it, start the gateways again, and provision the boards again", s.Name, errNoGatewayKey)
	}
	return keys, nil
}
