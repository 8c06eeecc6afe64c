// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !tinygo

package settings_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/picolet/picolet/settings"
)

// TestNoSecretIsPrinted tries the ways in which Go programs print values.
func TestNoSecretIsPrinted(t *testing.T) {
	t.Parallel()
	s := whole()
	holder := struct{ Settings settings.Settings }{s}
	var out bytes.Buffer
	for _, v := range []any{s, &s, holder, []settings.Settings{s}, map[string]settings.Settings{"a": s}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			fmt.Fprintf(&out, verb, v)
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(text)
		slog.New(slog.NewTextHandler(&out, nil)).Info("Loaded", "settings", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("Loaded", "settings", v)
	}
	said := out.String()
	for _, form := range []string{"secret", "7365637265742d", "115 101 99 114 101 116", "0x73, 0x65, 0x63"} {
		if at := strings.Index(said, form); at >= 0 {
			t.Errorf("printed: %q", said[max(0, at-40):min(len(said), at+40)])
		}
	}
	if !strings.Contains(said, "pico-1.lab") {
		t.Error("nothing was printed at all")
	}
}
