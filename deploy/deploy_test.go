// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// fakeAPI serves discovery of two groups and takes server-side applies.
type fakeAPI struct {
	mu      sync.Mutex
	applied []string
	fail    string // path that is refused
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if r.Method == http.MethodPatch {
		f.patch(w, r)
		return
	}
	answers := map[string]any{
		"/api":  metav1.APIVersions{Versions: []string{"v1"}},
		"/apis": metav1.APIGroupList{},
		"/api/v1": metav1.APIResourceList{GroupVersion: "v1", APIResources: []metav1.APIResource{
			{Name: "namespaces", Kind: "Namespace"}, {Name: "configmaps", Kind: "ConfigMap", Namespaced: true}}},
	}
	answer, ok := answers[r.URL.Path]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (f *fakeAPI) patch(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == f.fail {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.applied = append(f.applied, r.URL.Path+" "+r.Header.Get("Content-Type")+" "+r.URL.Query().Get("fieldManager"))
	body, _ := io.ReadAll(r.Body)
	_, _ = w.Write(body)
}

const manifests = `# a comment
---
apiVersion: v1
kind: Namespace
metadata: {name: a}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: b, namespace: a}
`

func TestApply(t *testing.T) {
	t.Parallel()
	api := &fakeAPI{}
	server := httptest.NewServer(api)
	defer server.Close()
	config := &rest.Config{Host: server.URL}
	if err := Apply(t.Context(), config, []byte(manifests)); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"/api/v1/namespaces/a application/apply-patch+yaml picolet",
		"/api/v1/namespaces/a/configmaps/b application/apply-patch+yaml picolet",
	}
	if !slices.Equal(api.applied, want) {
		t.Errorf("applied %q", api.applied)
	}
	api.fail = "/api/v1/namespaces/a/configmaps/b"
	if err := Apply(t.Context(), config, []byte(manifests)); err == nil || !strings.Contains(err.Error(), "applying ConfigMap b") {
		t.Errorf("refused object: %v", err)
	}
}

// TestApplyNothingOfBadManifests: manifests are read to the end first.
func TestApplyNothingOfBadManifests(t *testing.T) {
	t.Parallel()
	api := &fakeAPI{}
	server := httptest.NewServer(api)
	defer server.Close()
	for name, bad := range map[string]string{
		"no kind":       "apiVersion: v1\nmetadata: {name: x}\n",
		"no name":       "apiVersion: v1\nkind: ConfigMap\n",
		"key twice":     "apiVersion: v1\nkind: ConfigMap\nkind: Secret\nmetadata: {name: x}\n",
		"no YAML":       "{",
		"not an object": "- a\n",
	} {
		if err := Apply(t.Context(), &rest.Config{Host: server.URL}, []byte(manifests+"---\n"+bad)); err == nil || !strings.Contains(err.Error(), "manifest 3") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(api.applied) > 0 {
		t.Errorf("applied %q", api.applied)
	}
}

func TestRBACDecodes(t *testing.T) {
	t.Parallel()
	objects, err := decode(RBAC)
	if err != nil || len(objects) < 8 {
		t.Fatalf("%d objects: %v", len(objects), err)
	}
}

// What is deleted with a manifest is no namespace and no Secret: the gateway's key
// stays.
func TestManifestsHoldNoKey(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.yaml")
	if err != nil || len(files) < 6 {
		t.Fatalf("%d manifests, %v", len(files), err)
	}
	for _, name := range files {
		manifests, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		objects, err := decode(manifests)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, o := range objects {
			if o.GetKind() == "Secret" || (o.GetKind() == "Namespace") != (name == "namespace.yaml") {
				t.Errorf("%s holds %s %s", name, o.GetKind(), o.GetName())
			}
		}
	}
}
