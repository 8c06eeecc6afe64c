// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"context"
	"errors"
	"sync"
	"time"
)

// partingTime is how long boards may stay, when ctx of Serve has ended, until the
// other replicas know that they may have them.
const partingTime = 5 * time.Second

// service is what Serve runs. When it is to end, links are drained first. Then enrollment
// ends, and with it the right of boards to be here: once the other replicas know, the
// links that are left end.
type service struct {
	ctx     context.Context
	fail    context.CancelCauseFunc
	drain   func(context.Context)
	here    context.Context // ends with the drain
	leave   context.CancelFunc
	parted  chan struct{} // closed when enrolment has ended
	serving context.Context
	stop    context.CancelFunc
	running sync.WaitGroup
}

func newService(ctx context.Context, drain func(context.Context)) *service {
	s := &service{drain: drain, parted: make(chan struct{})}
	s.ctx, s.fail = context.WithCancelCause(ctx)
	s.here, s.leave = context.WithCancel(context.WithoutCancel(ctx))
	s.serving, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	return s
}

func (s *service) goEnrol(run func(context.Context) error) {
	s.running.Go(func() {
		defer close(s.parted)
		s.end(run(s.here))
	})
}

func (s *service) goServe(run func(context.Context) error) {
	s.running.Go(func() { s.end(run(s.serving)) })
}

// failure is why a service ends by itself.
type failure struct{ error }

func (s *service) end(err error) {
	if err != nil {
		s.fail(failure{err})
	}
}

// wait returns when all has ended.
func (s *service) wait() error {
	<-s.ctx.Done()
	if s.failure() == nil {
		s.drain(s.serving)
	}
	s.leave()
	late := time.NewTimer(partingTime)
	defer late.Stop()
	select {
	case <-s.parted:
	case <-late.C:
	}
	s.stop()
	s.running.Wait()
	return s.failure()
}

// failure is why the service ends, nil if that is not by itself.
func (s *service) failure() error {
	if f, ok := errors.AsType[failure](context.Cause(s.ctx)); ok {
		return f.error
	}
	return nil
}
