// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/picolet/picolet/deploy"
)

func without(prefix string) func(authorizationv1.ResourceAttributes) bool {
	return func(a authorizationv1.ResourceAttributes) bool { return strings.HasPrefix(a.Verb, prefix) }
}

// TestIdentity: which way to act for nodes is found, by what the API server knows
// and what rights there are, and what Preflight says where there is none.
func TestIdentity(t *testing.T) {
	t.Parallel()
	plain := (&Config{}).plainRights()
	wide := append(slices.Clone(plain), Right{ResourceAttributes: anyUser})
	for name, tt := range map[string]struct {
		identity IdentityMode
		old      bool
		more     []Right
		deny     func(authorizationv1.ResourceAttributes) bool
		want     IdentityMode // empty: none
		says     []string     // by error or log
	}{
		"auto, constrained":               {want: IdentityConstrained, says: []string{"identity=constrained"}},
		"auto, both":                      {more: plain, want: IdentityPlain},
		"auto, old server":                {old: true, more: plain, want: IdentityPlain, says: []string{"identity=plain"}},
		"auto, old server, any user":      {old: true, more: wide, want: IdentityPlain, says: []string{"can act for any user of the cluster"}},
		"auto, old server, no rights":     {old: true, says: []string{"must be Kubernetes 1.36 or newer", "deploy/plain-impersonation.yaml", "deploy/certificates.yaml"}},
		"auto, no group":                  {more: plain[1:], says: []string{"may not impersonate groups system:nodes: run kubectl apply -f deploy/plain-impersonation.yaml"}},
		"auto, no rights":                 {deny: without("impersonate"), says: []string{"may not impersonate:arbitrary-node nodes", "kubectl apply -f deploy/rbac.yaml"}},
		"constrained, old server":         {identity: IdentityConstrained, old: true, says: []string{"must be Kubernetes 1.36 or newer"}},
		"plain":                           {identity: IdentityPlain, more: plain, want: IdentityPlain},
		"constrained, both":               {identity: IdentityConstrained, more: plain, says: []string{"run kubectl delete -f deploy/plain-impersonation.yaml"}},
		"plain, no rights":                {identity: IdentityPlain, says: []string{"may not impersonate groups system:nodes", "kubectl apply -f deploy/plain-impersonation.yaml"}},
		"certificates":                    {identity: IdentityCertificates, more: certificateRights(), want: IdentityCertificates},
		"certificates, no rights":         {identity: IdentityCertificates, says: []string{"may not create certificatesigningrequests.certificates.k8s.io", "approve signers.certificates.k8s.io kubernetes.io/kube-apiserver-client-kubelet: run kubectl apply -f deploy/certificates.yaml"}},
		"certificates, impersonation off": {identity: IdentityCertificates, more: certificateRights(), deny: without("impersonate"), want: IdentityCertificates},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				api := newFakeAPI()
				api.old, api.more, api.deny = tt.old, tt.more, func(a authorizationv1.ResourceAttributes) bool { return tt.deny != nil && tt.deny(a) }
				h := startPiped(t, api, func(c *Config) { c.Identity, c.Credentials = tt.identity, stubCredentials{api: api} })
				synctest.Wait()
				err := h.rights.get()
				said := h.log.String()
				if tt.want == "" && err == nil || tt.want != "" && (err != nil || h.upstream.mode() != tt.want) {
					t.Errorf("%s, %v", h.upstream.mode(), err)
				}
				if err != nil {
					said = err.Error()
				}
				for _, want := range tt.says {
					if !strings.Contains(said, want) {
						t.Errorf("lacks %q:\n%s", want, said)
					}
				}
				if strings.Contains(said, "any user of the cluster") != (len(tt.more) == len(wide)) {
					t.Errorf("warning about any user:\n%s", said)
				}
				endBubble(t, h)
			})
		})
	}
}

// TestIdentityIsFoundAgain: after the API server has lost the feature, and the rights
// were given for the other way, the gateway goes on in that.
func TestIdentityIsFoundAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI()
		api.node = func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Impersonate-Group") == "" && api.isOld() {
				writeTestJSON(w, http.StatusForbidden, metav1.Status{Message: `users "x" is forbidden: User "a" cannot impersonate resource "users"`})
				return
			}
			_, _ = io.WriteString(w, "{}")
		}
		h := startPiped(t, api)
		if r := h.get(t, "pico-1", own); r.code != http.StatusOK {
			t.Fatalf("%d %s", r.code, r.body)
		}
		api.set(func() { api.old, api.more = true, (&Config{}).plainRights() })
		if r := h.get(t, "pico-1", own); r.code != http.StatusBadGateway {
			t.Errorf("without the feature: %d %s", r.code, r.body)
		}
		time.Sleep(5 * time.Second)
		if r := h.get(t, "pico-1", own); r.code != http.StatusOK || h.upstream.mode() != IdentityPlain {
			t.Errorf("after a new Preflight: %d, %s", r.code, h.upstream.mode())
		}
		endBubble(t, h)
	})
}

func (f *fakeAPI) isOld() (old bool) {
	f.set(func() { old = f.old })
	return old
}

// TestRightsBeside: what another package needs is asked for too, and all that is
// missing is named at once.
func TestRightsBeside(t *testing.T) {
	t.Parallel()
	api := newFakeAPI()
	api.deny = func(a authorizationv1.ResourceAttributes) bool { return a.Resource == "events" }
	g, err := New(Config{Kubernetes: &rest.Config{Host: "https://api.test", Transport: handlerTransport{api}}})
	if err != nil {
		t.Fatal(err)
	}
	reviews := Right{Manifest: "deploy/kubelet-port.yaml", ResourceAttributes: authorizationv1.ResourceAttributes{Verb: "create", Group: "authentication.k8s.io", Resource: "tokenreviews"}}
	err = g.Preflight(t.Context(), reviews)
	for _, want := range []string{
		"may not impersonate-on:arbitrary-node:create events in namespace default: run kubectl apply -f deploy/rbac.yaml",
		"may not create tokenreviews.authentication.k8s.io: run kubectl apply -f deploy/kubelet-port.yaml",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("lacks %q: %v", want, err)
		}
	}
	if n := strings.Count(g.Preflight(t.Context(), reviews, Right{Manifest: "deploy/rbac.yaml", ResourceAttributes: authorizationv1.ResourceAttributes{
		Verb: "impersonate-on:arbitrary-node:create", Resource: "events", Namespace: "default"}}).Error(), "events in namespace"); n != 1 {
		t.Errorf("a right that is missing twice is named %d times", n)
	}
	api.set(func() { api.deny, api.more = nil, []Right{reviews} })
	if err := g.Preflight(t.Context(), reviews); err != nil {
		t.Error(err)
	}
}

// TestCertificatesIsTheLeast: certificates.yaml grants what Preflight asks for, the
// Secrets, and nothing else.
func TestCertificatesIsTheLeast(t *testing.T) {
	t.Parallel()
	granted, err := deploy.Rights(deploy.Certificates)
	if err != nil {
		t.Fatal(err)
	}
	for _, right := range certificateRights() {
		i := slices.Index(granted, right.ResourceAttributes)
		if i < 0 {
			t.Fatalf("%s is not granted", describe(right.ResourceAttributes))
		}
		granted = slices.Delete(granted, i, i+1)
	}
	for _, right := range granted {
		if right.Resource != "secrets" || right.Namespace != "picolet-system" || right.Verb == "list" || right.Verb == "watch" {
			t.Errorf("granted beside: %s", describe(right))
		}
	}
}

// stubCredentials sends a node's requests to the API by a head that a real one
// would not have, so that the fake can tell.
type stubCredentials struct {
	api *fakeAPI
	err error
}

func (s stubCredentials) Transport(_ context.Context, node string) (http.RoundTripper, error) {
	if s.err != nil {
		return nil, s.err
	}
	return certified{s.api, node}, nil
}

type certified struct {
	api  *fakeAPI
	node string
}

func (c certified) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Certificate", c.node)
	return handlerTransport{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.api.set(func() {
			c.api.requests = append(c.api.requests, recorded{method: r.Method, uri: r.RequestURI, header: r.Header.Clone()})
		})
		w.Header().Set("Content-Type", jsonType)
		_, _ = io.WriteString(w, "{}")
	})}.RoundTrip(r)
}

// TestCertificatesGoUpstream: a board's request goes over its node's transport,
// without any impersonation; where there is none, the board is told to come again.
func TestCertificatesGoUpstream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI()
		api.more = certificateRights()
		h := startPiped(t, api, func(c *Config) { c.Identity, c.Credentials = IdentityCertificates, stubCredentials{api: api} })
		if r := h.get(t, "pico-1", own); r.code != http.StatusOK {
			t.Errorf("%d %s", r.code, r.body)
		}
		last := api.requests[len(api.requests)-1]
		if last.header.Get("X-Certificate") != "pico-1" || len(last.header) != 3 { // with Accept and User-Agent
			t.Errorf("upstream: %v", last.header)
		}
		without := startPiped(t, api, func(c *Config) {
			c.Identity, c.Credentials = IdentityCertificates, stubCredentials{err: errors.New("nobody signs")}
		})
		r := without.get(t, "pico-1", own)
		if r.code != http.StatusServiceUnavailable || r.header.Get("Retry-After") == "" || !strings.Contains(without.log.String(), "nobody signs") {
			t.Errorf("without a certificate: %d %s\n%s", r.code, r.body, without.log)
		}
		endBubble(t, h)
		endBubble(t, without)
	})
}

// TestNodeConfig: a client made of it acts for its node in the gateway's way, and
// cannot name another.
func TestNodeConfig(t *testing.T) {
	t.Parallel()
	for mode, want := range map[IdentityMode]http.Header{
		IdentityConstrained:  {"Impersonate-User": {"system:node:pico-1"}},
		IdentityPlain:        {"Impersonate-User": {"system:node:pico-1"}, "Impersonate-Group": {"system:nodes"}},
		IdentityCertificates: {"X-Certificate": {"pico-1"}},
	} {
		api := newFakeAPI()
		g, err := New(Config{Kubernetes: &rest.Config{Host: "https://api.test", Transport: handlerTransport{api}}, Identity: mode, Credentials: stubCredentials{api: api}})
		if err != nil {
			t.Fatal(err)
		}
		c := g.NodeConfig("pico-1")
		c.BearerToken = "somebody"
		c.Impersonate.UserName = "system:node:pico-2"
		if _, err := kubernetes.NewForConfigOrDie(c).CoreV1().Nodes().Get(t.Context(), "pico-1", metav1.GetOptions{}); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
		got := api.requests[0].header
		for _, name := range []string{"Impersonate-User", "Impersonate-Group", "X-Certificate", "Authorization"} {
			if !slices.Equal(got[name], want[name]) {
				t.Errorf("%s: head %v", mode, got)
			}
		}
	}
	g, err := New(Config{Kubernetes: &rest.Config{Host: "https://api.test/prefix", Transport: handlerTransport{newFakeAPI()}}, Identity: IdentityCertificates, Credentials: stubCredentials{err: errors.New("nobody signs")}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kubernetes.NewForConfigOrDie(g.NodeConfig("pico-1")).CoreV1().Nodes().Get(t.Context(), "pico-1", metav1.GetOptions{}); err == nil || !strings.Contains(err.Error(), "nobody signs") || !strings.Contains(err.Error(), "/prefix/api") {
		t.Errorf("without a certificate: %v", err)
	}
}

func TestIdentityIsValidated(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]Config{
		`field Identity is "admin"`:     {Kubernetes: &rest.Config{}, Identity: "admin"},
		"field Credentials is required": {Kubernetes: &rest.Config{}, Identity: IdentityCertificates},
	} {
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}
