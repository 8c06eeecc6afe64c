// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !tinygo

package kubelet

import (
	"strings"
	"testing"
)

// TestReportOnCommand: a node that is gone is registered as soon as its board is asked
// for its status.
func TestReportOnCommand(t *testing.T) {
	t.Parallel()
	r := onlineRig(t, func(c *Config) { c.ConfigMaps = []ObjectName{} })
	if resp, body := r.post("/pico/command", `{"command":"report_status"}`); resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	r.act()
	began := r.now
	if r.k.client.op != patchStatus || !whole(r.body) {
		t.Fatalf("asked %v: %s", r.k.client.op, r.body)
	}
	r.reply(StreamAPI, 404, notFoundBody)
	r.reply(StreamAPI, 404, notFoundBody)
	if r.k.client.op != createNode || r.now != began {
		t.Errorf("asked %v after %v", r.k.client.op, r.now-began)
	}
}

// TestOnePinIsRead: the others are left alone, and what is no pin is refused.
func TestOnePinIsRead(t *testing.T) {
	t.Parallel()
	r := readyRig(t)
	for query, code := range map[string]int{"2": 200, "0": 200, "24": 400, "30": 400, "99": 400, "x": 400, "": 400, "-1": 400} {
		r.board.pinsRead = 0
		resp, body := r.get("/pico/gpio?pin=" + query)
		if resp.StatusCode != code || r.board.pinsRead > 1 || code == 200 && !strings.HasPrefix(string(body), `{"pins":{"`+query+`":"`) {
			t.Errorf("pin=%s: %d %s, %d pins read", query, resp.StatusCode, body, r.board.pinsRead)
		}
	}
}
