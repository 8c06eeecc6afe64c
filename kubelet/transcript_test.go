// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// TestTranscripts plays the conversations in testdata/transcripts: what the
// outside does, and below it all that the kubelet then does, with the time
// since boot. After a change on purpose: go test ./kubelet -run Transcripts -rewrite.
//
//	boot [freq=10s] [os=…] [configmaps=ns/name+ns/name] [full] [net]   net: dials succeed
//	ready                        registered, lease kept, no Event waits
//	open|close stream=api [cause=refused]
//	reply stream=api code=200 [retry-after=5] [close] [split=1]   body below
//	chunk stream=watch0          a chunk of a chunked answer, body below
//	advance by=10s [stop]        stop: at the next request
//	board heap=230000 flash=… save=fail
//	stored                       what the board keeps: pins and memory
//	log
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/transcripts", func(t *testing.T, path string) {
		var r *rig
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "boot" {
				if r == nil {
					r = &rig{t: t, board: newTestBoard()}
				}
				r.t, r.full, r.net = t, d.HasArg("full"), d.HasArg("net")
				r.boot(func(c *Config) { bootArgs(t, d, c) })
			} else {
				r.t = t
				play(t, r, d)
			}
			said := r.said.String()
			r.said.Reset()
			return said
		})
	})
}

func bootArgs(t *testing.T, d *datadriven.TestData, c *Config) {
	d.MaybeScanArgs(t, "os", &c.OS)
	c.NodeStatusReportFrequency = duration(t, d, "freq")
	var maps string
	if d.MaybeScanArgs(t, "configmaps", &maps); maps != "" {
		for one := range strings.SplitSeq(maps, "+") {
			ns, name, _ := strings.Cut(one, "/")
			c.ConfigMaps = append(c.ConfigMaps, ObjectName{ns, name})
		}
	}
}

func duration(t *testing.T, d *datadriven.TestData, arg string) time.Duration {
	var text string
	d.MaybeScanArgs(t, arg, &text)
	if text == "" {
		return 0
	}
	v, err := time.ParseDuration(text)
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	return v
}

func play(t *testing.T, r *rig, d *datadriven.TestData) {
	stream := StreamAPI
	var name string
	if d.MaybeScanArgs(t, "stream", &name); name != "" {
		stream = r.stream(name)
	}
	switch d.Cmd {
	case "ready":
		r.ready()
		r.said.Reset()
	case "open":
		r.open(stream)
	case "close":
		r.k.Closed(r.now, stream, closeCause(t, d))
		r.act()
	case "reply":
		playReply(t, r, d, stream)
	case "chunk":
		body := d.Input + "\n"
		r.receive(stream, []byte(hexLength(body)+"\r\n"+body+"\r\n"), 0)
	case "advance":
		r.advance(duration(t, d, "by"), d.HasArg("stop"))
	case "address":
		r.k.SetAddress(r.now, d.CmdArgs[0].Key)
		r.act()
	case "board":
		playBoard(t, r, d)
	case "stored":
		playStored(r)
	case "log":
		r.said.WriteString(r.logText())
	default:
		d.Fatalf(t, "unknown command %s", d.Cmd)
	}
}

func hexLength(s string) string {
	return strings.TrimLeft(string(appendHex(nil, uint64(len(s)))), "0")
}

func closeCause(t *testing.T, d *datadriven.TestData) error {
	var cause string
	d.MaybeScanArgs(t, "cause", &cause)
	switch cause {
	case "":
		return nil
	case "eof":
		return io.EOF
	}
	return errors.New(cause)
}

func playReply(t *testing.T, r *rig, d *datadriven.TestData, s Stream) {
	var code, split int
	var after string
	d.ScanArgs(t, "code", &code)
	d.MaybeScanArgs(t, "split", &split)
	header := ""
	if d.MaybeScanArgs(t, "retry-after", &after); after != "" {
		header += "Retry-After: " + after + "\n"
	}
	if d.HasArg("close") {
		header += "Connection: close\n"
	}
	body := d.Input
	if d.HasArg("chunked") {
		header += "Transfer-Encoding: chunked\n"
	}
	r.receive(s, r.response(code, header, body), split)
}

func playBoard(t *testing.T, r *rig, d *datadriven.TestData) {
	b := r.board
	d.MaybeScanArgs(t, "heap", &b.readings.HeapUsed)
	d.MaybeScanArgs(t, "flash", &b.readings.FlashUsed)
	var save string
	switch d.MaybeScanArgs(t, "save", &save); save {
	case "fail":
		b.saveErr = errors.New("flash is worn out")
	case "ok":
		b.saveErr = nil
	}
}

func playStored(r *rig) {
	for pin, s := range r.board.pins {
		if s.Mode != 0 {
			r.sayf("pin %d %s", pin, s.AppendText(nil))
		}
	}
	for addr, v := range r.k.applied.Memory {
		if v != 0 {
			r.sayf("memory %d 0x%02x", addr, v)
		}
	}
	r.sayf("record of %d bytes, saved %d times", len(r.board.record), r.board.saves)
}
