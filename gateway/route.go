// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
)

// An operation is one of the few things that a board may do. The table of them
// is the whole of what reaches the API server under a node's identity.
type operation struct {
	name   string // of the metrics' label route
	method string

	// pattern is the path, whose segments {node}, {namespace} and {name} stand
	// for a validated name.
	pattern string

	// selector is the field whose value the query must select, where the path
	// alone would name the objects of others too.
	selector string

	// params are the other query parameters that a board may send.
	params []string

	// verb, group, resource and namespace are what the API server authorizes;
	// the gateway needs the right to do them for a node.
	verb, group, resource, namespace string

	// body is an empty payload for a request body; nil where there is no body.
	body func() payload

	// maxBody bounds the body, in bytes. Our kubelet's Node object has up to 10 KB
	// (kubelet.ErrTooLong), its Events 1.5 KB and its Leases 0.6 KB, with names of 63
	// bytes; others may send back a Lease with its managedFields.
	maxBody int

	// heartbeat: a board does it time and again to keep its node Ready.
	heartbeat bool

	// own marks what the gateway answers by its own rights, from its cache.
	own bool
}

var operations = []operation{
	{name: "create_node", method: http.MethodPost, pattern: "/api/v1/nodes", verb: "create", resource: "nodes", maxBody: maxNode, body: func() payload { return new(newNode) }},
	{name: "get_node", method: http.MethodGet, pattern: "/api/v1/nodes/{node}", verb: "get", resource: "nodes"},
	{name: "patch_node", method: http.MethodPatch, pattern: "/api/v1/nodes/{node}", verb: "patch", resource: "nodes", maxBody: maxNode, body: func() payload { return new(labelPatch) }},
	{name: "patch_node_status", method: http.MethodPatch, pattern: "/api/v1/nodes/{node}/status", verb: "patch", resource: "nodes/status", maxBody: maxNode, body: func() payload { return new(statusPatch) }, heartbeat: true},
	{name: "create_lease", method: http.MethodPost, pattern: leasePath, verb: "create", group: leaseGroup, resource: "leases", namespace: leaseNamespace, maxBody: maxLease, body: func() payload { return new(wholeLease) }},
	{name: "get_lease", method: http.MethodGet, pattern: leasePath + "/{node}", verb: "get", group: leaseGroup, resource: "leases", namespace: leaseNamespace},
	{name: "update_lease", method: http.MethodPut, pattern: leasePath + "/{node}", verb: "update", group: leaseGroup, resource: "leases", namespace: leaseNamespace, maxBody: maxLease, body: func() payload { return new(wholeLease) }, heartbeat: true},
	{name: "patch_lease", method: http.MethodPatch, pattern: leasePath + "/{node}", verb: "patch", group: leaseGroup, resource: "leases", namespace: leaseNamespace, maxBody: maxLease, body: func() payload { return new(leasePatch) }, heartbeat: true},
	{name: "create_event", method: http.MethodPost, pattern: "/api/v1/namespaces/" + eventNamespace + "/events", verb: "create", resource: "events", namespace: eventNamespace, maxBody: maxEvent, body: func() payload { return new(newEvent) }},
	{name: "list_pods", method: http.MethodGet, pattern: "/api/v1/pods", selector: "spec.nodeName", params: []string{"resourceVersion"}, verb: "list", resource: "pods"},
	{name: "get_configmap", method: http.MethodGet, pattern: "/api/v1/namespaces/{namespace}/configmaps/{name}", verb: "get", resource: "configmaps", own: true},
	{name: "list_configmap", method: http.MethodGet, pattern: "/api/v1/namespaces/{namespace}/configmaps", selector: "metadata.name",
		params: []string{"watch", "resourceVersion", "allowWatchBookmarks", "timeoutSeconds"}, verb: "list", resource: "configmaps", own: true},
}

// Bounds of bodies, see operation.maxBody.
const (
	maxNode  = 12 << 10
	maxLease = 2 << 10
	maxEvent = 4 << 10
)

const (
	leaseGroup     = "coordination.k8s.io"
	leaseNamespace = "kube-node-lease"
	leasePath      = "/apis/" + leaseGroup + "/v1/namespaces/" + leaseNamespace + "/leases"
	eventNamespace = "default" // a Node has no namespace; its Events go here
)

func (op *operation) bodyTypes() []string {
	switch {
	case op.body == nil:
		return nil
	case op.method == http.MethodPatch:
		return []string{strategicPatchType, mergePatchType}
	}
	return []string{jsonType}
}

// sentType is the media type by which the API server gets the body, whichever a
// board chose: of Nodes it merges conditions by type, of Leases it replaces owners.
func (op *operation) sentType() string {
	switch {
	case op.method != http.MethodPatch:
		return jsonType
	case op.group == leaseGroup:
		return mergePatchType
	}
	return strategicPatchType
}

// A call is a request that parsed as one operation.
type call struct {
	op        *operation
	body      payload // nil where there is none
	node      string  // named by path or query; for a new object, later by its body
	namespace string
	name      string
	params    url.Values // only those of op.params
}

// parseCall finds the operation that a request line asks for. target is the
// request target as the board wrote it (RFC 9112, section 3.2.1): nothing in
// its path is decoded, so nothing can be decoded in two ways.
func parseCall(method, target string) (*call, *refusal) {
	path, query, _ := strings.Cut(target, "?")
	if r := checkPath(path); r != nil {
		return nil, r
	}
	c := &call{}
	for i := range operations {
		op := &operations[i]
		if op.method == method && c.match(op.pattern, path) {
			c.op = op
			break
		}
	}
	if c.op == nil {
		return nil, refuse(http.StatusForbidden, "operation", "a board may not %.16s %.128s: it may only keep its own Node, Lease and Events, list its own Pods and read ConfigMaps by name", method, path)
	}
	if r := c.checkNames(); r != nil {
		return nil, r
	}
	return c, c.parseQuery(query)
}

// checkPath lets only those characters through of which API paths and object
// names are made, and no segment that a path cleaner would touch.
func checkPath(path string) *refusal {
	for i := range len(path) {
		b := lower(path[i])
		if (b < 'a' || b > 'z') && (b < '0' || b > '9') && b != '/' && b != '-' && b != '.' {
			return malformed("path", "the path may hold letters, digits, '-', '.' and '/' only, unescaped")
		}
	}
	for segment := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if segment == "" || segment == "." || segment == ".." {
			return malformed("path", "the path may hold no empty, '.' or '..' segment")
		}
	}
	return nil
}

// match takes the names out of a path that has the form of pattern.
func (c *call) match(pattern, path string) bool {
	var found call
	for pattern != "" {
		var want, got string
		want, pattern, _ = strings.Cut(strings.TrimPrefix(pattern, "/"), "/")
		got, path, _ = strings.Cut(strings.TrimPrefix(path, "/"), "/")
		switch want {
		case "{node}":
			found.node = got
		case "{namespace}":
			found.namespace = got
		case "{name}":
			found.name = got
		default:
			if want != got {
				return false
			}
		}
		if got == "" {
			return false
		}
	}
	if path != "" {
		return false
	}
	*c = found
	return true
}

func (c *call) checkNames() *refusal {
	for _, name := range []string{c.node, c.name} {
		if name != "" && len(validation.NameIsDNSSubdomain(name, false)) > 0 {
			return malformed("name", "%.64q is no object name: use lower-case letters, digits, '-' and '.'", name)
		}
	}
	if c.namespace != "" && len(utilvalidation.IsDNS1123Label(c.namespace)) > 0 {
		return malformed("name", "%.64q is no namespace: use lower-case letters, digits and '-'", c.namespace)
	}
	return nil
}

func (c *call) parseQuery(query string) *refusal {
	values, err := url.ParseQuery(query)
	if err != nil {
		return malformed("query", "the query cannot be parsed")
	}
	for key, v := range values {
		if len(v) != 1 || key != "fieldSelector" && !slices.Contains(c.op.params, key) || key == "fieldSelector" && c.op.selector == "" {
			return refuse(http.StatusForbidden, "query", "query parameter %.32q is not a board's to send here, or is sent twice", key)
		}
		if r := checkParam(key, v[0]); r != nil {
			return r
		}
	}
	if c.op.selector == "" {
		return nil
	}
	r := c.selected(values.Get("fieldSelector"))
	values.Del("fieldSelector")
	c.params = values
	return r
}

// maxResourceVersion bounds a resourceVersion, in digits: as many as 2^64 has.
const maxResourceVersion = 20

func checkParam(key, value string) *refusal {
	var err error
	switch key {
	case "watch", "allowWatchBookmarks":
		_, err = strconv.ParseBool(value)
	case "timeoutSeconds":
		_, err = strconv.ParseUint(value, 10, 31)
	case "resourceVersion":
		if value != "" {
			_, err = strconv.ParseUint(value, 10, 64)
		}
	}
	if err != nil || len(value) > maxResourceVersion && key == "resourceVersion" {
		return malformed("query", "query parameter %s: %.32q is not a value for it", key, value)
	}
	return nil
}

// selected takes the one name that a field selector must ask for.
func (c *call) selected(selector string) *refusal {
	name, ok := strings.CutPrefix(selector, c.op.selector+"=")
	if !ok || len(validation.NameIsDNSSubdomain(name, false)) > 0 {
		return refuse(http.StatusForbidden, "selector", "this list needs fieldSelector=%s=<one name>", c.op.selector)
	}
	if c.op.own {
		c.name = name
	} else {
		c.node = name
	}
	return nil
}

// target is the path and query to ask the API server for. It is made from the
// table and from validated names alone.
func (c *call) target() (path, query string) {
	path = strings.ReplaceAll(c.op.pattern, "{node}", c.node)
	if c.op.selector == "" {
		return path, ""
	}
	values := url.Values{"fieldSelector": {c.op.selector + "=" + c.node}}
	for key, v := range c.params {
		values[key] = v
	}
	return path, values.Encode()
}
