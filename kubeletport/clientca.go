// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// Where the API server publishes the CA of its clients
// (k8s.io/apiserver/pkg/server/options/authentication.go).
const (
	authenticationConfigMap = "extension-apiserver-authentication"
	clientCAKey             = "client-ca-file"
)

// clientCA is the CA by which the cluster's clients prove who they are. It
// follows the ConfigMap; a change that cannot be read leaves it as it was.
type clientCA struct {
	log    *slog.Logger
	pool   atomic.Pointer[x509.CertPool] // nil: no certificate is accepted
	synced atomic.Bool
}

// run watches the ConfigMap until ctx ends.
func (c *clientCA) run(ctx context.Context, client kubernetes.Interface) {
	informer := coreinformers.NewFilteredConfigMapInformer(client, metav1.NamespaceSystem, 0, nil, func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, authenticationConfigMap).String()
	})
	_ = informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, _ *cache.Reflector, err error) { // errs once it is started
		if ctx.Err() == nil {
			c.log.Warn("Cannot watch the cluster's client CA", "err", err)
		}
	})
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    c.set,
		UpdateFunc: func(_, now any) { c.set(now) },
		DeleteFunc: func(any) { c.pool.Store(nil) },
	})
	if err != nil {
		panic(err) // only a stopped informer refuses a handler
	}
	go func() {
		if cache.WaitForCacheSync(ctx.Done(), registration.HasSynced) {
			c.synced.Store(true)
		}
	}()
	informer.RunWithContext(ctx)
}

func (c *clientCA) set(object any) {
	m, ok := object.(*corev1.ConfigMap)
	if !ok || m.Name != authenticationConfigMap {
		return
	}
	bundle := m.Data[clientCAKey]
	if bundle == "" {
		c.pool.Store(nil)
		return
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(bundle)) {
		c.log.Error("The cluster's client CA cannot be read, so the last one stays", "err", errors.New("no certificate in "+clientCAKey))
		return
	}
	c.pool.Store(pool)
}
