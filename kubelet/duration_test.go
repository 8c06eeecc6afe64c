// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"bytes"
	"io"
	"testing"
	"time"
)

// A request takes from its first byte to the last of its answer; what gets no
// whole answer, and a watch, is not counted.
func TestDurations(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.now += 3 * time.Second // for the dial, which does not count
	r.open(StreamAPI)
	r.net = true
	after := func(d time.Duration, s Stream, p []byte) {
		r.now += d
		r.receive(s, p, 0)
	}
	after(70*time.Millisecond, StreamAPI, r.response(404, "", notFoundBody))
	whole := r.response(201, "", createdNode)
	after(100*time.Millisecond, StreamAPI, whole[:len(whole)-1])
	after(23*time.Microsecond, StreamAPI, whole[len(whole)-1:])
	after(50*time.Millisecond, StreamAPI, r.response(404, "", notFoundBody))
	after(40*time.Millisecond, StreamAPI, r.response(201, "", createdLease))
	after(time.Millisecond, StreamWatch, r.response(200, "", `{"kind":"ConfigMapList","metadata":{"resourceVersion":"5"},"items":[]}`))
	after(time.Second, StreamWatch, r.response(200, "", `{"type":"BOOKMARK","object":{"kind":"ConfigMap","metadata":{"resourceVersion":"6"}}}`))
	r.k.Closed(r.now, StreamAPI, io.EOF) // an Event was under way
	_, body := r.get("/metrics")
	for _, want := range []string{
		"# TYPE picolet_api_request_duration_seconds summary",
		`picolet_api_request_duration_seconds_sum{operation="get_node"} 0.070000`,
		`picolet_api_request_duration_seconds_count{operation="get_node"} 1`,
		`picolet_api_request_duration_seconds_sum{operation="create_node"} 0.100023`,
		`picolet_api_request_duration_seconds_sum{operation="create_lease"} 0.040000`,
		// Asked once the node was registered.
		`picolet_api_request_duration_seconds_sum{operation="list_configmap"} 0.091000`,
		`picolet_api_requests_total{operation="create_event",outcome="none"} 1`,
		`picolet_api_requests_total{operation="watch_configmap",outcome="2xx"} 1`,
	} {
		if !bytes.Contains(body, []byte(want+"\n")) {
			t.Errorf("metrics lack %s", want)
		}
	}
	for _, never := range []string{`seconds_count{operation="create_event"}`, `seconds_count{operation="watch_configmap"}`} {
		if bytes.Contains(body, []byte(never)) {
			t.Errorf("metrics have %s", never)
		}
	}
	if t.Failed() {
		t.Logf("%s", body)
	}
}
