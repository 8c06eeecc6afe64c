// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/picolet/picolet/controlplane/internal/pki"
)

// probeTimeout bounds one question to a component that may hang.
const probeTimeout = 5 * time.Second

// probes asks the components how they are.
type probes struct {
	http   *http.Client // trusts the cluster's authority, sends the admin's certificate
	server string
	client kubernetes.Interface
}

func newProbes(server, kubeconfig string) (*probes, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("admin kubeconfig: %w", err)
	}
	config.Timeout = probeTimeout
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("admin kubeconfig: %w", err)
	}
	client, err := kubernetes.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, fmt.Errorf("admin kubeconfig: %w", err)
	}
	return &probes{http: httpClient, server: server, client: client}, nil
}

// apiServer tells whether the API server is ready, its default roles included.
func (p *probes) apiServer(ctx context.Context) error { return p.get(ctx, p.server+"/readyz") }

// of returns a probe of a path behind a component's own listener.
func (p *probes) of(l net.Listener, path string) func(context.Context) error {
	return func(ctx context.Context) error { return p.get(ctx, "https://"+l.Addr().String()+path) }
}

func (p *probes) get(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil
}

// complete does what is left when all components serve: it lets the API server call
// kubelets, and finds out whether pods can be created, which takes a service account
// that the controllers make. It may be called again when it fails.
func (p *probes) complete(ctx context.Context) error {
	if err := p.bindKubeletClient(ctx); err != nil {
		return err
	}
	_, err := p.client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
	return err
}

// bindKubeletClient gives the API server's client certificate the one role that it
// needs (kubeadm uses the group of cluster administrators in its place).
func (p *probes) bindKubeletClient(ctx context.Context) error {
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "picolet:" + pki.KubeletClient},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:kubelet-api-admin"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: pki.KubeletClient}},
	}
	_, err := p.client.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("let the API server call kubelets: %w", err)
	}
	return nil
}
