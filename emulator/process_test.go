// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/picolet/picolet/emulator/segment"
)

// startScript starts Node.js with a program in place of the emulator's.
func startScript(t *testing.T, script string, handle func(message) error) *process {
	t.Helper()
	node, err := findNode(t.Context())
	if errors.Is(err, ErrNoNode) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	in := Installation{node: node, dir: t.TempDir()}
	if err == nil {
		err = os.WriteFile(filepath.Join(in.dir, processName), []byte(script), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	p, err := startProcess(in, handle)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	return p
}

func ignore(message) error { return nil }

func TestProcessThatEndsSaysWhy(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ what, script, want string }{
		{"it throws", `throw new Error('out of order')`, "out of order"},
		{"it ends", `process.exit(0)`, "exit status 0"},
		{"a message that is too long", `process.stdout.write('ffff too long'); setInterval(() => {}, 1e6)`, "broke the protocol: a message of 1717986918 bytes"},
		{"a message without a time", `process.stdout.write(Buffer.from([0, 0, 0, 1, 101, 0])); setInterval(() => {}, 1e6)`, "a message of 1 bytes"},
		{"a time that is none", `process.stdout.write(Buffer.from([0, 0, 0, 8, 101, 255, 248, 0, 0, 0, 0, 0, 0])); setInterval(() => {}, 1e6)`, "at NaN ns"},
		{"an answer that is cut", `process.stdout.write(Buffer.from([0, 0, 0, 9, 97, 0, 0, 0, 0, 0, 0, 0, 0, 1])); setInterval(() => {}, 1e6)`, "an answer of 1 bytes"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			p := startScript(t, tt.script, ignore)
			if _, err := p.call(t.Context(), command{"name": "stats"}, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			<-p.done
		})
	}
}

func TestProcessThatHangsIsGivenUp(t *testing.T) {
	t.Parallel()
	p := startScript(t, `setInterval(() => {}, 1e6)`, ignore)
	ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, errors.New("enough"))
	defer cancel()
	if _, err := p.call(ctx, command{}, nil); err == nil || err.Error() != "enough" {
		t.Errorf("got %v", err)
	}
	for range 2 * maxWaitingFrames { // it reads nothing
		p.put(make([]byte, 1514), true)
	}
	p.mu.Lock()
	waiting := p.frames
	p.mu.Unlock()
	if waiting > maxWaitingFrames {
		t.Errorf("%d frames wait", waiting)
	}
}

func TestBoardWhoseProcessIsKilledSaysSo(t *testing.T) {
	t.Parallel()
	in, err := Install(t.Context(), InstallOptions{})
	if errors.Is(err, ErrNoNode) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	b := &Board{config: Config{Images: [][]byte{{0}}}.withDefaults()}
	b.console.board = b
	b.net.init(b)
	if err == nil {
		b.process, err = startProcess(in, b.handle)
	}
	if err == nil {
		err = b.boot(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Err(); err != nil {
		t.Errorf("while it runs: %v", err)
	}
	var both sync.WaitGroup
	both.Go(func() {
		if err := b.Sleep(t.Context(), time.Hour); err == nil {
			t.Error("an hour has passed for a board that was killed")
		}
	})
	_ = b.process.cmd.Process.Kill()
	<-b.Done()
	both.Wait()
	if err := b.Err(); err == nil || !strings.Contains(err.Error(), "signal: killed") {
		t.Errorf("after it was killed: %v", err)
	}
	_ = b.Close()
	_ = b.Close()
}

// TestFramesGoToTheSegmentAndBack: a process whose board asks by ARP for the host's
// address hears its answer, and then that its frame has been dealt with.
func TestFramesGoToTheSegmentAndBack(t *testing.T) {
	t.Parallel()
	const script = `
		const frame = Buffer.from('ffffffffffff' + '02cafe000002' + '0806' + '0001080006040001' + '02cafe000002' + '0a2a0002' + '000000000000' + '0a2a0001', 'hex');
		const say = (kind, body) => {
			const head = Buffer.alloc(13);
			head.writeUInt32BE(8 + body.length);
			head.write(kind, 4);
			process.stdout.write(Buffer.concat([head, body]));
		};
		process.stdin.on('data', (b) => say('o', Buffer.from(b.toString('hex'))));
		process.stdin.on('end', () => process.exit());
		process.stdin.once('data', () => say('f', frame));`
	s, err := segment.New(segment.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	b := &Board{config: Config{Segment: s}.withDefaults()}
	b.console.board = b
	b.net.init(b)
	b.process = startScript(t, script, b.handle)
	b.net.attach(s)
	t.Cleanup(b.net.detach)
	heard := make(chan error, 1)
	w := &waiter{met: heard, cond: func(State) bool {
		text := string(b.console.text)
		answer := strings.Index(text, "0000002a66"+"02cafe000002"+"020000000001"+"0806")
		return answer >= 0 && strings.Contains(text[answer:], "0000000573"+"00000001"+"00")
	}}
	b.mu.Lock()
	b.waiters = append(b.waiters, w)
	b.mu.Unlock()
	b.process.put(appendMessage(nil, kindCommand), false)
	select {
	case <-heard:
	case <-time.After(20 * time.Second):
		t.Errorf("heard %s", b.console.Text())
	}
}

func TestMessagesTakeAnyBytes(t *testing.T) {
	t.Parallel()
	nanos := binary.BigEndian.AppendUint64(nil, math.Float64bits(1.5e9))
	m, err := readMessage(strings.NewReader(string(appendMessage(nil, kindFrame, nanos, []byte{0, 255}))))
	if err != nil || m.kind != kindFrame || m.now != 1500*time.Millisecond || string(m.body) != "\x00\xff" {
		t.Errorf("%+v, %v", m, err)
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x01\x00\x00\x00\x02{}rest"))
	f.Add([]byte("\x00\x00\x00\x01\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, a, err := decodeAnswer(body); err == nil && len(a.attached) > len(body) {
			t.Errorf("%d bytes attached to %d", len(a.attached), len(body))
		}
	})
}

// A board on a segment that ran free would see time-outs that no board sees.
func TestPaceGoesWithTheNetwork(t *testing.T) {
	t.Parallel()
	s, err := segment.New(segment.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	for _, tt := range []struct {
		config Config
		want   Pace
	}{
		{Config{}, PaceFree},
		{Config{Segment: s}, PaceAnswered},
		{Config{Segment: s, Pace: PaceHost}, PaceHost},
		{Config{Pace: PaceStopped}, PaceStopped},
	} {
		if got := tt.config.withDefaults().Pace; got != tt.want {
			t.Errorf("a segment %v, asked for %q: pace %s, want %s", tt.config.Segment != nil, tt.config.Pace, got, tt.want)
		}
	}
}
