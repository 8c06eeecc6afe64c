// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/utils/ptr"
)

func liveSecrets(t *testing.T) coreclient.SecretInterface {
	t.Helper()
	p := livePlane(t)
	return p.client.CoreV1().Secrets(p.namespace(t))
}

func mustEnsure(t *testing.T, secrets coreclient.SecretInterface) GatewayKeys {
	t.Helper()
	keys, err := EnsureGatewayKeys(t.Context(), secrets)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func mustStep(t *testing.T, secrets coreclient.SecretInterface, step func(*GatewayKeys) error) GatewayKeys {
	t.Helper()
	keys, err := UpdateGatewayKeys(t.Context(), secrets, step)
	if err != nil {
		t.Fatal(err)
	}
	if read := mustEnsure(t, secrets); read != keys {
		t.Fatal("the Secret holds other keys than were written")
	}
	return keys
}

func TestGatewayKey(t *testing.T) {
	t.Parallel()
	secrets := liveSecrets(t)
	var keys [8]GatewayKeys
	var all sync.WaitGroup
	for i := range keys {
		all.Go(func() {
			var err error
			if keys[i], err = EnsureGatewayKeys(t.Context(), secrets); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, k := range keys {
		if k != keys[0] || k.Current == (PrivateKey{}) {
			t.Fatal("replicas do not agree on a key")
		}
	}
	s, err := secrets.Get(t.Context(), GatewayKeySecret, metav1.GetOptions{})
	if err != nil || s.Annotations[keepAnnotation] != "keep" {
		t.Fatalf("annotations %v, %v", s.Annotations, err)
	}
	s.Data[privateKeyField][0] ^= 8
	if _, err := secrets.Update(t.Context(), s, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	for name, read := range map[string]func() error{
		"ensure": func() error { _, err := EnsureGatewayKeys(t.Context(), secrets); return err },
		"update": func() error { _, err := UpdateGatewayKeys(t.Context(), secrets, (*GatewayKeys).Rotate); return err },
	} {
		if err := read(); err == nil || !strings.Contains(err.Error(), "restore it") {
			t.Errorf("%s with a damaged key: %v", name, err)
		}
	}
}

// Two rotations, the second before the first is over.
func TestGatewayKeyRotation(t *testing.T) {
	t.Parallel()
	secrets := liveSecrets(t)
	if _, err := UpdateGatewayKeys(t.Context(), secrets, (*GatewayKeys).Rotate); !apierrors.IsNotFound(err) {
		t.Errorf("rotation without a key: %v", err)
	}
	first := mustEnsure(t, secrets).Current
	refused := func(step func(*GatewayKeys) error, want error) {
		t.Helper()
		if _, err := UpdateGatewayKeys(t.Context(), secrets, step); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	refused((*GatewayKeys).Finish, ErrNotRotating)
	refused((*GatewayKeys).DropPrevious, ErrNoPrevious)
	second := mustStep(t, secrets, (*GatewayKeys).Rotate).Next
	refused((*GatewayKeys).Rotate, ErrRotating)
	refused((*GatewayKeys).DropPrevious, ErrNoPrevious)
	if k := mustStep(t, secrets, (*GatewayKeys).Finish); k != (GatewayKeys{Current: second, Previous: first}) {
		t.Error("finished with other keys")
	}
	third := mustStep(t, secrets, (*GatewayKeys).Rotate).Next
	refused((*GatewayKeys).Finish, ErrPrevious)
	if k := mustEnsure(t, secrets); len(k.NewestFirst()) != 3 || k.NewestFirst()[0] != third || k.NewestFirst()[2] != first {
		t.Errorf("%d keys hold, want the newest first", len(k.NewestFirst()))
	}
	mustStep(t, secrets, (*GatewayKeys).DropPrevious)
	mustStep(t, secrets, (*GatewayKeys).Finish)
	if k := mustStep(t, secrets, (*GatewayKeys).DropPrevious); k != (GatewayKeys{Current: third}) {
		t.Error("the rotation is over, and other keys hold")
	}
}

// The Secret of the first gateways is immutable, and has the fields of the current key.
func TestImmutableGatewayKeyIsRotated(t *testing.T) {
	t.Parallel()
	secrets := liveSecrets(t)
	old := makeImmutable(t, secrets)
	keys := mustStep(t, secrets, (*GatewayKeys).Rotate)
	if keys.Current != old || keys.Next == (PrivateKey{}) {
		t.Error("the key was not kept, or there is no next one")
	}
	s, err := secrets.Get(t.Context(), GatewayKeySecret, metav1.GetOptions{})
	if err != nil || !bytes.Equal(s.Data["privateKey"], old[:]) {
		t.Errorf("an older gateway would not find the current key: %v", err)
	}
	if _, err := secrets.Get(t.Context(), gatewayKeyCopy, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the copy is still there: %v", err)
	}
	mustStep(t, secrets, (*GatewayKeys).Finish)
}

func makeImmutable(t *testing.T, secrets coreclient.SecretInterface) PrivateKey {
	t.Helper()
	key, err := newPrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	_, err = secrets.Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: GatewayKeySecret}, Type: gatewayKeyType, Immutable: ptr.To(true),
		Data: map[string][]byte{"privateKey": key[:], "publicKey": []byte(key.Public().String())},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// A rotation that stops between two requests loses no key: what reads the keys next finds
// the copy, and so does the next try.
func TestInterruptedReplacementLosesNoKey(t *testing.T) {
	t.Parallel()
	for stop := range 3 {
		secrets := liveSecrets(t)
		old := makeImmutable(t, secrets)
		broken := &breaking{SecretInterface: secrets, left: stop}
		if _, err := UpdateGatewayKeys(t.Context(), broken, (*GatewayKeys).Rotate); err == nil {
			t.Fatalf("after %d writes: no error", stop)
		}
		if k := mustEnsure(t, secrets); k.Current != old {
			t.Errorf("after %d writes: the key is lost", stop)
		}
		keys, err := UpdateGatewayKeys(t.Context(), secrets, (*GatewayKeys).Rotate)
		if errors.Is(err, ErrRotating) { // the interrupted one was complete
			keys, err = ReadGatewayKeys(t.Context(), secrets)
		}
		if err != nil || keys.Current != old || keys.Next == (PrivateKey{}) {
			t.Errorf("after %d writes, the next try: %v", stop, err)
		}
	}
}

var errBroken = errors.New("connection lost")

// breaking fails after some writes, but for the one that removes an older copy.
type breaking struct {
	coreclient.SecretInterface
	left int
}

func (b *breaking) Create(ctx context.Context, s *corev1.Secret, o metav1.CreateOptions) (*corev1.Secret, error) {
	if b.left--; b.left < 0 {
		return nil, errBroken
	}
	return b.SecretInterface.Create(ctx, s, o)
}

func (b *breaking) Delete(ctx context.Context, name string, o metav1.DeleteOptions) error {
	if name == GatewayKeySecret {
		if b.left--; b.left < 0 {
			return errBroken
		}
	}
	return b.SecretInterface.Delete(ctx, name, o)
}

// An older gateway that starts at the wrong moment makes another key: the copy stays.
func TestForeignGatewayKeyIsNotTaken(t *testing.T) {
	t.Parallel()
	secrets := liveSecrets(t)
	makeImmutable(t, secrets)
	foreign := &racing{SecretInterface: secrets, t: t}
	_, err := UpdateGatewayKeys(t.Context(), foreign, (*GatewayKeys).Rotate)
	if !errors.Is(err, errForeignKey) {
		t.Errorf("%v, want %v", err, errForeignKey)
	}
	if _, err := secrets.Get(t.Context(), gatewayKeyCopy, metav1.GetOptions{}); err != nil {
		t.Errorf("the copy: %v", err)
	}
}

// racing makes another key as soon as the Secret is gone.
type racing struct {
	coreclient.SecretInterface
	t *testing.T
}

func (r *racing) Delete(ctx context.Context, name string, o metav1.DeleteOptions) error {
	err := r.SecretInterface.Delete(ctx, name, o)
	if name == GatewayKeySecret && err == nil {
		makeImmutable(r.t, r.SecretInterface)
	}
	return err
}

func TestPrivateKeysAreNotPrinted(t *testing.T) {
	t.Parallel()
	key := PrivateKey([]byte("secret-private-key-of-32-bytes.."))
	keys := GatewayKeys{Current: key, Next: key, Previous: key}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		fmt.Fprintf(&out, verb+verb, keys, &keys)
	}
	text, err := json.Marshal(keys)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	for _, form := range []string{"secret", "7365637265742d", "115 101 99", "0x73, 0x65"} {
		if strings.Contains(out.String(), form) {
			t.Errorf("printed: %s", out.String())
		}
	}
}
