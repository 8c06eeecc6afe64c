// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

func TestParseCall(t *testing.T) {
	t.Parallel()
	const configMaps = "/api/v1/namespaces/default/configmaps"
	for _, tt := range []struct {
		method, target  string
		want            string // operation
		node, ns, name_ string
	}{
		{"POST", "/api/v1/nodes", "create_node", "", "", ""},
		{"GET", "/api/v1/nodes/pico-1", "get_node", "pico-1", "", ""},
		{"PATCH", "/api/v1/nodes/pico-1", "patch_node", "pico-1", "", ""},
		{"PATCH", "/api/v1/nodes/pico-1/status", "patch_node_status", "pico-1", "", ""},
		{"POST", leasePath, "create_lease", "", "", ""},
		{"GET", leasePath + "/pico-1", "get_lease", "pico-1", "", ""},
		{"PUT", leasePath + "/pico-1", "update_lease", "pico-1", "", ""},
		{"PATCH", leasePath + "/pico-1", "patch_lease", "pico-1", "", ""},
		{"POST", "/api/v1/namespaces/default/events", "create_event", "", "", ""},
		{"GET", "/api/v1/pods?fieldSelector=spec.nodeName=pico-1", "list_pods", "pico-1", "", ""},
		{"GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dpico-1&resourceVersion=0", "list_pods", "pico-1", "", ""},
		{"GET", configMaps + "/pico-config", "get_configmap", "", "default", "pico-config"},
		{"GET", configMaps + "?fieldSelector=metadata.name%3Da.b", "list_configmap", "", "default", "a.b"},
		{"GET", configMaps + "?watch=1&fieldSelector=metadata.name=a&resourceVersion=7&allowWatchBookmarks=true&timeoutSeconds=300", "list_configmap", "", "default", "a"},
	} {
		c, refused := parseCall(tt.method, tt.target)
		if refused != nil {
			t.Errorf("%s %s: refused: %v", tt.method, tt.target, refused)
			continue
		}
		if c.op.name != tt.want || c.node != tt.node || c.namespace != tt.ns || c.name != tt.name_ {
			t.Errorf("%s %s = %s node %q namespace %q name %q", tt.method, tt.target, c.op.name, c.node, c.namespace, c.name)
		}
	}
}

func TestParseCallRefuses(t *testing.T) {
	t.Parallel()
	const configMaps = "/api/v1/namespaces/default/configmaps"
	for _, tt := range []struct {
		method, target string
		code           int
	}{
		// Not a board's.
		{"GET", "/api/v1/nodes", 403},
		{"DELETE", "/api/v1/nodes/pico-1", 403},
		{"HEAD", "/api/v1/nodes/pico-1", 403},
		{"PUT", "/api/v1/nodes/pico-1", 403},
		{"get", "/api/v1/nodes/pico-1", 403},
		{"GET", "/api/v1/nodes/pico-1/status", 403},
		{"GET", "/api/v1/nodes/pico-1/proxy", 403},
		{"PATCH", "/api/v1/nodes/pico-1/status/x", 403},
		{"GET", "/api/v1/pods", 403},
		{"GET", "/api/v1/pods?fieldSelector=spec.nodeName!=pico-1", 403},
		{"GET", "/api/v1/pods?fieldSelector=spec.nodeName==pico-1", 403},
		{"GET", "/api/v1/pods?fieldSelector=spec.nodeName=pico-1,status.phase=Running", 403},
		{"GET", "/api/v1/pods?fieldSelector=status.phase=Running", 403},
		{"GET", "/api/v1/pods?fieldSelector=spec.nodeName=pico-1&watch=1", 403},
		{"GET", "/api/v1/pods?fieldSelector=spec.nodeName=pico-1&fieldSelector=spec.nodeName=pico-2", 403},
		{"GET", "/api/v1/pods?fieldSelector=spec.nodeName=pico-1&labelSelector=a", 403},
		{"GET", "/api/v1/secrets", 403},
		{"GET", "/api/v1/namespaces/default/secrets/x", 403},
		{"GET", configMaps, 403},
		{"GET", configMaps + "?watch=1", 403},
		{"GET", configMaps + "?fieldSelector=metadata.name=", 403},
		{"GET", configMaps + "?fieldSelector=metadata.name=A", 403},
		{"GET", "/api/v1/configmaps?fieldSelector=metadata.name=a", 403},
		{"PUT", configMaps + "/pico-config", 403},
		{"POST", "/api/v1/namespaces/kube-system/events", 403},
		{"POST", "/apis/coordination.k8s.io/v1/namespaces/default/leases", 403},
		{"GET", "/", 400},
		{"GET", "/metrics", 403},
		{"GET", "/api/v1/nodes/pico-1?pretty=true", 403},
		{"PATCH", "/api/v1/nodes/pico-1/status?force=true", 403},
		// Not well formed.
		{"GET", "/api/v1/nodes/pico-1/", 400},
		{"GET", "//api/v1/nodes/pico-1", 400},
		{"GET", "/api/v1/nodes/../secrets", 400},
		{"GET", "/api/v1/nodes/./pico-1", 400},
		{"GET", "/api/v1/nodes/pico%2d1", 400},
		{"GET", "/api/v1/nodes/pico-1%2fstatus", 400},
		{"GET", "/api/v1/nodes/pico-1%5cstatus", 400},
		{"GET", "/api/v1/nodes/pico-1%00", 400},
		{"GET", "/api/v1/nodes/%2e%2e/secrets", 400},
		{"GET", "/api/v1/nodes/pico-1;x=1", 400},
		{"GET", "/api/v1/nodes/pico-1#x", 400},
		{"GET", "/api/v1/nodes/pico_1", 400},
		{"GET", "/api/v1/nodes/Pico-1", 400},
		{"GET", "/api/v1/nodes/-pico", 400},
		{"GET", "/api/v1/nodes/" + strings.Repeat("a", 254), 400},
		{"GET", "/api/v1/namespaces/a.b/configmaps/x", 400},
		{"GET", configMaps + "?fieldSelector=metadata.name=a&watch=perhaps", 400},
		{"GET", configMaps + "?fieldSelector=metadata.name=a&timeoutSeconds=-1", 400},
		{"GET", configMaps + "?fieldSelector=metadata.name=a&timeoutSeconds=99999999999", 400},
		{"GET", configMaps + "?fieldSelector=metadata.name=a&resourceVersion=abc", 400},
		{"GET", configMaps + "?fieldSelector=metadata.name=a&resourceVersion=0000000000000000000000001", 400},
		{"GET", configMaps + "?fieldSelector=metadata.name=a;watch=1", 400},
		{"GET", configMaps + "?fieldSelector=%zz", 400},
	} {
		c, refused := parseCall(tt.method, tt.target)
		if refused == nil {
			t.Errorf("%s %s was taken for %s", tt.method, tt.target, c.op.name)
		} else if refused.code != tt.code || refused.message == "" {
			t.Errorf("%s %s: %d %q, want %d", tt.method, tt.target, refused.code, refused.message, tt.code)
		}
	}
}

// upstreamShape is every request that may reach the API server for node %s, written
// independently of the table.
const upstreamShape = `^(POST /api/v1/nodes|` +
	`(GET|PATCH) /api/v1/nodes/NODE|` +
	`PATCH /api/v1/nodes/NODE/status|` +
	`POST /apis/coordination\.k8s\.io/v1/namespaces/kube-node-lease/leases|` +
	`(GET|PUT|PATCH) /apis/coordination\.k8s\.io/v1/namespaces/kube-node-lease/leases/NODE|` +
	`POST /api/v1/namespaces/default/events|` +
	`GET /api/v1/pods\?fieldSelector=spec\.nodeName%3DNODE(&resourceVersion=[0-9]*)?)$`

// FuzzTarget: whatever request line is accepted, for whatever node the
// connection is bound to, the target that goes upstream is of the few shapes
// above and names that node only.
func FuzzTarget(f *testing.F) {
	for _, target := range []string{
		"/api/v1/nodes", "/api/v1/nodes/pico-1", "/api/v1/nodes/pico-1/status", leasePath, leasePath + "/pico-1",
		"/api/v1/namespaces/default/events", "/api/v1/pods?fieldSelector=spec.nodeName=pico-1&resourceVersion=0",
		"/api/v1/pods?fieldSelector=spec.nodeName%3Dpico-2", "/api/v1/nodes/pico-2", "/api/v1/nodes/{node}/status",
		"/api/v1/nodes/..%2fsecrets", "/api/v1//nodes", "/api/v1/namespaces/default/configmaps/x",
	} {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
			f.Add(method, target)
		}
	}
	const own = "pico-1"
	shape := regexp.MustCompile(strings.ReplaceAll(upstreamShape, "NODE", regexp.QuoteMeta(own)))
	f.Fuzz(func(t *testing.T, method, target string) {
		c, refused := parseCall(method, target)
		if refused != nil {
			return
		}
		g := &Gateway{claims: newClaims(Config{}.withDefaults())}
		node, refused := g.ownNode(http.Header{}, own, c.node, board{id: "x"})
		if refused != nil {
			if c.node == own {
				t.Fatalf("%s %s: own node refused: %v", method, target, refused)
			}
			return
		}
		if c.op.own {
			return // answered from the cache
		}
		c.node = node
		path, query := c.target()
		line := method + " " + path
		if query != "" {
			line += "?" + query
		}
		if !shape.MatchString(line) {
			t.Fatalf("%s %q goes upstream as %q", method, target, line)
		}
		if u, err := url.ParseRequestURI(path); err != nil || u.Path != path || u.EscapedPath() != path {
			t.Fatalf("path %q is not plain", path)
		}
	})
}
