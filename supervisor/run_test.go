package supervisor_test

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/supervisor"
)

func TestRun_signals(t *testing.T) {
	for _, test := range []struct {
		name    string
		signals []time.Duration // when they come
		cancel  time.Duration   // when ctx ends; 0: never
		takes   time.Duration
		killed  bool
	}{
		{"one", []time.Duration{time.Second}, 0, time.Second + time.Minute, false},
		{"two", []time.Duration{time.Second, 2 * time.Second}, 0, 3 * time.Second, true},
		{"two within a second", []time.Duration{time.Second, 2*time.Second - 10}, 0, time.Second + time.Minute, false},
		{"ctx", nil, time.Second, time.Second + time.Minute, false},
		{"ctx, then one", []time.Duration{2 * time.Second}, time.Second, time.Second + time.Minute, false},
		{"ctx, then two", []time.Duration{2 * time.Second, 3 * time.Second}, time.Second, 4 * time.Second, true},
		{"two at once", []time.Duration{time.Second, time.Second}, 0, time.Second + time.Minute, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				sys := newSystem(t)
				var pid actor.PID
				signals := make(chan os.Signal, 2)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if test.cancel > 0 {
					time.AfterFunc(test.cancel, cancel)
				}
				for i, at := range test.signals {
					time.AfterFunc(at+time.Duration(i), func() { signals <- syscall.SIGTERM })
				}
				start := time.Now()
				err := supervisor.RunUntil(ctx, signals, supervisor.Config{Logger: quiet},
					spec("actor", supervisor.Actor(sys, func() actor.Actor {
						return &worker{init: func(ctx context.Context) error { pid = actor.Self(ctx); return nil }}
					}, actor.SpawnOptions{}), 0),
					supervisor.ChildSpec{ID: "slow", Service: lingering(time.Minute), Shutdown: time.Hour},
					spec("last", newService(), 0))
				if took := time.Since(start); took.Round(time.Millisecond) != test.takes {
					t.Errorf("Run took %v, want %v", took, test.takes)
				}
				var signal *supervisor.SignalError
				if errors.As(err, &signal) != test.killed || !test.killed && err != nil {
					t.Errorf("Run returned %v, want a *SignalError: %v", err, test.killed)
				}
				synctest.Wait()
				if pid.Alive() {
					t.Error("the actor is alive")
				}
				time.Sleep(2 * time.Minute) // what was abandoned returns
			})
		})
	}
}

func TestRun_errors(t *testing.T) {
	if err := supervisor.Run(t.Context(), supervisor.Config{}, supervisor.ChildSpec{}); err == nil {
		t.Error("Run with a bad child has no error")
	}
	err := supervisor.Run(t.Context(), supervisor.Config{Logger: quiet}, supervisor.ChildSpec{ID: "a", Service: failing(errCrash), StartTimeout: time.Minute})
	wantErr(t, "Run", err, errCrash)
}
