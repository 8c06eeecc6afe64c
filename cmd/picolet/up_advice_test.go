// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/kubernetes/fake"

	"github.com/picolet/picolet/cluster"
	"github.com/picolet/picolet/link/noise"
	"github.com/picolet/picolet/testlog"
)

// TestAdviceWithoutThePlugin is what plain kubectl can do.
func TestAdviceWithoutThePlugin(t *testing.T) {
	t.Parallel()
	with, without := advice{plugin: true}, advice{}
	for _, tt := range []struct{ got, want string }{
		{with.approve("d", ""), "kubectl pico approve d"},
		{with.approve("d", "pico-1"), "kubectl pico approve d --node-name pico-1"},
		{with.revoke("d"), "kubectl pico revoke d"},
		{without.approve("d", ""), `kubectl patch device d --type merge -p '{"spec":{"approved":true}}'`},
		{without.approve("d", "pico-1"), `kubectl patch device d --type merge -p '{"spec":{"approved":true,"nodeName":"pico-1"}}'`},
		{without.revoke("d"), `kubectl patch device d --type merge -p '{"spec":{"approved":false}}'`},
	} {
		if tt.got != tt.want {
			t.Errorf("%s, want %s", tt.got, tt.want)
		}
		if _, patch, ok := strings.Cut(tt.got, "-p '"); ok && !json.Valid([]byte(strings.TrimSuffix(patch, "'"))) {
			t.Errorf("no JSON: %s", tt.got)
		}
	}
}

// TestPluginIsFound on PATH; this test has none beside it.
func TestPluginIsFound(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	if a, _ := newAdvice(); a.plugin {
		t.Error("found where there is none")
	}
	if err := os.WriteFile(filepath.Join(dir, pluginName), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if a, where := newAdvice(); !a.plugin || where != "" {
		t.Errorf("found %v in %q", a.plugin, where)
	}
}

// TestUpSaysThatTheGatewayIsReady before what to do with it, with the address for
// plain HTTP; and names no plugin that is not there.
func TestUpSaysThatTheGatewayIsReady(t *testing.T) {
	t.Parallel()
	out := new(testlog.Buffer)
	u := &up{out: out, progress: newProgress(out), ready: make(chan struct{})}
	for _, l := range []*net.Listener{&u.doors.links, &u.doors.insecure, &u.doors.admin} {
		var err error
		if *l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(u.doors.close)
	welcomed := make(chan error, 1)
	go func() {
		welcomed <- u.welcome(t.Context(), fake.NewClientset(), new(cluster.Cluster), noise.PublicKey{})
	}()
	asked := make(chan struct{}, 1)
	go func() {
		_ = http.Serve(u.doors.admin, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			select {
			case asked <- struct{}{}:
				w.WriteHeader(http.StatusServiceUnavailable) // at first
			default:
			}
			_, _ = io.WriteString(w, "ok")
		}))
	}()
	if err := u.runBoards(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if err := <-welcomed; err != nil {
		t.Fatal(err)
	}
	said := out.String()
	ready, then := strings.Index(said, "Gateway is ready at "+u.doors.links.Addr().String()), strings.Index(said, "0 nodes are Ready")
	if ready < 0 || then < ready || !strings.Contains(said, "for plain HTTP at "+u.doors.insecure.Addr().String()) {
		t.Errorf("says\n%s", said)
	}
	if strings.Contains(said, "kubectl pico") || !strings.Contains(said, "kubectl patch device NAME") {
		t.Errorf("advises\n%s", said)
	}
}
