// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
)

func TestPrefersMinimal(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]bool{
		"":                                      false,
		"return=minimal":                        true,
		"Return = minimal":                      true,
		`return="minimal"`:                      true,
		"return=minimal; a=b":                   true,
		"respond-async, return=minimal":         true,
		"return=representation":                 false,
		"return=representation, return=minimal": false, // the first counts
		"return":                                false,
		"minimal":                               false,
		"a; return=minimal":                     false, // a parameter of another preference
		"x-return=minimal":                      false,
		"return=minimal-but-long":               false,
	} {
		if got := prefersMinimal(http.Header{"Prefer": {header}}); got != want {
			t.Errorf("Prefer: %s: %v, want %v", header, got, want)
		}
	}
}

// A board that prefers so gets of what it wrote the UID and the version alone.
func TestShortAnswers(t *testing.T) {
	t.Parallel()
	const (
		object  = `{"kind":"Node","metadata":{"name":"pico-1","uid":"u-1","resourceVersion":"42","labels":{"a":"b"}},"spec":{}}`
		failure = `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"conflict","code":409}`
		post    = "/api/v1/nodes"
	)
	for _, tt := range []struct {
		name, method, target, prefer string
		code                         int
		object                       string
		wantCode                     int
		wantBody, wantETag           string
	}{
		{"created", "POST", post, "return=minimal", 201, object, 201, `{"metadata":{"uid":"u-1","resourceVersion":"42"}}`, ""},
		{"changed", "PATCH", own + "/status", "return=minimal", 200, object, 204, "", `"42"`},
		{"changed, without the wish", "PATCH", own + "/status", "", 200, object, 200, object, ""},
		{"read", "GET", own, "return=minimal", 200, object, 200, object, ""},
		{"refused", "PATCH", own + "/status", "return=minimal", 409, failure, 409, failure, ""},
		{"no object", "PATCH", own + "/status", "return=minimal", 200, `[]`, 200, `[]`, ""},
		{"no version", "POST", post, "return=minimal", 201, `{"metadata":{}}`, 201, `{"metadata":{}}`, ""},
		{"a version that is none", "PATCH", own + "/status", "return=minimal", 200, `{"metadata":{"resourceVersion":"4\"2"}}`, 200, `{"metadata":{"resourceVersion":"4\"2"}}`, ""},
		{"a long version", "PATCH", own + "/status", "return=minimal", 200, `{"metadata":{"resourceVersion":"` + strings.Repeat("1", 21) + `"}}`, 200,
			`{"metadata":{"resourceVersion":"` + strings.Repeat("1", 21) + `"}}`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			api := newFakeAPI()
			api.node = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Date", "Tue, 01 Jan 2030 00:00:00 GMT")
				w.WriteHeader(tt.code)
				_, _ = io.WriteString(w, tt.object)
			}
			h := startTLS(t, api)
			contentType, body := strategicPatchType, statusBody
			switch tt.method {
			case "POST":
				contentType, body = jsonType, `{"metadata":{"name":"pico-1"}}`
			case "GET":
				body = ""
			}
			r := ask(t, h.client(""), tt.method, tt.target, body, "Content-Type", contentType, "Prefer", tt.prefer)
			if r.code != tt.wantCode || r.body != tt.wantBody || r.header.Get("ETag") != tt.wantETag || r.header.Get("Date") != "Tue, 01 Jan 2030 00:00:00 GMT" {
				t.Errorf("answer %d %s %v", r.code, r.body, r.header)
			}
		})
	}
}

// A connection remembers what the request said that bound it, and nothing of
// one that was refused.
func TestConnectionRemembersItsBoard(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI()
		api.node = func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"metadata":{"resourceVersion":"42"}}`)
		}
		h := startPiped(t, api)
		patch := func(c *http.Client, headers ...string) reply {
			t.Helper()
			return ask(t, c, "PATCH", own+"/status", statusBody, append(headers, "Content-Type", strategicPatchType)...)
		}
		introduced := []string{nodeHeader, "pico-1", boardHeader, "e66", "Prefer", "return=minimal"}

		first := h.client("10.0.0.1:1")
		if r := ask(t, first, "GET", own, "", introduced...); r.code != 200 || r.header.Get(nodeHeader) != "pico-1" {
			t.Fatalf("introduction: %d %v", r.code, r.header)
		}
		if r := patch(first); r.code != 204 || r.header.Get(nodeHeader) != "" {
			t.Errorf("later, without headers: %d %v", r.code, r.header)
		}
		if r := patch(first, "Prefer", "return=representation"); r.code != 200 {
			t.Errorf("another preference for once: %d", r.code)
		}
		if r := patch(first, boardHeader, "e66"); r.code != 204 {
			t.Errorf("the same board's name again: %d", r.code)
		}
		if r := patch(first, boardHeader, "e67"); r.code != http.StatusConflict {
			t.Errorf("another board's name: %d %s", r.code, r.body)
		}
		if r := patch(first); r.code != 204 {
			t.Errorf("after another board's name: %d %s", r.code, r.body)
		}

		second := h.client("10.0.0.2:1")
		if r := ask(t, second, "GET", own, "", nodeHeader, "pico-1", boardHeader, "e67"); r.code != http.StatusConflict || r.header.Get(nodeHeader) != "" {
			t.Errorf("another board: %d %v", r.code, r.header)
		}
		if r := patch(second); r.code != http.StatusConflict {
			t.Errorf("another board, without headers: %d %s", r.code, r.body)
		}
		for _, asked := range h.api.asked() {
			for _, name := range []string{nodeHeader, boardHeader, "Prefer"} {
				if asked.header.Get(name) != "" {
					t.Errorf("header %s went upstream", name)
				}
			}
		}
		endBubble(t, h)
	})
}
