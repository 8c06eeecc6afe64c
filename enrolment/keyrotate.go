// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/utils/ptr"
)

// gatewayKeyCopy is the Secret that holds the keys while an immutable one, as the first
// gateways made it, is replaced.
const gatewayKeyCopy = GatewayKeySecret + "-copy"

// What keeps a step of a rotation from being taken.
var (
	ErrRotating    = errors.New("a next key is there already: picolet gateway key rotate --finish, once the boards have it")
	ErrNotRotating = errors.New("there is no next key: picolet gateway key rotate makes one")
	ErrPrevious    = errors.New("the previous key still holds: drop it first, by picolet gateway key rotate --drop-old")
	ErrNoPrevious  = errors.New("there is no previous key to drop")
)

// Rotate makes the next key, which boards learn from then on. The error can be
// ErrRotating.
func (k *GatewayKeys) Rotate() (err error) {
	if k.Next != (PrivateKey{}) {
		return ErrRotating
	}
	k.Next, err = newPrivateKey()
	return err
}

// Finish makes the next key the current one. The one before still holds, for boards that
// were away. Errors are ErrNotRotating and ErrPrevious.
func (k *GatewayKeys) Finish() error {
	switch {
	case k.Next == PrivateKey{}:
		return ErrNotRotating
	case k.Previous != PrivateKey{}:
		return ErrPrevious
	}
	k.Current, k.Next, k.Previous = k.Next, PrivateKey{}, k.Current
	return nil
}

// DropPrevious ends the previous key. The error is ErrNoPrevious.
func (k *GatewayKeys) DropPrevious() error {
	if k.Previous == (PrivateKey{}) {
		return ErrNoPrevious
	}
	k.Previous = PrivateKey{}
	return nil
}

// UpdateGatewayKeys applies a step of a rotation to the keys in their Secret. Errors of
// change are returned as they are, and nothing is changed then.
func UpdateGatewayKeys(ctx context.Context, secrets coreclient.SecretInterface, change func(*GatewayKeys) error) (GatewayKeys, error) {
	for range maxAttempts {
		old, err := secrets.Get(ctx, GatewayKeySecret, metav1.GetOptions{})
		if err != nil {
			return GatewayKeys{}, fmt.Errorf("the gateway's key in secret %s: %w", GatewayKeySecret, err)
		}
		keys, err := parseGatewayKeys(old)
		if err != nil {
			return GatewayKeys{}, err
		}
		if err := change(&keys); err != nil {
			return GatewayKeys{}, err
		}
		if err = writeGatewayKeys(ctx, secrets, old, &keys); err == nil {
			return keys, nil
		}
		if !apierrors.IsConflict(err) {
			return GatewayKeys{}, fmt.Errorf("writing secret %s: %w", GatewayKeySecret, err)
		}
	}
	return GatewayKeys{}, fmt.Errorf("writing secret %s: %w", GatewayKeySecret, errContended)
}

func writeGatewayKeys(ctx context.Context, secrets coreclient.SecretInterface, old *corev1.Secret, keys *GatewayKeys) error {
	if ptr.Deref(old.Immutable, false) {
		return replaceGatewayKeys(ctx, secrets, old, keys)
	}
	s := old.DeepCopy()
	s.Data = keys.data()
	if s.Annotations == nil {
		s.Annotations = make(map[string]string, 1)
	}
	s.Annotations[keepAnnotation] = "keep"
	_, err := secrets.Update(ctx, s, metav1.UpdateOptions{})
	return err
}

// replaceGatewayKeys puts a new Secret in the place of an immutable one. At each moment
// one of the Secret and its copy is there: a gateway that starts between finds the copy.
func replaceGatewayKeys(ctx context.Context, secrets coreclient.SecretInterface, old *corev1.Secret, keys *GatewayKeys) error {
	if err := dropCopy(ctx, secrets); err != nil {
		return err
	}
	if _, err := secrets.Create(ctx, gatewayKeySecret(gatewayKeyCopy, keys), metav1.CreateOptions{}); err != nil {
		return err
	}
	err := secrets.Delete(ctx, old.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: ptr.To(old.UID), ResourceVersion: ptr.To(old.ResourceVersion)}})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	_, err = secrets.Create(ctx, gatewayKeySecret(GatewayKeySecret, keys), metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) { // a gateway has made it, of the copy if it knows that
		err = errForeignKey
		if made, readErr := ReadGatewayKeys(ctx, secrets); readErr != nil || made == *keys {
			err = readErr
		}
	}
	if err != nil {
		return err
	}
	return dropCopy(ctx, secrets)
}

var errForeignKey = errors.New("a gateway of an older version has made a key meanwhile: stop it, delete the secret, and picolet gateway key list restores the keys from secret " + gatewayKeyCopy)

func dropCopy(ctx context.Context, secrets coreclient.SecretInterface) error {
	err := secrets.Delete(ctx, gatewayKeyCopy, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
