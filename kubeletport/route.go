// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubeletport

import (
	"net/http"
	"net/url"
	"path"
	"strings"
)

const (
	jsonType    = "application/json"
	textType    = "text/plain; charset=utf-8"
	metricsType = "text/plain; version=0.0.4; charset=utf-8"
)

// A route is what the port serves under a path.
type route struct {
	name         string   // bounded word for metrics and log
	get, post    bool     // methods
	subresources []string // of nodes: the right to any of them suffices
	upgrade      bool     // the connection becomes a stream
	params       []string // of the query, for the board
	serve        func(*Server, *call) *refusal
}

// call is one request on its way.
type call struct {
	w     http.ResponseWriter
	r     *http.Request
	port  *port
	route *route
	user  *client
	query url.Values
	pod   podTarget // of a route of pods
}

// podTarget is what stands in a path after the first segment.
type podTarget struct{ namespace, pod, container string }

// The rights to a path (pkg/kubelet/server/auth.go): what has no subresource of
// its own is nodes/proxy.
var (
	toProxy   = []string{"proxy"}
	toHealthz = []string{"healthz", "proxy"}
	toPods    = []string{"pods", "proxy"}
	toConfigz = []string{"configz", "proxy"}
	toMetrics = []string{"metrics"}
	toStats   = []string{"stats"}
	toLog     = []string{"log"}
)

// routes are the paths without a pod in them.
var routes = map[string]*route{
	"/healthz":          {name: "healthz", get: true, subresources: toHealthz, params: []string{"verbose"}, serve: (*Server).serveBoard},
	"/healthz/ping":     {name: "healthz", get: true, subresources: toHealthz, serve: (*Server).serveBoard},
	"/healthz/log":      {name: "healthz", get: true, subresources: toHealthz, serve: (*Server).serveBoard},
	"/healthz/syncloop": {name: "healthz", get: true, subresources: toHealthz, serve: (*Server).serveBoard},
	"/livez":            {name: "livez", get: true, subresources: toProxy, params: []string{"verbose"}, serve: (*Server).serveBoard},
	"/readyz":           {name: "readyz", get: true, subresources: toProxy, params: []string{"verbose"}, serve: (*Server).serveBoard},
	"/metrics":          {name: "metrics", get: true, subresources: toMetrics, serve: (*Server).serveBoard},
	"/metrics/resource": {name: "metrics/resource", get: true, subresources: toMetrics, serve: (*Server).serveResource},
	"/metrics/cadvisor": {name: "metrics/cadvisor", get: true, subresources: toMetrics, serve: (*Server).serveNoMetrics},
	"/metrics/probes":   {name: "metrics/probes", get: true, subresources: toMetrics, serve: (*Server).serveNoMetrics},
	"/stats/summary":    {name: "stats/summary", get: true, subresources: toStats, serve: (*Server).serveBoard},
	"/configz":          {name: "configz", get: true, subresources: toConfigz, serve: (*Server).serveBoard},
	"/spec":             {name: "spec", get: true, subresources: toProxy, serve: (*Server).serveBoard},
	"/logs":             {name: "logs", get: true, subresources: toLog, params: []string{"since"}, serve: (*Server).serveBoard},
	"/logs/":            {name: "logs", get: true, subresources: toLog, params: []string{"since"}, serve: (*Server).serveBoard}, // as a kubelet has it
	"/pods":             {name: "pods", get: true, subresources: toPods, serve: (*Server).servePods},
	"/runningpods/":     {name: "runningpods", get: true, subresources: toPods, serve: (*Server).servePods},
	"/pico/status":      {name: "pico", get: true, subresources: toProxy, serve: (*Server).serveBoard},
	"/pico/memory":      {name: "pico", get: true, subresources: toProxy, params: []string{"offset", "length"}, serve: (*Server).serveBoard},
	"/pico/gpio":        {name: "pico", get: true, subresources: toProxy, params: []string{"pin"}, serve: (*Server).serveBoard},
	"/pico/command":     {name: "command", post: true, subresources: toProxy, serve: (*Server).serveBoard},
}

// podRoutes are the paths /<key>/<namespace>/<pod>/<container>.
var podRoutes = map[string]*route{
	"containerLogs": {name: "containerLogs", get: true, subresources: toProxy, serve: (*Server).serveLogs},
	"exec":          {name: "exec", get: true, post: true, upgrade: true, subresources: toProxy, serve: (*Server).serveExec},
	"run":           {name: "run", post: true, subresources: toProxy, serve: (*Server).serveRun},
	"attach":        {name: "attach", get: true, post: true, upgrade: true, subresources: toProxy, serve: (*Server).refuseAttach},
	"portForward":   {name: "portForward", get: true, post: true, upgrade: true, subresources: toProxy, serve: (*Server).refusePortForward},
}

// allow is what the header Allow says.
func (t *route) allow() string {
	var methods []string
	if t.get {
		methods = append(methods, http.MethodGet)
	}
	if t.post {
		methods = append(methods, http.MethodPost)
	}
	return strings.Join(methods, ", ")
}

// verb is the one that a client must have the right to. A kubelet takes "get"
// for a command that comes by GET, as WebSockets do, so that the right to read
// nodes/proxy runs commands there; here all that upgrades is "create".
func (t *route) verb(method string) string {
	if method == http.MethodPost || t.upgrade {
		return "create"
	}
	return "get"
}

// parseTarget finds what a request is for. It takes paths only as a client of a
// kubelet writes them: nothing is encoded, doubled or relative.
func (c *call) parseTarget() *refusal {
	u := c.r.URL
	if !strings.HasPrefix(c.r.RequestURI, "/") || u.EscapedPath() != u.Path || !isPlain(u.Path) {
		return malformed("the path is not written plainly: send it without encoded characters, //, . and ..")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return malformed("the query cannot be read")
	}
	c.query = query
	if c.route = c.lookup(u.Path); c.route == nil {
		return refuse(http.StatusNotFound, "this node does not serve the path %.100q", u.Path)
	}
	return c.checkMethod()
}

func (c *call) checkMethod() *refusal {
	t, upgrades := c.route, c.r.Header.Get("Upgrade") != ""
	if m := c.r.Method; (m != http.MethodGet || !t.get) && (m != http.MethodPost || !t.post) {
		r := refuse(http.StatusMethodNotAllowed, "the path %s takes %s", c.r.URL.Path, t.allow())
		r.allow = t.allow()
		return r
	}
	switch hasBody := c.r.ContentLength != 0; {
	case hasBody && (!t.post || t.upgrade):
		return malformed("the path %s takes no body", c.r.URL.Path)
	case upgrades && !t.upgrade:
		return malformed("the path %s takes no upgrade", c.r.URL.Path)
	}
	return nil
}

func isPlain(p string) bool {
	return strings.TrimSuffix(p, "/") == strings.TrimSuffix(path.Clean(p), "/") && !strings.HasSuffix(p, "//") && !strings.ContainsAny(p, `;\`)
}

func (c *call) lookup(p string) *route {
	if t := routes[p]; t != nil {
		return t
	}
	s := strings.Split(strings.TrimPrefix(p, "/"), "/")
	switch {
	case len(s) == 4:
		c.pod = podTarget{namespace: s[1], pod: s[2], container: s[3]}
	case len(s) == 3 && s[0] == "portForward":
		c.pod = podTarget{namespace: s[1], pod: s[2]}
	default:
		return nil
	}
	return podRoutes[s[0]]
}
