// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
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
	// readyPrefix begins the line that the control plane prints once it serves.
	readyPrefix = "ready "
	// failurePrefix begins the line in which it says why it ends.
	failurePrefix = "picolet-controlplane: "
	// shownLines is how many lines of the log an error shows.
	shownLines = 5
	// maxTail is how many bytes of the log are kept for that.
	maxTail = 8 << 10
	// maxReadyLine bounds what is kept of standard output.
	maxReadyLine = 4 << 10
	// pipeDelay is how long after the end of the process its pipes may stay open.
	pipeDelay = 2 * time.Second
)

// process is one run of the control plane's binary.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer // held open: the child ends when it is closed, as by our death
	tail  tail
	ready chan struct{} // closed when url is set
	url   string
	done  chan struct{} // closed when exit is set
	exit  error

	mu    sync.Mutex
	asked bool // to end
}

// startProcess starts the binary; closeLog is called at its end.
func startProcess(binary string, args []string, log io.Writer, closeLog func()) (*process, error) {
	p := &process{cmd: exec.Command(binary, args...), ready: make(chan struct{}), done: make(chan struct{})}
	p.tail.next = log
	p.cmd.Stdout = &readyLine{found: func(url string) { p.url = url; close(p.ready) }}
	p.cmd.Stderr = &p.tail
	p.cmd.WaitDelay = pipeDelay
	// A group of its own: a Ctrl-C at the terminal ends us, and we end it, in order.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start the control plane: %w", err)
	}
	p.stdin = stdin
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the control plane: %w; `make controlplane` builds it", err)
	}
	go func() {
		defer close(p.done)
		defer closeLog()
		p.exit = p.cmd.Wait()
	}()
	return p, nil
}

// waitReady waits until the control plane serves; if it does not, it is ended.
func (p *process) waitReady(ctx context.Context, timeout time.Duration) error {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-p.ready:
		return nil
	case <-p.done:
		return fmt.Errorf("the control plane did not start: %w", p.failure())
	case <-ctx.Done():
		p.kill()
		return fmt.Errorf("start the control plane: %w", context.Cause(ctx))
	case <-timer.C:
		p.kill()
		return fmt.Errorf("the control plane is not ready after %s; a slow machine may need a longer start timeout; its log ends with:\n%s",
			timeout, p.tail.lastLines())
	}
}

// failure says why the process ended, nil when it was asked to. It may be called
// once done is closed.
func (p *process) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked {
		return nil
	}
	status := "exit status 0"
	if p.exit != nil {
		status = p.exit.Error()
	}
	if said := p.tail.saidFailure(); said != "" {
		return fmt.Errorf("%s (%s)", said, status)
	}
	return fmt.Errorf("the control plane ended (%s); its log ends with:\n%s", status, p.tail.lastLines())
}

// ask records that the end is wanted, and whether the process still runs.
func (p *process) ask() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.done:
		return false
	default:
		p.asked = true
		return true
	}
}

func (p *process) stop(ctx context.Context) error {
	if !p.ask() {
		return nil
	}
	// The process may end in between; then there is nobody to tell.
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	ctx, cancel := context.WithTimeoutCause(ctx, stopTimeout, errors.New("12 s are over"))
	defer cancel()
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		p.kill()
		return fmt.Errorf("the control plane did not stop in order and was killed: %w", context.Cause(ctx))
	}
}

func (p *process) kill() {
	if p.ask() {
		_ = p.cmd.Process.Kill()
		_ = p.stdin.Close()
	}
	<-p.done
}

// readyLine looks for the line that tells the URL, and drops everything else.
type readyLine struct {
	line  []byte
	found func(url string)
}

func (r *readyLine) Write(b []byte) (int, error) {
	n := len(b)
	for r.found != nil && len(b) > 0 {
		part, rest, whole := bytes.Cut(b, []byte{'\n'})
		if len(r.line) < maxReadyLine {
			r.line = append(r.line, part[:min(len(part), maxReadyLine)]...)
		}
		b = rest
		if !whole {
			break
		}
		if url, ok := bytes.CutPrefix(r.line, []byte(readyPrefix)); ok {
			r.found(strings.TrimSpace(string(url)))
			r.found = nil
		}
		r.line = r.line[:0]
	}
	return n, nil
}

// tail passes a log on and keeps its end.
type tail struct {
	next io.Writer

	mu   sync.Mutex
	kept []byte
	cut  bool // the first line kept is not whole
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	t.kept = append(t.kept, b...)
	if len(t.kept) > 2*maxTail {
		t.kept = append(t.kept[:0], t.kept[len(t.kept)-maxTail:]...)
		t.cut = true
	}
	t.mu.Unlock()
	// A log that cannot be written, on a full disk say, must not stop the cluster.
	_, _ = t.next.Write(b)
	return len(b), nil
}

func (t *tail) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(t.kept)), "\n")
	if t.cut && len(lines) > 1 {
		return lines[1:]
	}
	return lines
}

// saidFailure returns what the control plane itself gave as the reason of its end.
func (t *tail) saidFailure() string {
	lines := t.lines()
	for i := len(lines) - 1; i >= 0; i-- {
		if said, ok := strings.CutPrefix(lines[i], failurePrefix); ok {
			return said
		}
	}
	return ""
}

// lastLines returns the last lines that are more than information, or else the last.
func (t *tail) lastLines() string {
	all := t.lines()
	var grave []string
	for _, line := range all {
		if !isInformation(line) {
			grave = append(grave, line)
		}
	}
	if len(grave) == 0 {
		grave = all
	}
	return strings.Join(grave[max(0, len(grave)-shownLines):], "\n")
}

// isInformation knows klog's lines of severity info: I0102 15:04:05.000000 …
func isInformation(line string) bool {
	return len(line) > 5 && line[0] == 'I' && line[1] >= '0' && line[1] <= '1' && line[5] == ' '
}
