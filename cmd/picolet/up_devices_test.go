// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/picolet/picolet/api/devices"
	"github.com/picolet/picolet/api/v1alpha1"
)

// "picolet up" lets its own boards in, and undoes no decision of a person.
func TestUpLetsItsBoardsIn(t *testing.T) {
	t.Parallel()
	key, _, err := keyFile(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	name := v1alpha1.Key(key.Public).Name()
	device := func(name, node string, approved *bool) v1alpha1.Device {
		return v1alpha1.Device{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.DeviceSpec{NodeName: node, Approved: approved}}
	}
	yes, no := ptr.To(true), ptr.To(false)
	const path = "/apis/picolet.dev/v1alpha1/devices"
	created := fmt.Sprintf("POST %s approved by its key", path)
	tests := map[string]struct {
		there   []v1alpha1.Device
		writes  []string
		keptOut string
	}{
		"the first time":         {nil, []string{created}, ""},
		"among others":           {[]v1alpha1.Device{device("f", "pico-2", yes), device("e", "pico-1", no)}, []string{created}, ""},
		"again":                  {[]v1alpha1.Device{device(name, "pico-1", yes)}, nil, ""},
		"as it came by itself":   {[]v1alpha1.Device{device(name, "wish", nil)}, []string{"PATCH " + path + "/" + name + ` {"spec":{"approved":true,"nodeName":"pico-1"}}`}, ""},
		"denied":                 {[]v1alpha1.Device{device(name, "pico-1", no)}, nil, "is kept out: kubectl pico approve " + name},
		"renamed":                {[]v1alpha1.Device{device(name, "lab", yes)}, nil, "shall be node lab: kubectl pico approve " + name + " --node-name pico-1"},
		"another is that node":   {[]v1alpha1.Device{device("f", "pico-1", yes)}, nil, "has a new key, but is device f already: kubectl pico revoke f, then kubectl pico approve " + name},
		"another is, this waits": {[]v1alpha1.Device{device("f", "pico-1", yes), device(name, "pico-1", nil)}, nil, "has a new key, but is device f already: kubectl pico revoke f, then kubectl pico approve " + name},
	}
	for what, tt := range tests {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			var writes []string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if r.Method == http.MethodPost {
					body = []byte(whatIsCreated(body, key))
				}
				writes = append(writes, r.Method+" "+r.URL.Path+" "+string(body))
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, `{"kind":"Device","apiVersion":"picolet.dev/v1alpha1","spec":{}}`)
			}))
			defer server.Close()
			client, err := devices.New(&rest.Config{Host: server.URL})
			if err != nil {
				t.Fatal(err)
			}
			b := &upBoard{name: "pico-1", key: key, advice: advice{plugin: true}}
			if err := b.letIn(t.Context(), client, tt.there); err != nil {
				t.Fatal(err)
			}
			server.Close()
			if !slices.Equal(writes, tt.writes) || b.keptOut != tt.keptOut {
				t.Errorf("writes %q, kept out %q; want %q, %q", writes, b.keptOut, tt.writes, tt.keptOut)
			}
		})
	}
}

// whatIsCreated is "approved by its key" if it is the board's own Device.
func whatIsCreated(body []byte, key ownKey) string {
	var d v1alpha1.Device
	if err := json.Unmarshal(body, &d); err != nil {
		return err.Error()
	}
	got, err := d.Key()
	if err != nil || got != v1alpha1.Key(key.Public) || d.Name != got.Name() || d.Spec.NodeName != "pico-1" || !d.IsApproved() {
		return fmt.Sprintf("%+v", d)
	}
	return "approved by its key"
}
