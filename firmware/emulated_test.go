// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package firmware_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/picolet/picolet/kubelet"
)

// serialBoard is an emulated board that runs the image of package core: all
// streams of its kubelet share the serial port, as pairs of stream and byte.
type serialBoard struct {
	t       *testing.T
	in      io.Writer
	streams [kubelet.NumStreams]*io.PipeReader
}

// startBoard boots an image. What is needed is skipped on a person's machine
// that lacks it, and fails in CI.
func startBoard(t *testing.T, image string) *serialBoard {
	t.Helper()
	node, err := exec.LookPath("node")
	if err == nil {
		_, err = os.Stat("../emulator/node_modules")
	}
	if err != nil && os.Getenv("CI") != "true" {
		t.Skipf("the emulator is not there (%v): install Node.js 20 and npm, then make test-emulator", err)
	} else if err != nil {
		t.Fatalf("the emulator is not there: %v", err)
	}
	cmd := exec.CommandContext(t.Context(), node, "../emulator/serial.js", image)
	cmd.Stderr = t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	b := &serialBoard{t: t, in: in}
	var sinks [kubelet.NumStreams]*io.PipeWriter
	for s := range b.streams {
		b.streams[s], sinks[s] = io.Pipe()
	}
	go demultiplex(bufio.NewReader(out), sinks)
	return b
}

// demultiplex gives each byte to its stream, until the board ends. It waits
// for a reader, so every stream that the board uses must have one.
func demultiplex(out *bufio.Reader, sinks [kubelet.NumStreams]*io.PipeWriter) {
	var pair [2]byte
	for {
		_, err := io.ReadFull(out, pair[:])
		if err != nil || int(pair[0]) >= len(sinks) {
			for _, w := range sinks {
				_ = w.CloseWithError(errors.Join(err, fmt.Errorf("the serial port said %q", pair)))
			}
			return
		}
		_, _ = sinks[pair[0]].Write(pair[1:])
	}
}

// send gives the board bytes of a stream.
func (b *serialBoard) send(s kubelet.Stream, text string) {
	b.t.Helper()
	pairs := make([]byte, 0, 2*len(text))
	for i := range len(text) {
		pairs = append(pairs, byte(s), text[i])
	}
	if _, err := b.in.Write(pairs); err != nil {
		b.t.Fatal(err)
	}
}

// answer is what an API server says that knows no such node yet.
func answer(r *http.Request) string {
	code, body := 404, `{"kind":"Status","reason":"NotFound","code":404}`
	switch {
	case r.Method == "POST":
		code, body = 201, `{"metadata":{"uid":"u-1","resourceVersion":"7"}}`
	case r.Method == "PATCH":
		code, body = 200, `{"metadata":{"resourceVersion":"8"}}`
	}
	return fmt.Sprintf("HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Length: %d\r\n\r\n%s",
		code, http.StatusText(code), time.Now().UTC().Format(http.TimeFormat), len(body), body)
}

// TestCoreRegistersOnAnEmulatedBoard: the core, compiled for the RP2040 and run
// by an emulator, registers its node, takes a lease and answers its port.
func TestCoreRegistersOnAnEmulatedBoard(t *testing.T) {
	t.Parallel()
	image := filepath.Join(t.TempDir(), "core.elf")
	run(t, compiler(t).Command(t.Context(), "build", "-target=pico", "-serial=uart", "-o="+image, "./core"))
	b := startBoard(t, image)
	watchdog := time.AfterFunc(2*time.Minute, func() {
		for _, s := range b.streams {
			_ = s.CloseWithError(errors.New("the board said no more for two minutes"))
		}
	})
	defer watchdog.Stop()
	go func() { _, _ = io.Copy(io.Discard, b.streams[kubelet.StreamWatch]) }()

	api := bufio.NewReader(b.streams[kubelet.StreamAPI])
	var asked []string
	for len(asked) < 5 {
		r, err := http.ReadRequest(api)
		if err != nil {
			t.Fatalf("after %q: %v", asked, err)
		}
		var body bytes.Buffer
		if _, err := body.ReadFrom(r.Body); err != nil {
			t.Fatalf("after %q: %v", asked, err)
		}
		asked = append(asked, r.Method+" "+r.URL.Path)
		if r.Method == "POST" && strings.HasSuffix(r.URL.Path, "/nodes") && !strings.Contains(body.String(), time.Now().UTC().Format("2006-01-02T")) {
			t.Errorf("the node's heartbeat does not have today's date:\n%s", &body)
		}
		b.send(kubelet.StreamAPI, answer(r))
	}
	const leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
	want := []string{"GET /api/v1/nodes/pico-core", "POST /api/v1/nodes", "GET " + leases + "/pico-core", "POST " + leases,
		"POST /api/v1/namespaces/default/events"}
	if got := strings.Join(asked, "\n"); got != strings.Join(want, "\n") {
		t.Fatalf("the board asked\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}

	go func() { _, _ = io.Copy(io.Discard, api) }() // one serial port: what nobody reads holds up the rest
	b.send(kubelet.StreamServed, "\x00GET /healthz HTTP/1.1\r\nHost: pico-core\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(b.streams[kubelet.StreamServed]), nil)
	if err != nil {
		t.Fatal(err)
	}
	body := make([]byte, resp.ContentLength)
	if _, err := io.ReadFull(resp.Body, body); err != nil || resp.StatusCode != 200 || string(body) != "ok" {
		t.Errorf("/healthz: %s %q %v", resp.Status, body, err)
	}
}
