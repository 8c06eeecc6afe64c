// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"k8s.io/klog/v2"
)

// TestClientLogEnds: what the Kubernetes client reports as an error after Ctrl-C is not logged.
func TestClientLogEnds(t *testing.T) {
	var out strings.Builder
	ctx, cancel := context.WithCancel(t.Context())
	own := (&logFlag{slog.LevelInfo}).logger(ctx, &out)
	t.Cleanup(func() {
		slog.SetDefault(slog.New(slog.DiscardHandler))
		klog.SetSlogLogger(slog.New(slog.DiscardHandler))
	})
	logger := klog.Background().WithName("reflector").WithValues("type", "*v1.Pod")
	logger.Error(errors.New("refused"), "Failed to watch")
	cancel()
	logger.Error(context.Canceled, "Failed to watch again")
	klog.Error("Unhandled error")
	own.Info("Gateway stopped")
	for text, want := range map[string]bool{
		`msg="Failed to watch" component=client-go`: true, "again": false, "Unhandled": false, `msg="Gateway stopped"`: true,
	} {
		if got := strings.Contains(out.String(), text); got != want {
			t.Errorf("%q in the log: %v, want %v:\n%s", text, got, want, &out)
		}
	}
}
