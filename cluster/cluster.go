// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cluster builds, finds, starts and stops a Kubernetes control plane: the
// binary of this repository's controlplane module, run as a child process. It serves
// development and tests on one host; it does not manage clusters that others run, and
// it does not talk to the API server.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

const (
	defaultStartTimeout = 2 * time.Minute
	// stopTimeout is above the ten seconds within which the control plane ends itself.
	stopTimeout = 12 * time.Second
	// maxLog is the size in bytes above which an old log is dropped at the start.
	maxLog  = 16 << 20
	logName = "controlplane.log"
)

// Datastores of a control plane.
const (
	// SQLite keeps the data in the directory, over restarts.
	SQLite = "sqlite"
	// Memory loses the data when the control plane stops.
	Memory = "memory"
)

// Options say what to start.
type Options struct {
	// Binary is the path of picolet-controlplane, as Build and Find return it. Required.
	Binary string
	// Dir keeps keys, kubeconfigs, data and log; it is made where missing. One control
	// plane at a time can have it. Required.
	Dir string
	// Datastore is SQLite or Memory. Optional [SQLite].
	Datastore string
	// Address is the IP address to listen on. Optional [127.0.0.1].
	Address string
	// Port is the API server's TCP port. Optional [that of last time, or a free one].
	Port int
	// APIServerArgs, ControllerManagerArgs and SchedulerArgs are flags of the form
	// name=value that replace those of the same name. Optional.
	APIServerArgs, ControllerManagerArgs, SchedulerArgs []string
	// Log takes what Kubernetes logs. Optional [controlplane.log in Dir].
	Log io.Writer
	// StartTimeout is how long the control plane may take until it is ready.
	// Optional [2 min].
	StartTimeout time.Duration
}

func (o Options) validate() error {
	switch {
	case o.Binary == "":
		return errors.New("start the control plane: no binary given; Find or Build one")
	case o.Dir == "":
		return errors.New("start the control plane: no directory given")
	case o.StartTimeout < 0:
		return fmt.Errorf("start the control plane: start timeout %s is negative", o.StartTimeout)
	}
	return nil
}

func (o Options) args() []string {
	args := []string{"serve", "--exit-with-parent", "--dir", o.Dir, "--port", strconv.Itoa(o.Port)}
	if o.Datastore != "" {
		args = append(args, "--datastore", o.Datastore)
	}
	if o.Address != "" {
		args = append(args, "--address", o.Address)
	}
	for _, extra := range []struct {
		flag   string
		values []string
	}{
		{"--apiserver-arg", o.APIServerArgs},
		{"--controller-manager-arg", o.ControllerManagerArgs},
		{"--scheduler-arg", o.SchedulerArgs},
	} {
		for _, v := range extra.values {
			args = append(args, extra.flag, v)
		}
	}
	return args
}

// Cluster is a control plane that Start started. It ends with this process, however
// this process ends. All methods may be called at any time, by several goroutines.
type Cluster struct {
	options Options
	restart sync.Mutex // held while one process is replaced by the next

	mu      sync.Mutex
	process *process
}

// Start starts a control plane and waits until it is ready. When it fails, or ctx
// ends before, nothing is left running.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.StartTimeout == 0 {
		o.StartTimeout = defaultStartTimeout
	}
	var err error
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, fmt.Errorf("start the control plane: %w", err)
	}
	if o.Binary, err = filepath.Abs(o.Binary); err != nil {
		return nil, fmt.Errorf("start the control plane: %w", err)
	}
	p, err := launch(ctx, o)
	if err != nil {
		return nil, err
	}
	return &Cluster{options: o, process: p}, nil
}

// launch starts the process with its log and waits until it is ready.
func launch(ctx context.Context, o Options) (*process, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("start the control plane: %w; choose a directory that you may write", err)
	}
	log, closeLog, err := o.openLog()
	if err != nil {
		return nil, err
	}
	p, err := startProcess(o.Binary, o.args(), log, closeLog)
	if err != nil {
		closeLog()
		return nil, err
	}
	if err := p.waitReady(ctx, o.StartTimeout); err != nil {
		return nil, err
	}
	if err := linkKubectl(o.Binary, o.Dir); err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}

func (o Options) openLog() (io.Writer, func(), error) {
	if o.Log != nil {
		return o.Log, func() {}, nil
	}
	name := filepath.Join(o.Dir, logName)
	flags := os.O_WRONLY | os.O_CREATE | os.O_APPEND
	if info, err := os.Stat(name); err == nil && info.Size() > maxLog {
		flags |= os.O_TRUNC
	}
	f, err := os.OpenFile(name, flags, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("log of the control plane: %w; choose a directory that you may write", err)
	}
	return f, func() { f.Close() }, nil
}

// linkKubectl makes the control plane's binary callable by the name of kubectl.
func linkKubectl(binary, dir string) error {
	name := filepath.Join(dir, "kubectl")
	if target, err := os.Readlink(name); err == nil && target == binary {
		return nil
	}
	fresh := name + ".tmp"
	_ = os.Remove(fresh) // left by a start that was cut
	if err := os.Symlink(binary, fresh); err != nil {
		return fmt.Errorf("link kubectl: %w", err)
	}
	if err := os.Rename(fresh, name); err != nil {
		return fmt.Errorf("link kubectl: %w", err)
	}
	return nil
}

func (c *Cluster) current() *process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.process
}

// URL returns the API server's base URL, for example https://127.0.0.1:6443. It stays
// the same over restarts unless another program takes the port in between.
func (c *Cluster) URL() string { return c.current().url }

// AdminKubeconfig returns the path of the cluster administrator's kubeconfig.
func (c *Cluster) AdminKubeconfig() string {
	return filepath.Join(c.options.Dir, "admin.kubeconfig")
}

// Kubectl returns the path of a kubectl of the control plane's version.
func (c *Cluster) Kubectl() string { return filepath.Join(c.options.Dir, "kubectl") }

// Done is closed when the process that runs now has ended. After a restart there is
// another channel.
func (c *Cluster) Done() <-chan struct{} { return c.current().done }

// Err says why the process ended by itself, with the last lines of its log. It is nil
// while the process runs, and after Stop and Kill.
func (c *Cluster) Err() error {
	p := c.current()
	select {
	case <-p.done:
		return p.failure()
	default:
		return nil
	}
}

// Stop stops the control plane in order and waits for its end. When ctx ends first,
// or 12 s pass, it is killed and an error tells so. Stopping twice does nothing.
func (c *Cluster) Stop(ctx context.Context) error { return c.current().stop(ctx) }

// Kill ends the control plane at once, as a crash would, and waits for its end.
func (c *Cluster) Kill() { c.current().kill() }

// Restart stops the control plane, if it runs, and starts it again with the same
// options and, where possible, the same port. A datastore in memory begins empty.
func (c *Cluster) Restart(ctx context.Context) error {
	c.restart.Lock()
	defer c.restart.Unlock()
	if err := c.Stop(ctx); err != nil {
		return err
	}
	p, err := launch(ctx, c.options)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.process = p
	c.mu.Unlock()
	return nil
}
