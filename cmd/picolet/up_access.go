// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/picolet/picolet/deploy"
)

// The gateway's identity, as deploy/rbac.yaml makes it.
const (
	gatewayNamespace = "picolet-system"
	gatewayAccount   = "picolet-gateway"
)

// Life of the gateway's token, and the pause after a failure to renew it.
const (
	tokenLife  = time.Hour
	tokenRetry = 10 * time.Second
)

// makeAccess gives the gateway its roles and a token, and boards their
// ConfigMap, with the admin's rights. It returns the gateway's identity.
func (u *up) makeAccess(ctx context.Context, admin *rest.Config, client kubernetes.Interface) (*rest.Config, error) {
	for _, manifests := range [][]byte{deploy.Namespace, deploy.Devices, deploy.RBAC, deploy.Enrolment, deploy.KubeletPort, deploy.Admission} {
		if err := deploy.Apply(ctx, admin, manifests); err != nil {
			return nil, err
		}
	}
	if err := createExample(ctx, client); err != nil {
		return nil, err
	}
	if _, err := u.renewToken(ctx, client); err != nil {
		return nil, err
	}
	identity := rest.AnonymousClientConfig(admin)
	identity.BearerTokenFile = u.tokenFile()
	return identity, nil
}

// createExample makes the ConfigMap that boards read by default, if there is
// none.
func createExample(ctx context.Context, client kubernetes.Interface) error {
	example := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "pico-config"},
		Data:       map[string]string{"memory_values": "0=0x42,1=0x43"},
	}
	_, err := client.CoreV1().ConfigMaps("default").Create(ctx, example, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("ConfigMap default/pico-config: %w", err)
	}
	return nil
}

func (u *up) tokenFile() string { return filepath.Join(u.dir, "gateway.token") }

// renewToken writes a new token and returns when to do so again: at four
// fifths of its life.
func (u *up) renewToken(ctx context.Context, client kubernetes.Interface) (time.Duration, error) {
	seconds := int64(tokenLife.Seconds())
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	answer, err := client.CoreV1().ServiceAccounts(gatewayNamespace).CreateToken(ctx, gatewayAccount, request, metav1.CreateOptions{})
	if err != nil {
		return 0, fmt.Errorf("token for the gateway: %w", err)
	}
	if err := writeSecret(u.tokenFile(), answer.Status.Token); err != nil {
		return 0, fmt.Errorf("token for the gateway: %w", err)
	}
	life := time.Until(answer.Status.ExpirationTimestamp.Time)
	return max(life*4/5, tokenRetry), nil
}

// keepToken renews the gateway's token until ctx ends.
func (u *up) keepToken(ctx context.Context, client kubernetes.Interface) error {
	for next := tokenLife * 4 / 5; pause(ctx, next); {
		var err error
		if next, err = u.renewToken(ctx, client); err != nil && ctx.Err() == nil {
			u.log.Error("Cannot renew the gateway's token, trying again", "err", err)
			next = tokenRetry
		}
	}
	return nil
}
