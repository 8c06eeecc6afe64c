// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package configmap_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/picolet/picolet/kubelet/configmap"
)

const (
	namespace = "default"
	name      = "pico-config"
)

var eventNames = map[configmap.Event]string{
	configmap.Applied:  "Applied",
	configmap.Deleted:  "Deleted",
	configmap.Absent:   "Absent",
	configmap.Bookmark: "Bookmark",
	configmap.Expired:  "Expired",
	configmap.Failed:   "Failed",
	configmap.Refused:  "Refused",
}

// describe writes down all that s asks for.
func describe(s *configmap.Staged) string {
	var b strings.Builder
	for addr := range configmap.RegionSize {
		if v, ok := s.Byte(addr); ok {
			fmt.Fprintf(&b, "%d=%d ", addr, v)
		}
	}
	for n := range configmap.MaxPins {
		if state, ok := s.Pin(n); ok {
			fmt.Fprintf(&b, "pin_%d=%s ", n, state.AppendText(nil))
		}
	}
	if on, ok := s.LED(); ok {
		fmt.Fprintf(&b, "led=%v ", on)
	}
	fmt.Fprintf(&b, "entries=%d rejected=%d ignored=%d", s.Entries, s.Rejected, s.Ignored)
	for _, r := range s.Rejections() {
		fmt.Fprintf(&b, "\n\t%s", r.AppendText(nil))
	}
	return b.String()
}

// describeEvent writes down all that d and s say after an event.
func describeEvent(ev configmap.Event, d *configmap.Decoder, s *configmap.Staged) string {
	text := fmt.Sprintf("%s version=%q", eventNames[ev], d.ResourceVersion())
	switch ev {
	case configmap.Applied:
		return fmt.Sprintf("%s object=%d %s", text, s.ResourceVersion(), describe(s))
	case configmap.Refused:
		return fmt.Sprintf("%s: %v", text, d.Err())
	case configmap.Failed, configmap.Expired:
		return fmt.Sprintf("%s code=%d", text, d.Code())
	}
	return text
}

// decode feeds body in pieces and returns one line for each event and one for
// an error. The last piece takes the rest.
func decode(t *testing.T, shape configmap.Shape, body string, pieces ...int) []string {
	t.Helper()
	var (
		staged configmap.Staged
		d      configmap.Decoder
		lines  []string
	)
	d.Reset(shape, namespace, name, &staged)
	for rest := []byte(body); len(rest) > 0; {
		piece := rest
		if len(pieces) > 0 {
			piece, pieces = rest[:min(pieces[0], len(rest))], pieces[1:]
		}
		rest = rest[len(piece):]
		for {
			ev, n, err := d.Feed(piece)
			if n < 0 || n > len(piece) {
				t.Fatalf("Feed consumed %d of %d bytes", n, len(piece))
			}
			piece = piece[n:]
			empty := err != nil || ev != configmap.None && ev != configmap.Applied
			if empty && describe(&staged) != nothing {
				t.Errorf("after %s, error %v, the Staged holds %s", eventNames[ev], err, describe(&staged))
			}
			if err != nil {
				return append(lines, "error: "+err.Error())
			}
			if ev == configmap.None {
				break
			}
			lines = append(lines, describeEvent(ev, &d, &staged))
		}
		if len(piece) > 0 {
			t.Fatalf("Feed returned None and left %d bytes", len(piece))
		}
	}
	if err := d.Finish(); err != nil {
		return append(lines, "error: "+err.Error())
	}
	return lines
}

const nothing = "entries=0 rejected=0 ignored=0"

// configMap is a ConfigMap as the API server writes it.
func configMap(version string, data map[string]string) string {
	type meta struct {
		Name            string `json:"name"`
		Namespace       string `json:"namespace"`
		ResourceVersion string `json:"resourceVersion"`
	}
	b, err := json.Marshal(struct {
		Kind       string            `json:"kind"`
		APIVersion string            `json:"apiVersion"`
		Metadata   meta              `json:"metadata"`
		Data       map[string]string `json:"data,omitempty"`
	}{"ConfigMap", "v1", meta{name, namespace, version}, data})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// watchEvent is an event of a watch as the API server writes it.
func watchEvent(kind, object string) string {
	return `{"type":"` + kind + `","object":` + object + "}\n"
}

// stage decodes a ConfigMap of one key.
func stage(t *testing.T, key, value string) *configmap.Staged {
	t.Helper()
	return stageAll(t, "1", map[string]string{key: value})
}

func stageAll(t *testing.T, version string, data map[string]string) *configmap.Staged {
	t.Helper()
	return stageNamed(t, name, version, data)
}

func stageNamed(t *testing.T, as, version string, data map[string]string) *configmap.Staged {
	t.Helper()
	var (
		staged configmap.Staged
		d      configmap.Decoder
	)
	d.Reset(configmap.Object, namespace, as, &staged)
	body := strings.Replace(configMap(version, data), name, as, 1)
	ev, _, err := d.Feed([]byte(body))
	if ev != configmap.Applied || err != nil {
		t.Fatalf("Feed: event %s, %v, error %v", eventNames[ev], d.Err(), err)
	}
	return &staged
}
