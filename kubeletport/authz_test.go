// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	clocktesting "k8s.io/utils/clock/testing"
)

const podPath = "/kube-system/picolet-pico-1/firmware"

// questionTests are the rights that each path needs, as the table of
// pkg/kubelet/server/auth.go has them. All are asked for where none is given.
var questionTests = []struct {
	method, path string
	verb         string
	subresources string
}{
	{"GET", "/healthz", "get", "healthz proxy"},
	{"GET", "/healthz/ping", "get", "healthz proxy"},
	{"GET", "/healthz/log", "get", "healthz proxy"},
	{"GET", "/healthz/syncloop", "get", "healthz proxy"},
	{"GET", "/livez", "get", "proxy"},
	{"GET", "/readyz", "get", "proxy"},
	{"GET", "/pods", "get", "pods proxy"},
	{"GET", "/runningpods/", "get", "pods proxy"},
	{"GET", "/metrics", "get", "metrics"},
	{"GET", "/metrics/resource", "get", "metrics"},
	{"GET", "/metrics/cadvisor", "get", "metrics"},
	{"GET", "/metrics/probes", "get", "metrics"},
	{"GET", "/stats/summary", "get", "stats"},
	{"GET", "/configz", "get", "configz proxy"},
	{"GET", "/spec", "get", "proxy"},
	{"GET", "/logs", "get", "log"},
	{"GET", "/logs/", "get", "log"},
	{"GET", "/pico/status", "get", "proxy"},
	{"GET", "/pico/memory", "get", "proxy"},
	{"GET", "/pico/gpio", "get", "proxy"},
	{"POST", "/pico/command", "create", "proxy"},
	{"GET", "/containerLogs" + podPath, "get", "proxy"},
	{"POST", "/run" + podPath, "create", "proxy"},
	{"POST", "/exec" + podPath, "create", "proxy"},
	{"POST", "/attach" + podPath, "create", "proxy"},
	{"POST", "/portForward/kube-system/picolet-pico-1", "create", "proxy"},
	// A kubelet asks for "get" here, which runs commands by the right to read.
	{"GET", "/exec" + podPath, "create", "proxy"},
	{"GET", "/attach" + podPath, "create", "proxy"},
	{"GET", "/portForward/kube-system/picolet-pico-1", "create", "proxy"},
}

func TestRightsOfPaths(t *testing.T) {
	t.Parallel()
	h := startServer(t, startBoard(t, okBoard), nil)
	h.cluster.may = func(authorizationv1.ResourceAttributes) bool { return false }
	covered := map[*route]bool{}
	for _, tt := range questionTests {
		h.authz.cache = cache.NewLRUExpireCache(100)
		body := ""
		if tt.path == "/pico/command" {
			body = "{}"
		}
		r := ask(t, h.client(t, h.admin(t)), tt.method, tt.path, body)
		if r.code != http.StatusForbidden {
			t.Errorf("%s %s without rights: %d %s", tt.method, tt.path, r.code, r.body)
		}
		checkStatus(t, r)
		var want []string
		for sub := range strings.FieldsSeq(tt.subresources) {
			want = append(want, "kube-apiserver-kubelet-client "+tt.verb+" nodes/"+sub+" pico-1")
		}
		equal(t, tt.method+" "+tt.path, h.cluster.questions(), want)
		covered[new(call).lookup(tt.path)] = true
	}
	for path, route := range routes {
		if !covered[route] {
			t.Errorf("path %s is not tested", path)
		}
	}
	for root, route := range podRoutes {
		if !covered[route] {
			t.Errorf("path /%s/… is not tested", root)
		}
	}
}

// Any one right suffices.
func TestAnyRightSuffices(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		right string
		paths []string
	}{
		{"healthz", []string{"/healthz"}},
		{"pods", []string{"/pods", "/runningpods/"}},
		{"configz", []string{"/configz"}},
		{"metrics", []string{"/metrics", "/metrics/resource", "/metrics/cadvisor", "/metrics/probes"}},
		{"stats", []string{"/stats/summary"}},
		{"log", []string{"/logs", "/logs/"}},
		{"proxy", []string{"/healthz", "/pods", "/runningpods/", "/configz", "/spec", "/livez", "/readyz", "/pico/status", "/pico/memory", "/pico/gpio"}},
	} {
		h := startServer(t, startBoard(t, okBoard), nil)
		h.cluster.may = func(a authorizationv1.ResourceAttributes) bool { return a.Subresource == tt.right && a.Verb == "get" }
		client := h.client(t, h.admin(t))
		for path, route := range routes {
			if !route.get || strings.HasPrefix(path, "/healthz/") {
				continue
			}
			want := http.StatusForbidden
			if slices.Contains(tt.paths, path) {
				want = http.StatusOK
			}
			if r := ask(t, client, "GET", path, ""); r.code != want {
				t.Errorf("%s with nodes/%s: %d, want %d", path, tt.right, r.code, want)
			}
		}
		if r := ask(t, client, "POST", "/pico/command", "{}"); r.code != http.StatusForbidden {
			t.Errorf("a command with the right to read nodes/%s: %d", tt.right, r.code)
		}
	}
}

// Decisions are kept as long as a kubelet keeps them: five minutes, or thirty
// seconds where the answer is no.
func TestDecisionsAreCached(t *testing.T) {
	t.Parallel()
	c := newCluster("")
	c.may = func(a authorizationv1.ResourceAttributes) bool { return a.Subresource == "metrics" }
	clock := clocktesting.NewFakeClock(time.Now())
	a := newAuthorizer(c.AuthorizationV1().SubjectAccessReviews())
	a.cache = cache.NewLRUExpireCacheWithClock(10, clock)
	jane := &client{UserInfo: &authenticationv1.UserInfo{Username: "jane"}}
	other := &client{UserInfo: &authenticationv1.UserInfo{Username: "jane", Groups: []string{"x"}}}
	for i, step := range []struct {
		user *client
		sub  string
		wait time.Duration
		asks int
	}{
		{jane, "metrics", 0, 1}, {jane, "metrics", allowTTL, 0}, {jane, "metrics", time.Second, 1},
		{jane, "stats", 0, 1}, {jane, "stats", denyTTL, 0}, {jane, "stats", time.Second, 1},
		{other, "metrics", 0, 1},
	} {
		clock.Step(step.wait)
		refused := a.authorize(t.Context(), step.user, node, "get", []string{step.sub})
		if asks := len(c.questions()); asks != step.asks || (refused == nil) != (step.sub == "metrics") {
			t.Errorf("step %d: asked %d times, want %d; %v", i, asks, step.asks, refused)
		}
	}
	long := &client{UserInfo: &authenticationv1.UserInfo{Username: strings.Repeat("x", maxKey)}}
	for range 2 {
		_ = a.authorize(t.Context(), long, node, "get", []string{"metrics"})
	}
	if asks := len(c.questions()); asks != 2 {
		t.Errorf("a very long question was asked %d times, want 2: it is not kept", asks)
	}
}

// What is no path of a kubelet is told to who is known, and asks for no right.
func TestUnknownPathsAndMethods(t *testing.T) {
	t.Parallel()
	h := startServer(t, startBoard(t, okBoard), nil)
	client := h.client(t, h.admin(t))
	for _, tt := range []struct {
		method, path string
		code         int
		allow        string
	}{
		{"GET", "/nowhere", 404, ""}, {"GET", "/", 404, ""}, {"GET", "/pods/", 404, ""}, {"GET", "/runningpods", 404, ""},
		{"GET", "/debug/pprof/heap", 404, ""}, {"GET", "/checkpoint/a/b/c", 404, ""}, {"GET", "/exec/a/b", 404, ""},
		{"GET", "/exec/a/b/uid/c", 404, ""}, {"GET", "/portForward/a", 404, ""}, {"GET", "/containerLogs", 404, ""},
		{"HEAD", "/healthz", 405, "GET"}, {"POST", "/healthz", 405, "GET"}, {"DELETE", "/pods", 405, "GET"},
		{"GET", "/pico/command", 405, "POST"}, {"PUT", "/pico/command", 405, "POST"}, {"GET", "/run" + podPath, 405, "POST"},
		{"PATCH", "/exec" + podPath, 405, "GET, POST"}, {"OPTIONS", "/healthz", 405, "GET"},
	} {
		r := ask(t, client, tt.method, tt.path, "")
		if r.code != tt.code || r.header.Get("Allow") != tt.allow {
			t.Errorf("%s %s: %d, Allow %q, want %d, %q", tt.method, tt.path, r.code, r.header.Get("Allow"), tt.code, tt.allow)
		}
		if tt.method != "HEAD" {
			checkStatus(t, r)
		}
	}
	if asked := h.cluster.questions(); len(asked) > 0 {
		t.Errorf("the API server was asked: %q", asked)
	}
}
