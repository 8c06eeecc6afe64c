// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package enrolment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"github.com/picolet/picolet/api/v1alpha1"
)

func TestConfigValidate(t *testing.T) {
	t.Parallel()
	ok := Config{Kubernetes: &rest.Config{}, Replica: "gw-1"}
	if err := ok.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"field Kubernetes is required": func(c *Config) { c.Kubernetes = nil },
		`field Replica ""`:             func(c *Config) { c.Replica = "" },
		`field Replica "a.b"`:          func(c *Config) { c.Replica = "a.b" },
		"at most 57 bytes":             func(c *Config) { c.Replica = strings.Repeat("a", 58) },
		`field Namespace "../x"`:       func(c *Config) { c.Namespace = "../x" },
		`pattern "["`:                  func(c *Config) { c.NodeNames = []string{"["} },
		"field MaxPending is -1":       func(c *Config) { c.MaxPending = -1 },
		"field ContactInterval is 31m": func(c *Config) { c.ContactInterval = 31 * time.Minute },
	} {
		c := ok
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
		if _, err := New(c); err == nil {
			t.Errorf("%s: New takes it", want)
		}
	}
}

// device is approved, created at minute n, and enrolled or not.
func device(n byte, node string, enrolled bool) *v1alpha1.Device {
	key := v1alpha1.Key{n}
	d := &v1alpha1.Device{
		ObjectMeta: metav1.ObjectMeta{
			Name: key.Name(), UID: types.UID(key.Name()), Generation: 1, ResourceVersion: fmt.Sprint(n),
			CreationTimestamp: metav1.NewTime(time.Unix(int64(n)*60, 0)),
		},
		Spec: v1alpha1.DeviceSpec{PublicKey: key.String(), NodeName: node, Approved: ptr.To(true)},
	}
	if enrolled {
		d.Status.Conditions = []metav1.Condition{{Type: v1alpha1.Enrolled, Status: metav1.ConditionTrue, ObservedGeneration: 1}}
	}
	return d
}

func changed(d *v1alpha1.Device, change func(*v1alpha1.Device)) *v1alpha1.Device {
	d = d.DeepCopy()
	change(d)
	return d
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	d := device(5, "a", false)
	for name, tt := range map[string]struct {
		d      *v1alpha1.Device
		others []*v1alpha1.Device
		want   Reason
	}{
		"alone":                        {d: d},
		"itself":                       {d: d, others: []*v1alpha1.Device{d}},
		"older":                        {d: d, others: []*v1alpha1.Device{device(4, "a", false)}, want: NodeNameTaken},
		"younger":                      {d: d, others: []*v1alpha1.Device{device(6, "a", false)}},
		"younger enrolled":             {d: d, others: []*v1alpha1.Device{device(6, "a", true)}, want: NodeNameTaken},
		"older, but it is enrolled":    {d: device(5, "a", true), others: []*v1alpha1.Device{device(4, "a", false)}},
		"both enrolled":                {d: device(5, "a", true), others: []*v1alpha1.Device{device(4, "a", true)}, want: NodeNameTaken},
		"older, of another key's name": {d: d, others: []*v1alpha1.Device{changed(device(4, "a", true), func(d *v1alpha1.Device) { d.Name = "0123456789abcdef" })}},
		"enrolled before a change":     {d: d, others: []*v1alpha1.Device{changed(device(6, "a", true), func(d *v1alpha1.Device) { d.Generation = 2 })}},
		"pending":                      {d: changed(d, func(d *v1alpha1.Device) { d.Spec.Approved = nil }), want: Pending},
		"pending, no name":             {d: changed(d, func(d *v1alpha1.Device) { d.Spec.Approved, d.Spec.NodeName = nil, "" }), want: Pending},
		"denied":                       {d: changed(d, func(d *v1alpha1.Device) { d.Spec.Approved = ptr.To(false) }), want: Denied},
		"revoked":                      {d: changed(device(5, "a", true), func(d *v1alpha1.Device) { d.Spec.Approved = ptr.To(false) }), want: Revoked},
		"still revoked": {d: changed(d, func(d *v1alpha1.Device) {
			d.Spec.Approved = ptr.To(false)
			d.Status.Conditions = []metav1.Condition{{Type: v1alpha1.Enrolled, Status: metav1.ConditionFalse, Reason: string(Revoked)}}
		}), want: Revoked},
		"name of another key": {d: changed(d, func(d *v1alpha1.Device) { d.Name = "0123456789abcdef" }), want: KeyMismatch},
		"no key":              {d: changed(d, func(d *v1alpha1.Device) { d.Spec.PublicKey = "?" }), want: KeyMismatch},
	} {
		r := verdict(tt.d, tt.others)
		if got := reasonOf(r); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
		if r != nil && (!strings.Contains(r.Message, "kubectl") || r.Device != tt.d.Name) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func reasonOf(r *Refusal) Reason {
	if r == nil {
		return ""
	}
	return r.Reason
}

// TestRefusalsFitABoard: with the longest of names, a board can log the whole text
// (link/noise: 160 bytes of printable ASCII).
func TestRefusalsFitABoard(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", maxNodeName)
	d, other := device(5, long, false), device(4, long, true)
	token := &joinToken{JoinToken: JoinToken{Uses: 1, NodeNames: "valve-*"}}
	soon := time.Unix(100, 0)
	expired := token.usable(d.Name, "u", long, soon)
	token.Expires = soon.Add(time.Hour)
	misfit := token.usable(d.Name, "u", long, soon)
	token.NodeNames, token.consumed = "", []string{"v"}
	for _, r := range []*Refusal{
		pending(d), denied(d, Denied), denied(d, Revoked), deleted(d.Name), keyInUse(d), takenOver(d), unavailable(d.Name, nil),
		verdict(changed(d, func(d *v1alpha1.Device) { d.Spec.NodeName = "" }), []*v1alpha1.Device{other}),
		notABoard(d.Name, long), (&Enrolment{config: Config{MaxPending: 10_000}}).full("2001:db8:aaaa:bbbb::/64"),
		expired, token.usable(d.Name, "u", long, soon), (&Hello{NodeName: strings.Repeat("x", 64)}).check(),
	} {
		if len(r.Message) > 160 {
			t.Errorf("%s: %d bytes: %s", r.Reason, len(r.Message), r.Message)
		}
	}
	// These name two long names; what helps comes within the limit for usual ones.
	for _, r := range []*Refusal{misnamed(device(5, "pico-kitchen-12", false), "pico-kitchen-13"), verdict(device(5, "pico-kitchen-12", false), []*v1alpha1.Device{other}), misfit} {
		if len(r.Message) > 160+2*maxNodeName {
			t.Errorf("%s: %d bytes: %s", r.Reason, len(r.Message), r.Message)
		}
	}
}

func TestIsBoard(t *testing.T) {
	t.Parallel()
	for runtime, want := range map[string]bool{"": true, "picolet://v0.1": true, "containerd://2.1": false, "xpicolet://": false} {
		n := &corev1.Node{}
		n.Status.NodeInfo.ContainerRuntimeVersion = runtime
		if IsBoard(n) != want {
			t.Errorf("%q: %v", runtime, !want)
		}
	}
}

func TestSubnet(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "2001:db8::1": "2001:db8::/64",
		"2001:db8::ffff:1": "2001:db8::/64", "fe80::1%eth0": "fe80::/64", "?": "?",
	} {
		if got := subnet(addr); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}

func TestLimiter(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	l := newLimiter(limit{every: time.Second, burst: 2}, func() time.Time { return now })
	for i, want := range []bool{true, true, false} {
		if l.allow("a") != want {
			t.Errorf("attempt %d: %v", i, !want)
		}
	}
	if !l.allow("b") {
		t.Error("another key is limited too")
	}
	now = now.Add(time.Second)
	if !l.allow("a") || l.allow("a") {
		t.Error("not one more a second later")
	}
	for i := range maxLimited + 1 {
		l.allow(fmt.Sprint(i))
	}
	if n := l.keys.Len(); n != maxLimited {
		t.Errorf("%d keys are remembered", n)
	}
}

// TestView: our own writes count until the watch has told of them.
func TestView(t *testing.T) {
	t.Parallel()
	v := newView(cache.NewIndexer(cache.MetaNamespaceKeyFunc, indexers))
	now := time.Unix(0, 0)
	d := changed(device(1, "a", false), func(d *v1alpha1.Device) { d.Spec.Approved, d.ResourceVersion = nil, "10" })
	v.wrote(d, now)
	if v.get(d.Name) != d || len(v.pending()) != 1 {
		t.Error("a Device that we made is not there")
	}
	approved := changed(d, func(d *v1alpha1.Device) { d.Spec.Approved, d.ResourceVersion = ptr.To(true), "12" })
	v.wrote(approved, now)
	v.wrote(d, now) // an older answer that comes later
	_ = v.store.Add(d)
	v.told(d)
	if v.get(d.Name) != approved || len(v.pending()) != 0 || len(v.ofNode("a")) != 1 {
		t.Error("an old version is told and counts")
	}
	_ = v.store.Update(approved)
	v.told(approved)
	if len(v.fresh) != 0 || v.get(d.Name) == nil || len(v.ofNode("a")) != 1 {
		t.Error("what the watch told is kept twice")
	}
	_ = v.store.Delete(approved)
	v.gone(d.Name)
	if v.get(d.Name) != nil {
		t.Error("a deleted Device is there")
	}
	v.wrote(d, now)
	v.expire(now.Add(maxLag))
	if v.get(d.Name) == nil {
		t.Error("forgotten too early")
	}
	if v.expire(now.Add(maxLag + 1)); v.get(d.Name) != nil {
		t.Error("what the watch never tells is kept for ever")
	}
}

// TestReplicas: a gateway is gone that misses three of our own renewals, whatever
// the clocks say.
func TestReplicas(t *testing.T) {
	t.Parallel()
	r := newReplicas("self_1")
	renew := func(identity string, second int64) {
		at := metav1.NewMicroTime(time.Unix(second, 0))
		r.renewed(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: leasePrefix + nameOf(identity)}, Spec: coordinationv1.LeaseSpec{HolderIdentity: &identity, RenewTime: &at}})
	}
	want := func(when, replica string, want standing) {
		t.Helper()
		if got := r.standing(replica); got != want {
			t.Errorf("%s: %s is %d, want %d", when, replica, got, want)
		}
	}
	want("at the start", "self_1", live)
	want("at the start", "b_1", unknown)
	want("at the start", "", unknown)
	renew("self_0", 1) // our predecessor's
	want("before its Lease is ours", "self_0", live)
	renew("b_1", 7)
	renew("self_1", 1)
	want("since its Lease is ours", "self_0", gone)
	renew("self_1", 2)
	renew("self_1", 2) // listed again: no renewal
	want("after two renewals of our own", "b_1", live)
	renew("b_1", 7) // listed again
	renew("self_1", 3)
	want("after three renewals of our own", "b_1", gone)
	renew("b_1", 8)
	want("renewed", "b_1", live)
	want("while another process has the Lease", "b_2", unknown)
	r.ended(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: leasePrefix + "b"}})
	want("after its end", "b_1", unknown)
}

func TestNewJoinToken(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_800_000_000, 0).UTC()
	s, token, err := NewJoinToken(JoinToken{Uses: 3, Expires: at, NodeNames: "pico-?", Labels: map[string]string{"a": "b"}})
	if err != nil {
		t.Fatal(err)
	}
	id, secretPart, ok := splitToken(token)
	if !ok || len(token) != 37 || TokenSecretName(token) != s.Name || TokenSecretName(id) != s.Name {
		t.Errorf("token %q of %s", token, s.Name)
	}
	if strings.Contains(fmt.Sprint(s), secretPart) {
		t.Error("the Secret holds the token itself")
	}
	got, err := parseJoinToken(s)
	if err != nil || got.Uses != 3 || !got.Expires.Equal(at) || got.NodeNames != "pico-?" || got.Labels["a"] != "b" || !got.matches(secretPart) || got.matches(secretPart+"a") {
		t.Errorf("%+v: %v", got, err)
	}
	if !got.consume("u1") || got.consume("u1") || !got.consume("u2") {
		t.Error("uses are counted wrongly")
	}
	if again, err := parseJoinToken(got.secret); err != nil || len(again.consumed) != 2 || len(s.Data[tokenConsumed]) != 0 {
		t.Errorf("%+v: %v", again, err)
	}
	for name, bad := range map[string]JoinToken{
		"no use": {Expires: at}, "many uses": {Uses: maxTokenUses + 1, Expires: at}, "pattern": {Uses: 1, Expires: at, NodeNames: "["},
		"labels": {Uses: 1, Expires: at, Labels: map[string]string{"a b": "c"}},
	} {
		if _, _, err := NewJoinToken(bad); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// FuzzHello: whatever a board says, it is refused or can stand in a Device, and its
// token in no text.
func FuzzHello(f *testing.F) {
	f.Add("pico-1", "e661", "v1", "abcdefghij.klm")
	f.Add("..", "\x00", "", "../x.y")
	f.Fuzz(func(t *testing.T, node, id, version, token string) {
		h := Hello{Key: v1alpha1.Key{1}, NodeName: node, BoardID: id, Firmware: version, JoinToken: token}
		if r := h.check(); r == nil {
			if len(node) > maxNodeName || strings.ContainsAny(node, "/ \n_A") || printable(id) == "" || len(version) > maxWord {
				t.Errorf("%q is taken", h)
			}
		} else if len(r.Message) > 512 || strings.ContainsAny(r.Message, "\n\x1b") {
			t.Errorf("refusal %q", r.Message)
		}
		if tokenID, secretPart, ok := splitToken(token); ok {
			if strings.ContainsAny(tokenID, "./") || tokenID+"."+secretPart != token {
				t.Errorf("token %q has ID %q", token, tokenID)
			}
		}
	})
}

var silent = slog.New(slog.DiscardHandler)

// nowhere is an API server that does not answer.
var nowhere = &rest.Config{Host: "https://127.0.0.1:1"}

func TestHeardAllocatesNothing(t *testing.T) {
	e, err := New(Config{Kubernetes: nowhere, Replica: "gw", Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	h, r := e.take(device(1, "a", true), Hello{})
	if r != nil {
		t.Fatal(r)
	}
	if n := testing.AllocsPerRun(100, h.Heard); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestNoAPIServer: without the API server boards are refused, in the time that the
// caller gives, and told to come again.
func TestNoAPIServer(t *testing.T) {
	t.Parallel()
	e, err := New(Config{Kubernetes: nowhere, Replica: "gw", Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = e.Decide(ctx, Hello{Key: v1alpha1.Key{1}, BoardID: "e661", NodeName: "pico-1", Firmware: "v1", Address: "192.0.2.1"})
	if r, ok := errors.AsType[*Refusal](err); !ok || r.Reason != Unavailable || !errors.Is(err, errNotSynced) {
		t.Errorf("%v", err)
	}
	close(e.ready)
	_, err = e.Decide(t.Context(), Hello{Key: v1alpha1.Key{1}, BoardID: "e661", NodeName: "pico-1", Firmware: "v1", Address: "192.0.2.1"})
	if r, ok := errors.AsType[*Refusal](err); !ok || r.Reason != Unavailable || errors.Unwrap(err) == nil {
		t.Errorf("%v", err)
	}
}

// TestMetrics: names as Prometheus' linter wants them, and every decision counted.
func TestMetrics(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	e, err := New(Config{Kubernetes: nowhere, Replica: "gw", Metrics: registry, Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Kubernetes: nowhere, Replica: "gw", Metrics: registry, Logger: silent}); err == nil {
		t.Error("metrics are registered twice")
	}
	close(e.ready)
	e.clock.elapsed, e.clock.wall = func() time.Duration { return 0 }, e.clock.now
	_, _ = e.Decide(t.Context(), Hello{NodeName: "pico-1"})
	problems, err := testutil.GatherAndLint(registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v: %v", problems, err)
	}
	want := `# HELP picolet_enrolment_clock_offset_seconds How far this machine's clock is ahead of the API server's.
# TYPE picolet_enrolment_clock_offset_seconds gauge
picolet_enrolment_clock_offset_seconds 0
# HELP picolet_enrolment_connected_devices Boards that this gateway has a link with.
# TYPE picolet_enrolment_connected_devices gauge
picolet_enrolment_connected_devices 0
# HELP picolet_enrolment_decisions_total Boards let in, refused and cut off, by reason.
# TYPE picolet_enrolment_decisions_total counter
picolet_enrolment_decisions_total{reason="BadHello"} 1
# HELP picolet_enrolment_pending_devices Devices that nobody decided on.
# TYPE picolet_enrolment_pending_devices gauge
picolet_enrolment_pending_devices 0
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

// TestStaleVersionsCutNobody: the watch may tell late of what was before a decision.
func TestStaleVersionsCutNobody(t *testing.T) {
	t.Parallel()
	e, err := New(Config{Kubernetes: nowhere, Replica: "gw", Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	at := func(version string, change func(*v1alpha1.Device)) *v1alpha1.Device {
		return changed(device(1, "a", true), func(d *v1alpha1.Device) { d.ResourceVersion = version; change(d) })
	}
	pendingThen := func(d *v1alpha1.Device) { d.Spec.Approved = nil }
	taken := func(d *v1alpha1.Device) {
		d.Status.Gateway = "other"
		d.Status.Conditions = append(d.Status.Conditions, metav1.Condition{Type: v1alpha1.Connected, Status: metav1.ConditionTrue})
	}
	for name, tt := range map[string]struct {
		d    *v1alpha1.Device
		want Reason
	}{
		"pending before":          {at("9", pendingThen), ""},
		"pending, same version":   {at("10", pendingThen), ""},
		"pending again":           {at("11", pendingThen), Pending},
		"elsewhere before":        {at("9", taken), ""},
		"elsewhere":               {at("11", taken), TakenOver},
		"revoked":                 {at("11", func(d *v1alpha1.Device) { d.Spec.Approved = ptr.To(false) }), Revoked},
		"renamed":                 {at("11", func(d *v1alpha1.Device) { d.Spec.NodeName = "b" }), NodeNameMismatch},
		"deleted and made again":  {at("11", func(d *v1alpha1.Device) { d.UID = "other" }), Deleted},
		"labelled":                {at("11", func(d *v1alpha1.Device) { d.Spec.Zone = "b" }), Changed},
		"room for pods":           {at("11", func(d *v1alpha1.Device) { d.Spec.Pods = 1 }), Changed},
		"untainted":               {at("11", func(d *v1alpha1.Device) { d.Spec.NoTaint = true }), ""}, // set once
		"other ConfigMaps":        {at("11", func(d *v1alpha1.Device) { d.Spec.ConfigMaps = []v1alpha1.ConfigMapReference{} }), Changed},
		"the same ConfigMaps":     {at("11", func(d *v1alpha1.Device) { d.Spec.ConfigMaps = configMapsOf(d) }), ""},
		"tainted":                 {at("11", func(d *v1alpha1.Device) { d.Spec.Taints = []v1alpha1.Taint{{Key: "a"}} }), ""}, // set once
		"resource version beyond": {at("100000000000000000000000000000", pendingThen), Pending},
	} {
		h, r := e.take(at("10", func(*v1alpha1.Device) {}), Hello{})
		if r != nil {
			t.Fatalf("%s: %v", name, r)
		}
		e.changed(nil, tt.d)
		got := Reason("")
		if cause, ok := errors.AsType[*Refusal](context.Cause(h.Context())); ok {
			got = cause.Reason
		}
		if got != tt.want {
			t.Errorf("%s: cut off for %q, want %q", name, got, tt.want)
		}
		h.Release()
	}
}
