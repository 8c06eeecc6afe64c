// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"

	"github.com/picolet/picolet/gateway"
)

// The gateway's identity, as deploy/rbac.yaml makes it.
const (
	gatewayNamespace = "picolet-system"
	gatewayAccount   = "picolet-gateway"
)

const anyPort = "127.0.0.1:0"

// identity is what a ServiceAccount can do with a token of its own.
func (p *plane) identity(ctx context.Context, account string) (*rest.Config, error) {
	hour := int64(time.Hour.Seconds())
	token, err := p.client.CoreV1().ServiceAccounts(gatewayNamespace).CreateToken(ctx, account,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &hour}}, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	c := rest.AnonymousClientConfig(p.config)
	c.BearerToken = token.Status.Token
	return c, nil
}

// gatewayRun is a gateway that runs.
type gatewayRun struct {
	*gateway.Gateway
	addr   string // that boards reach it at
	admin  *httptest.Server
	log    *logBuffer
	cancel context.CancelFunc
	ended  chan struct{} // closed when err is set
	err    error
}

// runGateway starts a gateway under a ServiceAccount, and waits until it is
// ready.
func runGateway(ctx context.Context, p *plane, account, addr string) (*gatewayRun, error) {
	identity, err := p.identity(ctx, account)
	if err != nil {
		return nil, err
	}
	r := &gatewayRun{log: new(logBuffer), ended: make(chan struct{})}
	log := slog.New(slog.NewTextHandler(r.log, nil))
	g, err := gateway.New(gateway.Config{Kubernetes: identity, Logger: log})
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	r.Gateway, r.addr = g, l.Addr().String()
	r.admin = httptest.NewServer(g.AdminHandler())
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r.cancel = cancel
	go func() {
		defer close(r.ended)
		r.err = g.Serve(serving, l)
	}()
	if err := r.waitReady(ctx); err != nil {
		return nil, fmt.Errorf("gateway: %w\n%s", cmp.Or(r.stop(), err), r.log.String())
	}
	return r, nil
}

func (r *gatewayRun) waitReady(ctx context.Context) error {
	return wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		answer, err := r.admin.Client().Get(r.admin.URL + "/readyz")
		if err != nil {
			return false, err
		}
		return answer.StatusCode == http.StatusOK, answer.Body.Close()
	})
}

// stop ends the gateway, if it runs, and waits for its end.
func (r *gatewayRun) stop() error {
	r.cancel()
	r.admin.Close()
	<-r.ended
	return r.err
}

// ownGateway starts a gateway for one test.
func ownGateway(t *testing.T, p *plane, account, addr string) *gatewayRun {
	t.Helper()
	r, err := runGateway(t.Context(), p, account, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("gateway: %v", err)
		}
		if t.Failed() {
			t.Logf("gateway:\n%s", r.log)
		}
	})
	return r
}

// metric reads one of the gateway's metrics without labels.
func (r *gatewayRun) metric(ctx context.Context, name string) (float64, error) {
	text, err := getText(ctx, r.admin.URL+"/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			var v float64
			_, err := fmt.Sscan(value, &v)
			return v, err
		}
	}
	return 0, fmt.Errorf("no metric %s", name)
}

// secondAccount makes a ServiceAccount with the rights of the gateway's, so
// that the audit log tells what the gateway under it asked for.
func (p *plane) secondAccount(t *testing.T) string {
	t.Helper()
	account := unique("gateway")
	subject := gatewaySubject(account)
	_, err := p.client.CoreV1().ServiceAccounts(gatewayNamespace).Create(t.Context(),
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: account}}, metav1.CreateOptions{})
	must(t, err)
	_, err = p.client.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: account}, Subjects: []rbacv1.Subject{subject},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: gatewayAccount},
	}, metav1.CreateOptions{})
	must(t, err)
	for _, ns := range []string{corev1.NamespaceNodeLease, corev1.NamespaceDefault} {
		p.bind(t, ns, account, gatewayAccount, subject)
	}
	return account
}

func (p *plane) bind(tb testing.TB, ns, name, role string, subject rbacv1.Subject) {
	tb.Helper()
	_, err := p.client.RbacV1().RoleBindings(ns).Create(tb.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Subjects: []rbacv1.Subject{subject},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role},
	}, metav1.CreateOptions{})
	must(tb, err)
}

// allowConfigMap lets a user or ServiceAccount read a ConfigMap, as the comment
// in deploy/rbac.yaml has it, and waits until it may.
func (p *plane) allowConfigMap(tb testing.TB, subject rbacv1.Subject, name string) {
	tb.Helper()
	role := unique("read-" + name)
	_, err := p.client.RbacV1().Roles(namespace).Create(tb.Context(), &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: role},
		Rules: []rbacv1.PolicyRule{{
			Verbs: []string{"get", "list", "watch"}, APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{name},
		}},
	}, metav1.CreateOptions{})
	must(tb, err)
	p.bind(tb, namespace, role, role, subject)
	user := subject.Name
	if subject.Kind == rbacv1.ServiceAccountKind {
		user = "system:serviceaccount:" + subject.Namespace + ":" + subject.Name
	}
	p.waitAllowed(tb, user, &authorizationv1.ResourceAttributes{Namespace: namespace, Verb: "list", Resource: "configmaps", Name: name})
}

func (p *plane) waitAllowed(tb testing.TB, user string, right *authorizationv1.ResourceAttributes) {
	tb.Helper()
	eventually(tb, 10*time.Second, func(ctx context.Context) error {
		review, err := p.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{User: user, ResourceAttributes: right},
		}, metav1.CreateOptions{})
		if err == nil && !review.Status.Allowed {
			err = fmt.Errorf("%s may not yet %s %s", user, right.Verb, right.Resource)
		}
		return err
	})
}

// gatewaySubject is a gateway's ServiceAccount as roles are bound to it.
func gatewaySubject(account string) rbacv1.Subject {
	return rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: gatewayNamespace, Name: account}
}
