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

// service is what Serve runs. Enrolment ends first, and with it the right of boards
// to be here: once the other replicas know, the links end.
type service struct {
	ctx     context.Context
	fail    context.CancelCauseFunc
	parted  chan struct{} // closed when enrolment has ended
	serving context.Context
	stop    context.CancelFunc
	running sync.WaitGroup
}

func newService(ctx context.Context) *service {
	s := &service{parted: make(chan struct{})}
	s.ctx, s.fail = context.WithCancelCause(ctx)
	s.serving, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	return s
}

func (s *service) goEnrol(run func(context.Context) error) {
	s.running.Go(func() {
		defer close(s.parted)
		s.end(run(s.ctx))
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
	late := time.NewTimer(partingTime)
	defer late.Stop()
	select {
	case <-s.parted:
	case <-late.C:
	}
	s.stop()
	s.running.Wait()
	if f, ok := errors.AsType[failure](context.Cause(s.ctx)); ok {
		return f.error
	}
	return nil
}
