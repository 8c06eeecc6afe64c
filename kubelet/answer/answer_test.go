// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package answer

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/picolet/picolet/board"
	"github.com/picolet/picolet/kubelet/node"
)

func testNode() *node.Node {
	return &node.Node{Spec: node.Spec{
		Name: "pico-1", OS: "linux", Arch: "arm", InstanceType: "rp2040-pico",
		Labels: []node.Label{{Key: "example.com/room", Value: "cellar"}},
		Facts:  board.Facts{Model: "rp2040", BootID: "boot-2"},
	}}
}

const rightLabels = `"kubernetes.io/hostname":"pico-1","kubernetes.io/os":"linux","kubernetes.io/arch":"arm",` +
	`"node.kubernetes.io/instance-type":"rp2040-pico","picolet.dev/board":"rp2040","example.com/room":"cellar"`

// summary is what an answer came to know, for comparison.
func summary(a *Answer) string {
	var s []string
	add := func(ok bool, text string) {
		if ok {
			s = append(s, text)
		}
	}
	for name, t := range map[string]*Text{"uid": &a.UID, "version": &a.Version, "owner": &a.OwnerUID} {
		add(len(t.Bytes()) > 0, name+"="+string(t.Bytes()))
	}
	for i := range a.StaleLen {
		s = append(s, "stale="+string(a.Stale[i].Bytes()))
	}
	add(len(a.Message()) > 0, "message="+string(a.Message()))
	add(a.LabelsRight(), "labels")
	add(a.Owners > 1, "owners")
	add(a.OtherBoot, "otherboot")
	add(a.HolderIs, "holder")
	add(a.Exists, "exists")
	add(a.Malformed, "malformed")
	return strings.Join(sorted(s), " ")
}

func sorted(s []string) []string {
	for i := range s {
		for j := i; j > 0 && s[j] < s[j-1]; j-- {
			s[j], s[j-1] = s[j-1], s[j]
		}
	}
	return s
}

func TestFeed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, body, want string }{
		{"empty", ``, ``},
		{"node", `{"metadata":{"uid":"u-1","resourceVersion":"7","labels":{` + rightLabels + `,"other":"x"}},"status":{"nodeInfo":{"bootID":"boot-2"}}}`,
			"labels uid=u-1 version=7"},
		{"one label wrong", `{"metadata":{"labels":{` + strings.Replace(rightLabels, "cellar", "attic", 1) + `}}}`, ""},
		{"one label missing", `{"metadata":{"labels":{` + rightLabels[:len(rightLabels)-len(`,"example.com/room":"cellar"`)] + `}}}`, ""},
		{"label beside labels", `{"labels":{` + rightLabels + `},"metadata":{"annotations":{` + rightLabels + `}}}`, ""},
		{"label value nested", `{"metadata":{"labels":{"kubernetes.io/os":{"a":"linux"}}}}`, ""},
		{"other boot", `{"status":{"nodeInfo":{"bootID":"boot-1"}}}`, "otherboot"},
		{"no boot", `{"status":{"nodeInfo":{"bootID":""}}}`, ""},
		{"boot elsewhere", `{"spec":{"nodeInfo":{"bootID":"boot-1"}},"bootID":"boot-1"}`, ""},
		{"extended resources", `{"status":{"capacity":{"cpu":"1","a.io/x":"1","b.io/y":2},"allocatable":{"c.io/z":"1"}}}`,
			"stale=a.io/x stale=b.io/y"},
		{"too many resources", `{"status":{"capacity":{"a/1":"","a/2":"","a/3":"","a/4":"","a/5":""}}}`,
			"stale=a/1 stale=a/2 stale=a/3 stale=a/4"},
		{"resource with a long name", `{"status":{"capacity":{"` + strings.Repeat("x", 70) + `/y":"1"}}}`, ""},
		{"lease", `{"metadata":{"resourceVersion":"9","ownerReferences":[{"kind":"Node","uid":"u-1"}]},"spec":{"holderIdentity":"pico-1"}}`,
			"holder owner=u-1 version=9"},
		{"two owners", `{"metadata":{"ownerReferences":[{"uid":"u-1"},{"uid":"u-2"}]}}`, "owner=u-2 owners"},
		{"uid of a nested thing", `{"metadata":{"managedFields":[{"uid":"x"}]},"spec":{"uid":"y"},"uid":"z"}`, ""},
		{"status", `{"kind":"Status","message":"no such thing","reason":"AlreadyExists","code":409}`, "exists message=no such thing"},
		{"long message", `{"message":"` + strings.Repeat("m", 300) + `"}`, "message=" + strings.Repeat("m", maxMessage)},
		{"long uid is no uid", `{"metadata":{"uid":"` + strings.Repeat("u", 300) + `"}}`, ""},
		{"no JSON", `<html>`, "malformed"},
		{"breaks off later", `{"metadata":{"uid":"u-1"}]`, "malformed uid=u-1"},
	} {
		for size := 1; size <= len(test.body)+1; size++ {
			var a Answer
			a.Reset(testNode())
			for p := []byte(test.body); len(p) > 0; {
				n := min(size, len(p))
				a.Feed(p[:n])
				p = p[n:]
			}
			if got := summary(&a); got != test.want {
				t.Fatalf("%s in pieces of %d: got %q, want %q", test.name, size, got, test.want)
			}
		}
	}
}

func TestAllocatesNothing(t *testing.T) {
	n, body := testNode(), []byte(`{"metadata":{"uid":"u-1","labels":{`+rightLabels+`}},"status":{"capacity":{"a/1":"2"}}}`)
	var a Answer
	if allocs := testing.AllocsPerRun(100, func() { a.Reset(n); a.Feed(body) }); allocs != 0 || !a.LabelsRight() {
		t.Errorf("%v allocations, labels right: %v", allocs, a.LabelsRight())
	}
}

// What encoding/json finds, Feed finds.
func FuzzFeed(f *testing.F) {
	f.Add([]byte(`{"metadata":{"uid":"u-1","resourceVersion":"7","labels":{`+rightLabels+`}}}`), 3)
	f.Add([]byte(`{"metadata":{"ownerReferences":[{"uid":"a"}]},"spec":{"holderIdentity":"pico-1"}}`), 1)
	f.Add([]byte(`{"status":{"nodeInfo":{"bootID":"x"},"capacity":{"a/b":"1"}}}`), 7)
	f.Add([]byte(`{"message":"m","reason":"AlreadyExists"}`), 2)
	f.Fuzz(func(t *testing.T, body []byte, size int) {
		var a Answer
		a.Reset(testNode())
		for p := body; len(p) > 0; {
			n := min(max(size, 1), len(p))
			a.Feed(p[:n])
			p = p[n:]
		}
		var want struct {
			Metadata struct{ UID, ResourceVersion *string }
		}
		if !json.Valid(body) || strings.Count(string(body), "uid") > 1 || strings.Contains(string(body), "\\") ||
			json.Unmarshal(body, &want) != nil || strings.Count(strings.ToLower(string(body)), "uid") != strings.Count(string(body), `"uid"`) ||
			strings.Count(strings.ToLower(string(body)), "metadata") != strings.Count(string(body), `"metadata"`) {
			return // encoding/json folds case and takes the last of doubles
		}
		if uid := want.Metadata.UID; uid != nil && len(*uid) <= 63 && string(a.UID.Bytes()) != *uid && !a.Malformed {
			t.Errorf("%q: uid %q, want %q", body, a.UID.Bytes(), *uid)
		}
	})
}
