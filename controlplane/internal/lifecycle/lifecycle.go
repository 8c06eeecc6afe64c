// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

// Package lifecycle starts the parts of a control plane stage by stage, watches them,
// and stops them in reverse. It restarts nothing: when one part ends, all end.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// probeInterval is how often a part that is not ready yet is asked again.
	probeInterval = 20 * time.Millisecond
	// waitingInterval is how often Plan.Waiting is called.
	waitingInterval = 10 * time.Second
)

// Component is a part that runs until its context is done.
type Component struct {
	Name string
	// Run runs the part. It returns once ctx is done, or earlier when it fails.
	Run func(ctx context.Context) error
	// Ready returns nil once the part serves.
	Ready func(ctx context.Context) error
}

// Plan says what to run.
type Plan struct {
	// Stages are started one after the other, each once all of the stage before it
	// are ready, and stopped in reverse. Required.
	Stages [][]Component
	// Last is what has to succeed when all are ready; it is tried until it does. Required.
	Last func(ctx context.Context) error
	// Ready is called once, after that. Required.
	Ready func()
	// Waiting is called every 10 s with what is waited for, and what it says. Required.
	Waiting func(name string, err error)
	// StopTimeout is how long all parts together may take to stop. Required.
	StopTimeout time.Duration
}

// ErrStopTimeout says that not all parts stopped in time.
var ErrStopTimeout = errors.New("not all components stopped in time")

// Run runs the plan until ctx is done or a part ends. It returns nil when ctx ended
// it and all parts stopped in time.
func Run(ctx context.Context, p Plan) error {
	running, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var started []*process
	err := p.start(running, fail, &started)
	if err == nil {
		<-running.Done()
		err = context.Cause(running)
	}
	stopErr := stop(started, p.StopTimeout)
	if ctx.Err() == nil {
		return err
	}
	return stopErr
}

func (p Plan) start(ctx context.Context, fail context.CancelCauseFunc, started *[]*process) error {
	for _, stage := range p.Stages {
		for _, c := range stage {
			*started = append(*started, start(ctx, c, fail))
		}
		for _, c := range stage {
			if err := p.await(ctx, c.Name, c.Ready); err != nil {
				return err
			}
		}
	}
	if err := p.await(ctx, "the cluster", p.Last); err != nil {
		return err
	}
	p.Ready()
	return nil
}

// await returns once ready succeeds, or says why ctx ended.
func (p Plan) await(ctx context.Context, name string, ready func(context.Context) error) error {
	probe, waiting := time.NewTicker(probeInterval), time.NewTicker(waitingInterval)
	defer probe.Stop()
	defer waiting.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-waiting.C:
			p.Waiting(name, err)
		case <-probe.C:
		}
	}
}

// process is a component under way.
type process struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
}

// start starts a component under a context of its own, so that it outlives those that
// are stopped before it. If it ends before it is stopped, fail is told why.
func start(ctx context.Context, c Component, fail context.CancelCauseFunc) *process {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p := &process{name: c.Name, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		err := c.Run(own)
		switch {
		case own.Err() != nil: // stopped; what it says about that is of no interest
		case err == nil:
			fail(fmt.Errorf("%s ended without being asked to", c.Name))
		default:
			fail(fmt.Errorf("%s: %w", c.Name, err))
		}
	}()
	return p
}

func stop(started []*process, timeout time.Duration) error {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for i := len(started) - 1; i >= 0; i-- {
		started[i].cancel()
		select {
		case <-started[i].done:
		case <-timer.C:
			return fmt.Errorf("%w: %s still runs after %s", ErrStopTimeout, started[i].name, timeout)
		}
	}
	return nil
}
