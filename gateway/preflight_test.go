// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/picolet/picolet/deploy"
)

// TestRBACIsTheLeast: rbac.yaml grants what Preflight asks for, the list of nodes, the one
// ConfigMap, and nothing else.
func TestRBACIsTheLeast(t *testing.T) {
	t.Parallel()
	var granted []string
	for document := range strings.SplitSeq(string(deploy.RBAC), "\n---\n") {
		var role rbacv1.ClusterRole // a Role has the same fields
		if err := yaml.Unmarshal([]byte(document), &role); err != nil {
			t.Fatal(err)
		}
		for _, rule := range role.Rules {
			for _, verb := range rule.Verbs {
				right := authorizationv1.ResourceAttributes{Verb: verb, Group: rule.APIGroups[0], Namespace: role.Namespace}
				right.Resource, right.Subresource, _ = strings.Cut(rule.Resources[0], "/")
				granted = append(granted, describe(right)+strings.Join(rule.ResourceNames, ","))
				if len(rule.APIGroups) != 1 || len(rule.Resources) != 1 {
					t.Errorf("rule %v: one group and one resource each, to be read at a glance", rule)
				}
			}
		}
	}
	want := []string{"list nodes", "get configmaps in namespace defaultpico-config", "list configmaps in namespace defaultpico-config", "watch configmaps in namespace defaultpico-config"}
	for _, right := range constrainedRights() {
		want = append(want, describe(right.ResourceAttributes))
	}
	slices.Sort(want)
	slices.Sort(granted)
	if !slices.Equal(granted, want) {
		t.Errorf("granted\n%s\nneeded\n%s", strings.Join(granted, "\n"), strings.Join(want, "\n"))
	}
}

func TestClusterAdminIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI()
		api.all = true
		h := startPiped(t, api)
		synctest.Wait()
		err := h.stop()
		if !errors.Is(err, ErrClusterAdmin) || !strings.Contains(err.Error(), gatewayUser) || !strings.Contains(err.Error(), "kubectl apply -f deploy/rbac.yaml") {
			t.Errorf("Serve: %v", err)
		}
		allowed := startPiped(t, api, func(c *Config) { c.AllowClusterAdmin = true })
		synctest.Wait()
		if r := allowed.get(t, "pico-1", own); r.code != http.StatusOK {
			t.Errorf("allowed: %d %s", r.code, r.body)
		}
		if asked := api.asked(); len(asked) != 1 || asked[0].header.Get("Impersonate-Group") != "system:nodes" {
			t.Errorf("asked: %+v", asked)
		}
		endBubble(t, allowed)
	})
}

// TestMissingRights: all of them are named at once; boards are kept out; the
// gateway is ready as soon as they are granted.
func TestMissingRights(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI()
		granted := make(chan struct{})
		api.deny = func(a authorizationv1.ResourceAttributes) bool {
			select {
			case <-granted:
				return false
			default:
				return a.Resource == "leases" || a.Resource == "events"
			}
		}
		h := startPiped(t, api)
		synctest.Wait()
		err := h.rights.get()
		if !errors.Is(err, ErrRightsMissing) {
			t.Fatal(err)
		}
		for _, want := range []string{"create leases.coordination.k8s.io in namespace kube-node-lease", "update leases", "create events in namespace default", gatewayUser, "rbac.yaml"} {
			want = strings.NewReplacer("create ", "impersonate-on:arbitrary-node:create ", "update ", "impersonate-on:arbitrary-node:update ").Replace(want)
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error lacks %q: %v", want, err)
			}
		}
		if r := h.get(t, "pico-1", own); r.code != http.StatusServiceUnavailable || r.header.Get("Retry-After") == "" {
			t.Errorf("a board: %d %s", r.code, r.body)
		}
		if code, body := admin(h, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "lacks rights") {
			t.Errorf("/readyz: %d %s", code, body)
		}
		close(granted)
		time.Sleep(20 * time.Second)
		if r := h.get(t, "pico-1", own); r.code != http.StatusOK {
			t.Errorf("after the grant: %d %s", r.code, r.body)
		}
		if code, body := admin(h, "/readyz"); code != http.StatusOK {
			t.Errorf("/readyz: %d %s", code, body)
		}
		api.set(func() { api.down = true })
		if code, body := admin(h, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "api.test") {
			t.Errorf("/readyz without API server: %d %s", code, body)
		}
		if code, _ := admin(h, "/healthz"); code != http.StatusOK {
			t.Errorf("/healthz: %d", code)
		}
		endBubble(t, h)
	})
}

// TestStartsWithoutAPIServer: a gateway that is started first waits.
func TestStartsWithoutAPIServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI()
		api.down = true
		h := startPiped(t, api)
		time.Sleep(time.Minute)
		if r := h.get(t, "pico-1", own); r.code != http.StatusServiceUnavailable {
			t.Errorf("without API server: %d %s", r.code, r.body)
		}
		api.set(func() { api.down = false })
		time.Sleep(20 * time.Second)
		if r := h.get(t, "pico-1", own); r.code != http.StatusOK {
			t.Errorf("with API server: %d %s", r.code, r.body)
		}
		endBubble(t, h)
	})
}

func admin(h *harness, path string) (int, string) {
	w := httptest.NewRecorder()
	h.AdminHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestConfigIsValidated(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]Config{
		"field Kubernetes is required":   {},
		"field Kubernetes impersonates":  {Kubernetes: &rest.Config{Impersonate: rest.ImpersonationConfig{UserName: "x"}}},
		"field NodeNames: pattern \"[\"": {Kubernetes: &rest.Config{}, NodeNames: []string{"["}},
		"field MaxBoards is -1":          {Kubernetes: &rest.Config{}, MaxBoards: -1},
		"field MaxConfigMaps is -1":      {Kubernetes: &rest.Config{}, MaxConfigMaps: -1},
		"API server address":             {Kubernetes: &rest.Config{Host: "https://a b"}},
		"credentials for the API server": {Kubernetes: &rest.Config{Host: "https://a", TLSClientConfig: rest.TLSClientConfig{CAFile: "/nonexistent"}}},
	} {
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}
