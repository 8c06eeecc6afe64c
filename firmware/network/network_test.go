// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package network

import (
	"strings"
	"testing"
	"time"

	"github.com/picolet/picolet/board"
)

func TestJoin(t *testing.T) {
	t.Parallel()
	l := newLAN(t, "192.0.2.1:8080")
	l.run(time.Second)
	if l.n.State() != board.NetworkOff || l.sent != 0 {
		t.Fatalf("link is down: state %v, %d frames sent", l.n.State(), l.sent)
	}
	begin := l.now
	l.up()
	if took := l.now - begin; took > 100*time.Millisecond {
		t.Errorf("registered %v after the link came up, of 1 ms a frame", took)
	}
	if l.n.State() != board.NetworkUp {
		t.Errorf("state is %v", l.n.State())
	}
	for _, line := range []string{"Network has no address yet", "Gateway is not reached yet\" address=192.0.2.16 router=192.0.2.1", "Gateway is reached\" address=192.0.2.16 router=192.0.2.1 gateway=192.0.2.1"} {
		if !strings.Contains(l.log(), line) {
			t.Errorf("log lacks %q:\n%s", line, l.log())
		}
	}
}
