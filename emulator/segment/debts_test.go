// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package segment

import (
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// segmentOf is a TCP segment with n bytes of payload.
func segmentOf(flags header.TCPFlags, seq, ack uint32, n int) frame {
	tcp := header.TCP(make([]byte, header.TCPMinimumSize))
	tcp.Encode(&header.TCPFields{SeqNum: seq, AckNum: ack, Flags: flags, DataOffset: header.TCPMinimumSize})
	return frame{tcp: tcp, payload: make([]byte, n)}
}

// A host may make longer pauses in a long answer than in a short one.
func TestDebtOfALongAnswer(t *testing.T) {
	t.Parallel()
	var d debts
	d.init(time.Hour, func(bool) {})
	defer d.close()
	const syn, ack = header.TCPFlagSyn, header.TCPFlagAck
	d.fromStation(segmentOf(syn, 100, 0, 0))
	d.toStation(segmentOf(syn|ack, 500, 101, 0))
	asked, said := uint32(101), uint32(501)
	for _, step := range []struct {
		what     string
		question bool
		size     int
		want     time.Duration
	}{
		{"a short answer", true, 300, settleTime},
		{"a full segment", true, 1448, longSettleTime},
		{"a short piece of the same answer", false, 300, longSettleTime},
		{"the next answer", true, 300, settleTime},
	} {
		if step.question {
			d.fromStation(segmentOf(ack, asked, said, 10))
			asked += 10
		}
		began := time.Now()
		d.toStation(segmentOf(ack, said, asked, step.size))
		said += uint32(step.size)
		d.fromStation(segmentOf(ack, asked, said, 0))
		for _, c := range d.flows {
			if end := c.end(); end.Before(began.Add(step.want)) || end.After(time.Now().Add(step.want)) {
				t.Errorf("after %s it settles in %v, want %v", step.what, end.Sub(began), step.want)
			}
		}
	}
}

// Who has said its last word owes no answer to the other's.
func TestDebtOfAnEnd(t *testing.T) {
	t.Parallel()
	const syn, ack, fin = header.TCPFlagSyn, header.TCPFlagAck, header.TCPFlagFin
	for _, tt := range []struct {
		name        string
		opener, end func(*debts, frame) // what who has opened the connection sends, and the other
	}{
		{"of the station's connection", (*debts).fromStation, (*debts).toStation},
		{"of the host's connection", (*debts).toStation, (*debts).fromStation},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var d debts
			d.init(time.Hour, func(bool) {})
			defer d.close()
			pending := func(want bool, when string) {
				t.Helper()
				for _, c := range d.flows {
					if c.isPending() != want {
						t.Errorf("%s: an answer is owed: %v, want %v", when, !want, want)
					}
				}
			}
			tt.opener(&d, segmentOf(syn, 100, 0, 0))
			tt.end(&d, segmentOf(syn|ack, 500, 101, 0))
			tt.opener(&d, segmentOf(ack, 101, 501, 10))
			pending(true, "question")
			tt.end(&d, segmentOf(ack, 501, 111, 10))
			tt.opener(&d, segmentOf(ack, 111, 511, 0))
			pending(false, "answer")
			tt.end(&d, segmentOf(fin|ack, 511, 111, 0))
			tt.opener(&d, segmentOf(fin|ack, 111, 512, 0))
			tt.end(&d, segmentOf(ack, 512, 112, 0))
			pending(false, "end")
			if len(d.flows) != 1 {
				t.Errorf("%d connections", len(d.flows))
			}
		})
	}
}
