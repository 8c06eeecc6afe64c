// Copyright The picolet Authors.
// SPDX-License-Identifier: Apache-2.0

package lifecycle_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/picolet/picolet/controlplane/internal/lifecycle"
)

// recorder notes what happens, in order.
type recorder struct {
	mu     sync.Mutex
	events []string
}

func (r *recorder) note(event string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, event)
}

// component is ready after some time, and takes some time to stop.
func (r *recorder) component(name string, ready, stop time.Duration) lifecycle.Component {
	var readyAt atomic.Pointer[time.Time]
	return lifecycle.Component{
		Name: name,
		Run: func(ctx context.Context) error {
			at := time.Now().Add(ready)
			readyAt.Store(&at)
			r.note(name + " starts")
			<-ctx.Done()
			time.Sleep(stop)
			r.note(name + " ends")
			return errors.New("ended, as asked")
		},
		Ready: func(context.Context) error {
			if at := readyAt.Load(); at == nil || time.Now().Before(*at) {
				return errors.New("not yet")
			}
			return nil
		},
	}
}

// plan returns a plan whose events r notes.
func (r *recorder) plan(stages ...[]lifecycle.Component) lifecycle.Plan {
	return lifecycle.Plan{
		Stages:      stages,
		Last:        func(context.Context) error { return nil },
		Ready:       func() { r.note("ready") },
		Waiting:     func(name string, err error) { r.note("waiting for " + name + ": " + err.Error()) },
		StopTimeout: 5 * time.Second,
	}
}

// failing ends by itself.
func failing(name string, after time.Duration, err error) lifecycle.Component {
	return lifecycle.Component{
		Name:  name,
		Run:   func(context.Context) error { time.Sleep(after); return err },
		Ready: func(context.Context) error { return errors.New("never") },
	}
}

func (r *recorder) check(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(r.events, want) {
		t.Errorf("events\n%s\nwant\n%s", strings.Join(r.events, "\n"), strings.Join(want, "\n"))
	}
}

func TestStagesInOrderAndBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := lifecycle.Run(ctx, r.plan(
			[]lifecycle.Component{r.component("store", 50*time.Millisecond, 0)},
			[]lifecycle.Component{r.component("server", time.Second, time.Second)},
			[]lifecycle.Component{r.component("manager", time.Second, time.Second)},
		))
		if err != nil {
			t.Error(err)
		}
		r.check(t, "store starts", "server starts", "manager starts", "ready", "manager ends", "server ends", "store ends")
	})
}

func TestStageStartsTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		begin := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		plan := r.plan([]lifecycle.Component{r.component("a", 3*time.Second, 0), r.component("b", 3*time.Second, 0)})
		plan.Ready = func() {
			if took := time.Since(begin); took > 4*time.Second {
				t.Errorf("ready after %v", took)
			}
			cancel()
		}
		if err := lifecycle.Run(ctx, plan); err != nil {
			t.Error(err)
		}
	})
}

func TestFailures(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for name, tt := range map[string]struct {
		last lifecycle.Component
		is   error
		want string
	}{
		"fails while it starts": {failing("bad", time.Second, boom), boom, "bad: boom"},
		"ends without a word":   {failing("bad", time.Second, nil), nil, "bad ended"},
		"its own cancellation":  {failing("bad", time.Second, context.Canceled), context.Canceled, "bad: context canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var r recorder
				err := lifecycle.Run(t.Context(), r.plan([]lifecycle.Component{r.component("good", 0, 0)}, []lifecycle.Component{tt.last}))
				if err == nil || !strings.Contains(err.Error(), tt.want) || tt.is != nil && !errors.Is(err, tt.is) {
					t.Errorf("error %v, want %q", err, tt.want)
				}
				r.check(t, "good starts", "good ends")
			})
		})
	}
}

func TestFailureAfterReady(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		boom := errors.New("boom")
		late := failing("late", time.Hour, boom)
		late.Ready = func(context.Context) error { return nil }
		err := lifecycle.Run(t.Context(), r.plan([]lifecycle.Component{r.component("good", 0, 0)}, []lifecycle.Component{late}))
		if !errors.Is(err, boom) {
			t.Errorf("error %v, want %v", err, boom)
		}
		r.check(t, "good starts", "ready", "good ends")
	})
}

func TestLastIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		plan := r.plan([]lifecycle.Component{r.component("slow", 15*time.Second, 0)})
		begin := time.Now()
		plan.Last = func(context.Context) error {
			if time.Since(begin) < 30*time.Second {
				return errors.New("nearly")
			}
			return nil
		}
		if err := lifecycle.Run(ctx, plan); err != nil {
			t.Error(err)
		}
		r.check(t, "slow starts", "waiting for slow: not yet", "waiting for the cluster: nearly", "ready", "slow ends")
	})
}

func TestStopTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := lifecycle.Run(ctx, r.plan([]lifecycle.Component{r.component("slow", 0, time.Hour)}))
		if !errors.Is(err, lifecycle.ErrStopTimeout) || !strings.Contains(err.Error(), "slow") {
			t.Errorf("error %v, want %v of slow", err, lifecycle.ErrStopTimeout)
		}
		time.Sleep(2 * time.Hour) // let it end, in the test's time
	})
}

func TestCancelledWhileStarting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := lifecycle.Run(ctx, r.plan(
			[]lifecycle.Component{r.component("slow", time.Hour, 0)},
			[]lifecycle.Component{r.component("never", 0, 0)},
		))
		if err != nil {
			t.Error(err)
		}
		r.check(t, "slow starts", "slow ends")
	})
}
