// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package emulator

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// answerTimeout is how long the process may take for an answer: it answers
	// between two slices of emulated time, some milliseconds.
	answerTimeout = 30 * time.Second
	// stopTimeout is how long the process may take to end when it is asked to.
	stopTimeout = 3 * time.Second
	// maxWaitingFrames bounds the Ethernet frames that the process has not read yet.
	// Those that come beyond are lost.
	maxWaitingFrames = 1024
	maxTail          = 8 << 10 // bytes of standard error that are kept
	shownLines       = 20
)

// process is the Node.js process of one board.
type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stderr tail
	handle func(message) error // called by one goroutine, in order
	done   chan struct{}       // closed when err is set

	mu      sync.Mutex
	calls   map[uint32]chan answer
	lastID  uint32
	outbox  [][]byte
	frames  int // of the outbox
	written chan struct{}
	asked   bool // to end
	err     error
}

// startProcess starts an installation's process. What it says goes to handle.
func startProcess(in Installation, handle func(message) error) (*process, error) {
	p := &process{
		cmd: exec.Command(in.node, processName), handle: handle, done: make(chan struct{}),
		calls: map[uint32]chan answer{}, written: make(chan struct{}, 1),
	}
	p.cmd.Dir = in.dir
	p.cmd.Stderr = &p.stderr
	// A group of its own: a Ctrl-C at the terminal ends us, and we end it.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = stopTimeout
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("emulator: %w", err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("emulator: %w", err)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("emulator: %w", err)
	}
	go p.write()
	go p.read(bufio.NewReaderSize(stdout, 64<<10))
	return p, nil
}

// read takes what the process says until it ends.
func (p *process) read(r io.Reader) {
	var err error
	for err == nil {
		var m message
		if m, err = readMessage(r); err != nil {
			break
		}
		if m.kind == kindAnswer {
			err = p.answered(m)
		} else {
			err = p.handle(m)
		}
	}
	if !errors.Is(err, io.EOF) {
		_ = p.cmd.Process.Kill() // it does not keep to the protocol
	}
	p.finish(err, p.cmd.Wait())
}

func (p *process) answered(m message) error {
	id, a, err := decodeAnswer(m.body)
	if err != nil {
		return err
	}
	if err := p.handle(message{kind: kindTime, now: m.now}); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if waiting := p.calls[id]; waiting != nil {
		waiting <- a
		delete(p.calls, id)
	}
	return nil
}

// finish notes why the process has ended.
func (p *process) finish(broken, exit error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer close(p.done)
	if p.asked {
		p.err = errClosed
		return
	}
	why := "exit status 0"
	if exit != nil {
		why = exit.Error()
	}
	if broken != nil && !errors.Is(broken, io.EOF) {
		why = fmt.Sprintf("it broke the protocol: %v", broken)
	}
	p.err = fmt.Errorf("the emulator's process ended: %s; it says:\n%s", why, p.stderr.lastLines())
}

var errClosed = errors.New("the emulated board is closed")

// failure is why the process has ended. It may be called once done is closed.
func (p *process) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// put queues a message for the process. A frame is lost if too many wait.
func (p *process) put(m []byte, isFrame bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if isFrame {
		if p.frames >= maxWaitingFrames {
			return
		}
		p.frames++
	}
	p.outbox = append(p.outbox, m)
	select {
	case p.written <- struct{}{}:
	default:
	}
}

// write gives the process what is queued, in order.
func (p *process) write() {
	for {
		select {
		case <-p.done:
			return
		case <-p.written:
		}
		p.mu.Lock()
		batch := p.outbox
		p.outbox, p.frames = nil, 0
		p.mu.Unlock()
		for _, m := range batch {
			if _, err := p.stdin.Write(m); err != nil {
				return // the reader finds out why
			}
		}
	}
}

// call gives the process a command and waits for its answer.
func (p *process) call(ctx context.Context, command any, attached []byte) (answer, error) {
	waiting := make(chan answer, 1)
	p.mu.Lock()
	p.lastID++
	id := p.lastID
	p.calls[id] = waiting
	p.mu.Unlock()
	m, err := encodeCommand(id, command, attached)
	if err != nil {
		return answer{}, err
	}
	p.put(m, false)
	timer := time.NewTimer(answerTimeout)
	defer timer.Stop()
	select {
	case a := <-waiting:
		if a.Error != "" {
			return a, errors.New(a.Error)
		}
		return a, nil
	case <-p.done:
		return answer{}, p.failure()
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-timer.C:
		err = fmt.Errorf("the emulator's process has not answered for %s", answerTimeout)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.calls, id)
	return answer{}, err
}

// stop ends the process. Stopping twice does nothing.
func (p *process) stop() {
	p.mu.Lock()
	p.asked = true
	p.mu.Unlock()
	_ = p.stdin.Close()
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, b...)
	if len(t.kept) > 2*maxTail {
		t.kept = append(t.kept[:0], t.kept[len(t.kept)-maxTail:]...)
	}
	return len(b), nil
}

func (t *tail) lastLines() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return lastLines(string(t.kept))
}

func lastLines(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-shownLines):], "\n")
}
