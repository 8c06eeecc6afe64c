// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// hostileNode claims all that a Node can be, for which a board must not vouch.
const hostileNode = `{"kind":"Node","apiVersion":"v1","metadata":{"name":"pico-1","uid":"hostile","selfLink":"hostile","deletionGracePeriodSeconds":77,
"labels":{"kubernetes.io/hostname":"hostile","topology.kubernetes.io/zone":"hostile","topology.kubernetes.io/region":"hostile","node.kubernetes.io/hostile":"1","hostile.example.com/a":"1","picolet.dev/board":"rp2040","kubernetes.io/os":"linux"},
"annotations":{"flannel.alpha.coreos.com/public-ip":"hostile"},"finalizers":["hostile.example.com/f"],"managedFields":[{"manager":"hostile"}],
"ownerReferences":[{"apiVersion":"v1","kind":"Node","name":"hostile","uid":"hostile"}]},
"spec":{"podCIDR":"10.9.1.0/24","podCIDRs":["10.9.0.0/16"],"providerID":"hostile://i-1","unschedulable":false,"externalID":"hostile","configSource":{"configMap":{"name":"hostile"}},
"taints":[{"key":"hostile","effect":"NoExecute"}]},
"status":{"phase":"hostile","capacity":{"cpu":"1000","memory":"1Ti","pods":"110","ephemeral-storage":"9Ti","hugepages-2Mi":"1Gi","hostile.example.com/gpu":"8"},
"allocatable":{"cpu":1000,"memory":"1Ti","pods":110},
"conditions":[{"type":"Hostile","status":"True"},{"type":"Ready","status":"True","reason":"r\u001b[31m","message":"LONG","hostile":1},{"type":"Ready","status":"False"},{"type":"DiskPressure","lastHeartbeatTime":"2026-01-01T00:00:00Z"}],
"addresses":[{"type":"InternalIP","address":"10.66.0.1"},{"type":"ExternalDNS","address":"hostile"}],"daemonEndpoints":{"kubeletEndpoint":{"Port":66}},
"images":[{"names":["hostile"],"sizeBytes":1}],"volumesInUse":["hostile"],"volumesAttached":[{"name":"hostile","devicePath":"hostile"}],
"config":{"error":"hostile"},"runtimeHandlers":[{"name":"hostile"}],"features":{"supplementalGroupsPolicy":true},"declaredFeatures":["hostile"],
"nodeInfo":{"machineID":"m","osImage":"LONG","containerRuntimeVersion":"containerd://2","kubeProxyVersion":"hostile","swap":{"capacity":1},"operatingSystem":"linux"}}}`

// wantNode is what is left of it.
const wantNode = `{"kind":"Node","apiVersion":"v1","metadata":{"name":"pico-1","labels":{"kubernetes.io/hostname":"pico-1","kubernetes.io/os":"linux","picolet.dev/board":"rp2040",` + excluded + `}},
"spec":{"taints":[{"key":"picolet.dev/board","value":"rp2040","effect":"NoSchedule"}]},
"status":{"capacity":{"cpu":"2","memory":"264Ki","pods":"0","ephemeral-storage":"16Mi"},"allocatable":{"cpu":"2","memory":"264Ki","pods":"0"},
"conditions":[{"type":"Ready","status":"True","reason":"r [31m","message":"CUT1024"}],"addresses":[{"type":"Hostname","address":"pico-1"}],
"nodeInfo":{"machineID":"m","osImage":"CUT128","containerRuntimeVersion":"picolet://unknown","operatingSystem":"linux"}}}`

// long fills in texts that are too long, of runes of two bytes.
func long(body string) string {
	return strings.NewReplacer("LONG", strings.Repeat("é", 600), "CUT1024", strings.Repeat("é", 512), "CUT128", strings.Repeat("é", 64)).Replace(body)
}

// TestBodiesFromAnAllowList: whatever a board sends, the API server gets what a board
// may say, within bounds, and nothing else.
func TestBodiesFromAnAllowList(t *testing.T) {
	t.Parallel()
	const lease = `"spec":{"holderIdentity":"pico-1","leaseDurationSeconds":40,"acquireTime":"2026-01-01T00:00:00.000001Z","renewTime":"2026-01-01T00:00:00.000002Z","leaseTransitions":1}`
	hostileLease := strings.NewReplacer(`"holderIdentity":"pico-1"`, `"holderIdentity":"hostile","preferredHolder":"hostile","strategy":"hostile"`).Replace(lease)
	const owner = `{"apiVersion":"v1","kind":"Node","name":"pico-1","uid":"u"}`
	const owners = `"ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"pico-1","uid":"h"},{"apiVersion":"v1","kind":"Node","name":"pico-2","uid":"h"},` +
		`{"apiVersion":"v1","kind":"Node","name":"pico-1","uid":"u","controller":true,"blockOwnerDeletion":true},{"apiVersion":"v1","kind":"Node","name":"pico-1","uid":"h"}]`
	const badMeta = `"labels":{"hostile":"1"},"annotations":{"hostile":"1"},"finalizers":["hostile/f"],"resourceVersion":"7",` + owners
	for name, tt := range map[string]struct{ operation, body, want string }{
		"node":       {"create_node", hostileNode, wantNode},
		"bare node":  {"create_node", `{"metadata":{"name":"pico-1"}}`, `{"kind":"Node","apiVersion":"v1","metadata":{"name":"pico-1","labels":{"kubernetes.io/hostname":"pico-1",` + excluded + `}},"spec":{"taints":[{"key":"picolet.dev/board","value":"rp2040","effect":"NoSchedule"}]},"status":{"addresses":[{"type":"Hostname","address":"pico-1"}]}}`},
		"node patch": {"patch_node", hostileNode, `{"metadata":{"labels":{"kubernetes.io/hostname":"pico-1","kubernetes.io/os":"linux","picolet.dev/board":"rp2040",` + excluded + `}}}`},
		"status patch": {"patch_node_status", hostileNode, `{"metadata":{"labels":{` + excluded + `}},"status":{"capacity":{"cpu":"2","memory":"264Ki","pods":"0","ephemeral-storage":"16Mi"},"allocatable":{"cpu":"2","memory":"264Ki","pods":"0"},` +
			`"conditions":[{"type":"DiskPressure","lastHeartbeatTime":"2026-01-01T00:00:00Z"},{"type":"Ready","status":"True","reason":"r [31m","message":"CUT1024"}],"addresses":[{"type":"Hostname","address":"pico-1"},{"$patch":"replace"}],` +
			`"nodeInfo":{"machineID":"m","osImage":"CUT128","containerRuntimeVersion":"picolet://unknown","operatingSystem":"linux"}}}`},
		"directives": {"patch_node_status", `{"$patch":"delete","$retainKeys":["a"],"metadata":{"$patch":"replace","labels":{"$patch":"delete"}},"status":{"$patch":"delete","$retainKeys":["capacity"],"$setElementOrder/addresses":[],"$deleteFromPrimitiveList/declaredFeatures":["a"],"capacity":{"$patch":null,"cpu":"1"},"conditions":[{"$patch":"replace"},{"type":"Ready","$patch":"delete"}]}}`,
			`{"status":{"capacity":{"cpu":"1","pods":"0"},"conditions":[{"type":"Ready"}],"addresses":[{"type":"Hostname","address":"pico-1"},{"$patch":"replace"}]}}`},
		"removed resources": {"patch_node_status", `{"status":{"capacity":{"nvidia.com/gpu":null,"cpu":null,"pods":null,"a b":null},"allocatable":{"nvidia.com/gpu":null}}}`,
			`{"status":{"capacity":{"nvidia.com/gpu":null,"pods":"0"},"allocatable":{"nvidia.com/gpu":null,"pods":"0"},"addresses":[{"type":"Hostname","address":"pico-1"},{"$patch":"replace"}]}}`},
		"new lease":   {"create_lease", `{"metadata":{"name":"pico-1","namespace":"kube-node-lease",` + badMeta + `},` + hostileLease + `,"status":{}}`, `{"kind":"Lease","apiVersion":"coordination.k8s.io/v1","metadata":{"name":"pico-1","namespace":"kube-node-lease","resourceVersion":"7","ownerReferences":[` + owner + `]},` + lease + `}`},
		"lease":       {"update_lease", `{"metadata":{"name":"pico-1",` + badMeta + `}}`, `{"kind":"Lease","apiVersion":"coordination.k8s.io/v1","metadata":{"name":"pico-1","namespace":"kube-node-lease","resourceVersion":"7","ownerReferences":[` + owner + `]},"spec":{"holderIdentity":"pico-1"}}`},
		"lease patch": {"patch_lease", `{"metadata":{` + badMeta + `},` + hostileLease + `}`, `{"metadata":{"resourceVersion":"7","ownerReferences":[` + owner + `]},` + lease + `}`},
		"renewal":     {"patch_lease", `{"metadata":{"resourceVersion":"7"},"spec":{"renewTime":"2026-01-01T00:00:00.000002Z"}}`, `{"metadata":{"resourceVersion":"7"},"spec":{"renewTime":"2026-01-01T00:00:00.000002Z"}}`},
		"event": {"create_event", `{"metadata":{"name":"pico-1.1",` + badMeta + `},"involvedObject":{"kind":"Node","apiVersion":"v1","name":"pico-1","uid":"hostile","fieldPath":"hostile","resourceVersion":"1"},"related":{"kind":"Secret","name":"hostile"},` +
			`"reason":"Starting","message":"LONG","type":"Normal","count":2,"firstTimestamp":"2026-01-01T00:00:00Z","lastTimestamp":"2026-01-01T00:00:01Z","eventTime":"2026-01-01T00:00:00.000000Z","series":{"count":9},"action":"hostile","source":{"component":"hostile","host":"hostile"},"reportingComponent":"hostile","reportingInstance":"hostile"}`,
			`{"kind":"Event","apiVersion":"v1","metadata":{"name":"pico-1.1","namespace":"default"},"involvedObject":{"kind":"Node","apiVersion":"v1","name":"pico-1","uid":"pico-1"},"reason":"Starting","message":"CUT1024","source":{"component":"kubelet","host":"pico-1"},` +
				`"firstTimestamp":"2026-01-01T00:00:00Z","lastTimestamp":"2026-01-01T00:00:01Z","count":2,"type":"Normal","eventTime":null,"reportingComponent":"kubelet","reportingInstance":"pico-1"}`},
	} {
		got, refused := rebuilt(t, tt.operation, long(tt.body), &overlay{node: "pico-1", model: "rp2040"})
		if refused != nil || !sameJSON(t, got, long(tt.want)) || strings.Contains(got, "hostile") {
			t.Errorf("%s: %.3000s, %v, want\n%.3000s", name, got, refused, long(tt.want))
		}
	}
}

// TestBodiesRefused: what a board may send, but not so.
func TestBodiesRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		operation, body string
		code            int
	}{
		"a condition's status":   {"patch_node_status", `{"status":{"conditions":[{"type":"Ready","status":"Perhaps"}]}}`, 400},
		"a condition's time":     {"patch_node_status", `{"status":{"conditions":[{"type":"Ready","status":"True","lastHeartbeatTime":"now"}]}}`, 400},
		"status no object":       {"patch_node_status", `{"status":[]}`, 400},
		"a number too many":      {"patch_node_status", `{"status":{"capacity":{"cpu":"1234567890123456789"}}}`, 400},
		"an exponent":            {"patch_node_status", `{"status":{"capacity":{"cpu":"1e-2147483647"}}}`, 400},
		"less than nothing":      {"patch_node_status", `{"status":{"capacity":{"cpu":"-1"}}}`, 400},
		"key twice in a known":   {"patch_node_status", `{"status":{"capacity":{"cpu":"1","cpu":"2"}}}`, 400},
		"a label value":          {"create_node", `{"metadata":{"name":"pico-1","labels":{"kubernetes.io/os":"a b"}}}`, 400},
		"labels no object":       {"patch_node", `{"metadata":{"labels":["a"]}}`, 400},
		"another name":           {"patch_node", `{"metadata":{"name":"pico-2"}}`, 403},
		"a lease for ever":       {"create_lease", `{"metadata":{"name":"pico-1"},"spec":{"leaseDurationSeconds":3601}}`, 400},
		"a lease for no time":    {"patch_lease", `{"spec":{"leaseDurationSeconds":0}}`, 400},
		"transitions":            {"patch_lease", `{"spec":{"leaseTransitions":-1}}`, 400},
		"a lease's version":      {"patch_lease", `{"metadata":{"resourceVersion":"a"}}`, 400},
		"a nameless event":       {"create_event", `{"involvedObject":{"kind":"Node","name":"pico-1"},"type":"Normal"}`, 400},
		"another's event's name": {"create_event", `{"metadata":{"name":"pico-2.1"},"involvedObject":{"kind":"Node","name":"pico-1"},"type":"Normal"}`, 400},
		"an event's type":        {"create_event", `{"metadata":{"name":"pico-1.1"},"involvedObject":{"kind":"Node","name":"pico-1"},"type":"Alarm"}`, 400},
		"an event's namespace":   {"create_event", `{"metadata":{"name":"pico-1.1","namespace":"kube-system"},"involvedObject":{"kind":"Node","name":"pico-1"},"type":"Normal"}`, 400},
		"an event's count":       {"create_event", `{"metadata":{"name":"pico-1.1"},"involvedObject":{"kind":"Node","name":"pico-1"},"type":"Normal","count":-1}`, 400},
	} {
		got, refused := rebuilt(t, tt.operation, tt.body, &overlay{node: "pico-1"})
		if refused == nil || refused.code != tt.code || refused.message == "" {
			t.Errorf("%s: %s, %v, want %d", name, got, refused, tt.code)
		}
	}
}

// TestCapacityOfModels: a board has no more than its model, and a model that is not
// known is a small one.
func TestCapacityOfModels(t *testing.T) {
	t.Parallel()
	for agent, want := range map[string]string{
		"picolet/v1.37.2 (rp2040)":  `{"cpu":"2","memory":"264Ki","pods":"5"}`,
		"picolet/v1.37.2 (virtual)": `{"cpu":"2","memory":"264Ki","pods":"5"}`,
		"picolet/v1.37.2 (linux)":   `{"cpu":"64","memory":"64Gi","pods":"5"}`,
		"picolet/v1.37.2 (cray)":    `{"cpu":"2","memory":"264Ki","pods":"5"}`,
		"pico/1.0 (linux)":          `{"cpu":"2","memory":"264Ki","pods":"5"}`,
		"":                          `{"cpu":"2","memory":"264Ki","pods":"5"}`,
	} {
		got, refused := rebuilt(t, "patch_node_status", `{"status":{"capacity":{"cpu":"1000","memory":"1Ti","pods":"110"}}}`,
			&overlay{node: "pico-1", model: modelOf(agent), NodePart: NodePart{Pods: 5}, NodeSettings: NodeSettings{NoHostnameAddress: true}})
		if refused != nil || !sameJSON(t, got, `{"status":{"capacity":`+want+`,"addresses":[{"$patch":"replace"}]}}`) {
			t.Errorf("%q: %s, %v, want %s", agent, got, refused, want)
		}
	}
	if got, _ := rebuilt(t, "patch_node_status", `{"status":{"capacity":{"cpu":"250m","memory":"128Ki"}}}`, &overlay{node: "pico-1"}); !strings.Contains(got, `"cpu":"250m","memory":"128Ki"`) {
		t.Errorf("less than the model has: %s", got)
	}
}

// bodyShape is each member that may be in a body for the API server, written
// independently of the types.
var bodyShape = map[string]*regexp.Regexp{
	"node": regexp.MustCompile(`^/(kind|apiVersion|metadata/(name|labels/(kubernetes\.io\|(hostname|os|arch)|beta\.kubernetes\.io\|(os|arch|instance-type)|picolet\.dev\|board|` +
		`node\.kubernetes\.io\|(instance-type|exclude-disruption|exclude-from-external-load-balancers)))|spec/taints/#/(key|value|effect)|` +
		`status/((capacity|allocatable)/[-A-Za-z0-9._|]+|conditions/#/(type|status|lastHeartbeatTime|lastTransitionTime|reason|message)|addresses/#/(type|address|\$patch)|daemonEndpoints/kubeletEndpoint/Port|` +
		`nodeInfo/(machineID|systemUUID|bootID|kernelVersion|osImage|containerRuntimeVersion|kubeletVersion|operatingSystem|architecture)))$`),
	"lease": regexp.MustCompile(`^/(kind|apiVersion|metadata/(name|namespace|resourceVersion|ownerReferences/#/(apiVersion|kind|name|uid))|spec/(holderIdentity|leaseDurationSeconds|acquireTime|renewTime|leaseTransitions))$`),
	"event": regexp.MustCompile(`^/(kind|apiVersion|metadata/(name|namespace)|involvedObject/(kind|apiVersion|name|uid)|reason|message|type|count|firstTimestamp|lastTimestamp|eventTime|source/(component|host)|reportingComponent|reportingInstance)$`),
}

// leaves calls f with the path of each value that is no object and no list.
func leaves(at string, v any, f func(path string, v any)) {
	switch v := v.(type) {
	case map[string]any:
		for key, inner := range v {
			leaves(at+"/"+strings.ReplaceAll(key, "/", "|"), inner, f)
		}
	case []any:
		for _, inner := range v {
			leaves(at+"/#", inner, f)
		}
	default:
		f(at, v)
	}
}

// FuzzBody: of whatever body is taken, the API server gets no member but those
// above, none longer than its bound, and no more than the own node's.
func FuzzBody(f *testing.F) {
	for i, op := range operations {
		if op.body != nil {
			for _, body := range []string{hostileNode, oldNode, `{"metadata":{"name":"pico-1.1","ownerReferences":[{"kind":"Node","apiVersion":"v1","name":"pico-1","uid":"u"}]},"spec":{"leaseDurationSeconds":40,"renewTime":"2026-01-01T00:00:00.000000Z"},"involvedObject":{"kind":"Node","name":"pico-1"},"type":"Normal"}`, `null`} {
				f.Add(i, body)
			}
		}
	}
	f.Fuzz(func(t *testing.T, i int, body string) {
		op := &operations[uint(i)%uint(len(operations))]
		if op.body == nil {
			return
		}
		c := &call{op: op, node: "pico-1"}
		if strings.HasPrefix(op.name, "create_") {
			c.node = ""
		}
		if c.decode([]byte(body)) != nil || c.node != "pico-1" {
			return
		}
		object, refused := c.body.object(&overlay{node: "pico-1"})
		if refused != nil {
			return
		}
		raw := encodeJSON(object)
		var whole any
		if err := json.Unmarshal(raw, &whole); err != nil {
			t.Fatal(err)
		}
		_, kind, _ := strings.Cut(op.name, "_")
		kind, _, _ = strings.Cut(kind, "_")
		leaves("", whole, func(path string, v any) {
			if v != nil && !bodyShape[kind].MatchString(path) {
				t.Errorf("%s: %s is in %s", op.name, path, raw)
			}
			if text := fmt.Sprint(v); len(text) > maxMessage || len(text) > maxWord && !strings.HasSuffix(path, "/message") && path != "/metadata/name" {
				t.Errorf("%s: %s has %d bytes", op.name, path, len(text))
			}
		})
	})
}

// TestHostileBodiesOverLink: a board that is let in, and posts as what it likes,
// registers a board.
func TestHostileBodiesOverLink(t *testing.T) {
	inLinks(t, func(t *testing.T, h *linkHarness) {
		s := mustOpen(t, h, 1)
		c := linkClient(s)
		for target, method := range map[string]string{"/api/v1/nodes": "POST", own: "PATCH", own + "/status": "PATCH"} {
			contentType := map[string]string{"POST": jsonType, "PATCH": mergePatchType}[method]
			if r := ask(t, c, method, target, long(hostileNode), "Content-Type", contentType); r.code != http.StatusOK {
				t.Errorf("%s %s: %d %s", method, target, r.code, r.body)
			}
		}
		for _, r := range h.api.asked() {
			if strings.Contains(r.body, "hostile") || strings.Contains(r.body, "podCIDR") || strings.Contains(r.body, `"110"`) {
				t.Errorf("%s %s: %s", r.method, r.uri, r.body)
			}
			if r.method == "POST" && !strings.Contains(r.body, `"effect":"NoSchedule"`) {
				t.Errorf("without the taint: %s", r.body)
			}
		}
		c.CloseIdleConnections()
		_ = s.Close()
	})
}
