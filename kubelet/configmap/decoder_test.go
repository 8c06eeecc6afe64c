// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package configmap_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/picolet/picolet/kubelet/configmap"
	"github.com/picolet/picolet/kubelet/jsonstream"
)

const (
	gone      = `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old resource version: 1 (5)","reason":"Expired","code":410}`
	forbidden = `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","reason":"Forbidden","details":{"name":"pico-config","kind":"configmaps","code":1},"code":403}`

	ours   = `{"kind":"ConfigMap","metadata":{"name":"pico-config","namespace":"default","resourceVersion":"7"},"data":{"memory_values":"1=2"}}`
	theirs = `{"kind":"ConfigMap","metadata":{"name":"pico-config-2","namespace":"default","resourceVersion":"9"},"data":{"memory_values":"3=4","pin_1":5}}`

	oursApplied = "object=7 1=2 entries=1 rejected=0 ignored=0"
)

var getApplied = "Applied version=\"412\" object=412 0=66 1=67 pin_2=HIGH pin_3=LOW pin_4=PWM:200 entries=5 rejected=1 ignored=1" +
	"\n\tmemory_values \"5000=1\": address out of range 0-1023"

type decoderTest struct {
	name  string
	shape configmap.Shape
	body  string
	want  []string
}

func readFile(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func refused(version string, err error) string {
	return fmt.Sprintf("Refused version=%q: %v", version, err)
}

// metadata is that of our ConfigMap, for bodies with something strange in them.
const metadata = `"metadata":{"name":"pico-config","namespace":"default","resourceVersion":"7"}`

func decoderTests() []decoderTest {
	return slices.Concat(getTests(), listTests(), watchTests())
}

func getTests() []decoderTest {
	get := func(name, body string, want ...string) decoderTest {
		return decoderTest{"GET " + name, configmap.Object, body, want}
	}
	truncated := "error: " + configmap.ErrTruncated.Error()
	syntax := "error: " + jsonstream.ErrSyntax.Error()
	return []decoderTest{
		get("with look-alikes", readFile("testdata/get.json"), strings.Replace(getApplied, "rejected=1", "rejected=3", 1)+
			"\n\tpin_5: is in binaryData, want text in data\n\tmemory_values: is in binaryData, want text in data"),
		get("binaryData before data", `{"binaryData":{"pin_2":"SElHSA==","Pin_3":"","logo":"AA=="},`+ours[1:],
			`Applied version="7" object=7 1=2 entries=1 rejected=2 ignored=1`+"\n\tpin_2: is in binaryData, want text in data\n\tPin_3: no such key, want pin_3"),
		get("binaryData that is a list", `{"binaryData":["pin_2",{"data":{"pin_2":"LOW"}}],`+ours[1:], `Applied version="7" `+oursApplied),
		get("no data", "{"+metadata+"}\n", `Applied version="7" object=7 `+nothing),
		get("null data", `{"data":null,`+metadata+"}", `Applied version="7" object=7 `+nothing),
		get("escaped", `{"met\u0061data":{"n\u0061me":"pico\u002dconfig","namespace":"default","resourceVersion":"\u0037"},"d\u0061ta":{"memory_v\u0061lues":"1\u003d2"}}`, `Applied version="7" `+oursApplied),
		get("another name", theirs, refused("", configmap.ErrWrongObject)),
		get("a prefix of the name", strings.Replace(ours, "pico-config", "pico-confi", 1), refused("", configmap.ErrWrongObject)),
		get("another namespace", strings.Replace(ours, "default", "kube-system", 1), refused("", configmap.ErrWrongObject)),
		get("no metadata", `{"data":{"pin_1":"HIGH"}}`, refused("", configmap.ErrWrongObject)),
		get("null metadata after", `{`+metadata+`,"metadata":null}`, refused("", configmap.ErrWrongObject)),
		get("name is no string", `{"metadata":{"name":["pico-config"],"namespace":"default"}}`, refused("", configmap.ErrWrongObject)),
		get("last metadata wins", `{"metadata":{"name":"x","namespace":"y","resourceVersion":"3"},`+metadata+`}`, `Applied version="7" object=7 `+nothing),
		get("last name wins", `{"metadata":{"name":"x","name":"pico-config","namespace":"default","resourceVersion":"3","resourceVersion":"4"}}`, `Applied version="4" object=4 `+nothing),
		get("data twice", `{`+metadata+`,"data":null,"data":{"pin_1":"HIGH"}}`, refused("7", configmap.ErrDuplicateKey)),
		get("memory_values twice", `{`+metadata+`,"data":{"memory_values":"","memory_values":"1=2"}}`, refused("7", configmap.ErrDuplicateKey)),
		get("pin twice", `{`+metadata+`,"data":{"pin_31":"LOW","pin_30":"LOW","pin_31":"LOW"}}`, refused("7", configmap.ErrDuplicateKey)),
		get("number in data", `{`+metadata+`,"data":{"pin_1":1}}`, refused("7", configmap.ErrNotString)),
		get("null in data", `{`+metadata+`,"data":{"pin_1":null}}`, refused("7", configmap.ErrNotString)),
		get("object in data", `{`+metadata+`,"data":{"x":{"memory_values":"1=2"}}}`, refused("7", configmap.ErrNotString)),
		get("array in data", `{`+metadata+`,"data":{"x":["1=2"]}}`, refused("7", configmap.ErrNotString)),
		get("data is an array", `{`+metadata+`,"data":[{"pin_1":"HIGH"}]}`, refused("7", configmap.ErrNotString)),
		get("data is a string", `{`+metadata+`,"data":"pin_1"}`, refused("7", configmap.ErrNotString)),
		get("data is true", `{`+metadata+`,"data":true}`, refused("7", configmap.ErrNotString)),
		get("version is no number", strings.Replace(ours, `"7"`, `"7a"`, 1), `Applied version="" `+strings.Replace(oursApplied, "7", "0", 1)),
		get("version has leading zeros", strings.Replace(ours, `"7"`, `"07"`, 1), `Applied version="" `+strings.Replace(oursApplied, "7", "0", 1)),
		get("largest version", strings.Replace(ours, `"7"`, `"18446744073709551615"`, 1), `Applied version="18446744073709551615" `+strings.Replace(oursApplied, "7", "18446744073709551615", 1)),
		get("version too large", strings.Replace(ours, `"7"`, `"18446744073709551617"`, 1), `Applied version="" `+strings.Replace(oursApplied, "7", "0", 1)),
		get("version is no string", strings.Replace(ours, `"7"`, `7`, 1), `Applied version="" `+strings.Replace(oursApplied, "7", "0", 1)),
		get("Status", forbidden, `Failed version="" code=403`),
		get("Status, code first", `{"code":404,"kind":"Status"}`, `Failed version="" code=404`),
		get("last kind wins", `{`+metadata+`,"kind":"Status","kind":7}`, `Applied version="7" object=7 `+nothing),
		get("kind of two parts", `{`+metadata+`,"kind":"`+strings.Repeat("x", jsonstream.PartSize)+`Status"}`, `Applied version="7" object=7 `+nothing),
		get("last version wins", `{"metadata":{"name":"pico-config","namespace":"default","resourceVersion":"7","resourceVersion":8}}`, `Applied version="" object=0 `+nothing),
		get("Status, last code wins", `{"kind":"Status","code":404,"code":"x"}`, `Failed version="" code=0`),
		get("Status, no code", `{"kind":"Status","code":"403"}`, `Failed version="" code=0`),
		get("Status, odd code", `{"kind":"Status","code":4e2}`, `Failed version="" code=0`),
		get("Status, absurd code", `{"kind":"Status","code":1000}`, `Failed version="" code=0`),
		get("Status that expired", gone, `Expired version="" code=410`),
		get("array", "["+ours+"]", refused("", configmap.ErrShape)),
		get("string", `"`+strings.Repeat("x", 300)+`"`, refused("", configmap.ErrShape)),
		get("number", "12 ", refused("", configmap.ErrShape)),
		get("null", "null", refused("", configmap.ErrShape)),
		get("HTML", "<html>", syntax),
		get("nothing", "", truncated),
		get("white space", " \n", truncated),
		get("truncated", ours[:len(ours)-1], truncated),
		get("white space behind", ours+" \r\n\t", `Applied version="7" `+oursApplied),
		get("another behind", ours+ours, `Applied version="7" `+oursApplied, "error: "+configmap.ErrTrailing.Error()),
		get("garbage behind", ours+"x", `Applied version="7" `+oursApplied, syntax),
	}
}

func listTests() []decoderTest {
	listTest := func(name, body string, want ...string) decoderTest {
		return decoderTest{"list " + name, configmap.List, body, want}
	}
	list := func(items ...string) string {
		return `{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"100"},"items":[` + strings.Join(items, ",") + "]}\n"
	}
	return []decoderTest{
		listTest("empty", list(), `Absent version="100"`),
		listTest("null items", `{"items":null,"metadata":{"resourceVersion":"100"}}`, `Absent version="100"`),
		listTest("one", list(ours), `Applied version="100" `+oursApplied),
		listTest("version last", `{"items":[`+ours+`],"metadata":{"remainingItemCount":1,"resourceVersion":"100","name":"x","namespace":"y"}}`, `Applied version="100" `+oursApplied),
		listTest("ours among others", list(theirs, ours, theirs), `Applied version="100" `+oursApplied),
		listTest("ours twice", list(ours, strings.Replace(ours, "1=2", "3=4", 1)), `Applied version="100" `+oursApplied),
		listTest("others only", list(theirs, theirs), `Absent version="100"`),
		listTest("strange items", list(`"Status"`, "null", "[]", "["+ours+"]", ours, `"x"`, "7"), `Applied version="100" `+oursApplied),
		listTest("scalars behind ours", list(strings.TrimSuffix(ours, "}")+`,"kind":"x"}`, `"Status"`), `Applied version="100" `+oursApplied),
		listTest("item refused", list(theirs, strings.Replace(ours, `"1=2"`, "7", 1), theirs), refused("100", configmap.ErrNotString)),
		listTest("no version", `{"items":[]}`, `Absent version=""`),
		listTest("no items", `{"metadata":{"resourceVersion":"100"}}`, refused("", configmap.ErrShape)),
		listTest("items is an object", `{"items":{"items":[`+ours+`]}}`, refused("", configmap.ErrShape)),
		listTest("items is a string", `{"items":"x"}`, refused("", configmap.ErrShape)),
		listTest("of one object", ours, refused("", configmap.ErrShape)),
		listTest("nested items", `{"x":{"items":[`+ours+`]},"items":[]}`, `Absent version=""`),
		listTest("Status", forbidden, `Failed version="" code=403`),
		listTest("array", "[]", refused("", configmap.ErrShape)),
		listTest("cut in items", list(ours, theirs)[:200], "error: "+configmap.ErrTruncated.Error()),
	}
}

func watchTests() []decoderTest {
	watch := func(name, body string, want ...string) decoderTest {
		return decoderTest{"watch " + name, configmap.Watch, body, want}
	}
	applied := `Applied version="7" ` + oursApplied
	bookmark := watchEvent("BOOKMARK", `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"resourceVersion":"55","creationTimestamp":null}}`)
	large := strings.Replace(ours, "1=2", strings.Repeat("1=2,", 1<<18), 1)
	return []decoderTest{
		watch("nothing", ""),
		watch("white space", "\r\n"),
		watch("all events", watchEvent("ADDED", ours)+watchEvent("MODIFIED", ours)+bookmark+watchEvent("DELETED", ours)+watchEvent("ERROR", gone)+watchEvent("ERROR", forbidden),
			applied, applied, `Bookmark version="55"`, `Deleted version="7"`, `Expired version="" code=410`, `Failed version="" code=403`),
		watch("type last", `{"object":`+ours+`,"type":"ADDED"}{"object":`+ours+`,"type":"DELETED"}{"object":`+gone+`,"type":"ERROR"}`,
			applied, `Deleted version="7"`, `Expired version="" code=410`),
		watch("others", watchEvent("ADDED", theirs)+watchEvent("DELETED", theirs)+watchEvent("ADDED", ours), applied),
		watch("nothing left of others", watchEvent("ADDED", strings.Replace(ours, "1=2", "8=8", 1))+watchEvent("ADDED", theirs)+watchEvent("ADDED", "{"+metadata+"}"),
			strings.Replace(applied, "1=2", "8=8", 1), `Applied version="7" object=7 `+nothing),
		watch("no object", `{"type":"ADDED"}`+watchEvent("ADDED", ours)+`{"type":"MODIFIED"}{"object":`+ours+"}", applied, refused("", configmap.ErrEventType)),
		watch("unknown type", watchEvent("PATCHED", ours)+watchEvent("ADDED", ours), refused("", configmap.ErrEventType), applied),
		watch("type is no string", `{"type":"ADDED","type":1,"object":`+ours+"}", refused("", configmap.ErrEventType)),
		watch("last object wins", `{"type":"ADDED","object":`+strings.Replace(ours, "1=2", "8=8", 1)+`,"object":`+ours+"}", applied),
		watch("last object is null", `{"type":"ADDED","object":`+ours+`,"object":null}`),
		watch("object is an array", `{"type":"ADDED","object":[`+ours+`]}`),
		watch("refused, then good", watchEvent("ADDED", strings.Replace(ours, `"1=2"`, "{}", 1))+watchEvent("ADDED", ours), refused("7", configmap.ErrNotString), applied),
		watch("1 MB, then good", watchEvent("MODIFIED", large)+watchEvent("MODIFIED", ours), refused("7", configmap.ErrTooLarge), applied),
		watch("deleted 1 MB", watchEvent("DELETED", large), `Deleted version="7"`),
		watch("bare Status", gone+watchEvent("ADDED", ours), `Expired version="" code=410`, applied),
		watch("bare ConfigMap", ours, refused("", configmap.ErrEventType)),
		watch("bare values", `[{}] 7 "ADDED" null `+watchEvent("ADDED", ours), refused("", configmap.ErrShape), refused("", configmap.ErrShape), refused("", configmap.ErrShape), refused("", configmap.ErrShape), applied),
		watch("cut in an array", `[{}`, "error: "+configmap.ErrTruncated.Error()),
		watch("cut in a string", `"x`, "error: "+configmap.ErrTruncated.Error()),
		watch("syntax", watchEvent("ADDED", ours)+"}", applied, "error: "+jsonstream.ErrSyntax.Error()),
		watch("too deep", strings.Repeat("[", 100), "error: "+jsonstream.ErrNesting.Error()),
		watch("cut", watchEvent("ADDED", ours)+`{"type":"ADDED"`, applied, "error: "+configmap.ErrTruncated.Error()),
	}
}

func TestDecoder(t *testing.T) {
	t.Parallel()
	for _, tt := range decoderTests() {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := decode(t, tt.shape, tt.body); !slices.Equal(got, tt.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

// Every body is cut in two at every position, and fed byte by byte.
func TestDecoderSplits(t *testing.T) {
	t.Parallel()
	for _, tt := range decoderTests() {
		if len(tt.body) > 4<<10 {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for at := range len(tt.body) {
				if got := decode(t, tt.shape, tt.body, at); !slices.Equal(got, tt.want) {
					t.Fatalf("cut at %d: got\n%s\nwant\n%s", at, strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
				}
			}
			bytewise := slices.Repeat([]int{1}, len(tt.body))
			if got := decode(t, tt.shape, tt.body, bytewise...); !slices.Equal(got, tt.want) {
				t.Fatalf("byte by byte: got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

// Every truncation of a list is an error, and none yields an event.
func TestDecoderTruncated(t *testing.T) {
	t.Parallel()
	body := `{"metadata":{"resourceVersion":"100"},"items":[` + ours + `]}`
	want := []string{"error: " + configmap.ErrTruncated.Error()}
	for n := range len(body) {
		if got := decode(t, configmap.List, body[:n]); !slices.Equal(got, want) {
			t.Fatalf("cut to %d bytes: got %q, want %q", n, got, want)
		}
	}
}

func TestDecoderMemberOrder(t *testing.T) {
	t.Parallel()
	data := `"data":{"memory_values":"1=2"}`
	for _, meta := range permutations(`"name":"pico-config"`, `"namespace":"default"`, `"resourceVersion":"7"`, `"annotations":{"name":"x","data":"y"}`) {
		for _, object := range permutations(`"kind":"ConfigMap"`, `"metadata":{`+meta+`}`, data) {
			for _, event := range permutations(`"type":"MODIFIED"`, `"object":{`+object+`}`) {
				body := watchEvent("ADDED", theirs) + "{" + event + "}"
				want := []string{`Applied version="7" ` + oursApplied}
				if got := decode(t, configmap.Watch, body); !slices.Equal(got, want) {
					t.Fatalf("%s: got %q, want %q", body, got, want)
				}
			}
			body := `{"items":[` + theirs + ",{" + object + "}," + theirs + `],"metadata":{"resourceVersion":"8"}}`
			want := []string{`Applied version="8" ` + oursApplied}
			if got := decode(t, configmap.List, body); !slices.Equal(got, want) {
				t.Fatalf("%s: got %q, want %q", body, got, want)
			}
		}
	}
}

// permutations returns the members in every order, joined by commas.
func permutations(members ...string) []string {
	if len(members) == 1 {
		return members
	}
	var all []string
	for i, first := range members {
		rest := slices.Delete(slices.Clone(members), i, i+1)
		for _, p := range permutations(rest...) {
			all = append(all, first+","+p)
		}
	}
	return all
}

func TestLimits(t *testing.T) {
	t.Parallel()
	keys := func(n int) map[string]string {
		data := map[string]string{}
		for i := range n {
			data[fmt.Sprintf("key-%d", i)] = ""
		}
		return data
	}
	size := func(n int) map[string]string {
		return map[string]string{"memory_values": strings.Repeat(" ", n/2), "other": strings.Repeat("x", n-n/2)}
	}
	tests := []struct {
		name string
		data map[string]string
		want string
	}{
		{"64 keys", keys(configmap.MaxKeys), `Applied version="7" object=7 entries=0 rejected=0 ignored=64`},
		{"65 keys", keys(configmap.MaxKeys + 1), refused("7", configmap.ErrTooLarge)},
		{"16 KiB", size(configmap.MaxValueBytes), `Applied version="7" object=7 entries=0 rejected=0 ignored=1`},
		{"16 KiB and a byte", size(configmap.MaxValueBytes + 1), refused("7", configmap.ErrTooLarge)},
		{"1 MB in a key", map[string]string{strings.Repeat("k", 1<<20): ""}, `Applied version="7" object=7 entries=0 rejected=0 ignored=1`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := decode(t, configmap.Object, configMap("7", tt.data))
			if !slices.Equal(got, []string{tt.want}) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestDecoderOthers(t *testing.T) {
	t.Parallel()
	var (
		staged configmap.Staged
		d      configmap.Decoder
	)
	d.Reset(configmap.Watch, namespace, name, &staged)
	body := watchEvent("ADDED", theirs) + watchEvent("MODIFIED", theirs)
	if ev, n, err := d.Feed([]byte(body)); ev != configmap.None || n != len(body) || err != nil {
		t.Fatalf("Feed = %v, %d, %v", ev, n, err)
	}
	if d.Others() != 2 {
		t.Errorf("%d others, want 2", d.Others())
	}
	if got := string(d.ResourceVersion()); got != "9" {
		t.Errorf("version %q, want 9: a watch goes on behind what it skipped", got)
	}
}

// After an error only Reset helps, and it helps at once.
func TestDecoderReset(t *testing.T) {
	t.Parallel()
	var (
		staged configmap.Staged
		d      configmap.Decoder
	)
	d.Reset(configmap.Watch, namespace, name, &staged)
	if _, _, err := d.Feed([]byte(`{"type":}`)); err != jsonstream.ErrSyntax {
		t.Fatalf("error %v, want %v", err, jsonstream.ErrSyntax)
	}
	if _, n, err := d.Feed([]byte(watchEvent("ADDED", ours))); n != 0 || err != jsonstream.ErrSyntax {
		t.Errorf("after the error: %d bytes, %v", n, err)
	}
	if err := d.Finish(); err != jsonstream.ErrSyntax {
		t.Errorf("Finish after the error: %v", err)
	}
	d.Reset(configmap.Object, namespace, name, &staged)
	if ev, _, err := d.Feed([]byte(ours)); ev != configmap.Applied || err != nil {
		t.Errorf("after Reset: %s, %v", eventNames[ev], err)
	}
}

// A watch at whose end a number stands has no whole event there.
func TestDecoderFinishNumber(t *testing.T) {
	t.Parallel()
	want := []string{"error: " + configmap.ErrTruncated.Error()}
	if got := decode(t, configmap.Watch, "12"); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
