package registry_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
)

func TestEnsure(t *testing.T) {
	reg, sys := newRegistry(t)
	registering := &member{init: func(ctx context.Context) error { return reg.Register("x", actor.Self(ctx), "own meta") }}
	starts := 0
	start := func(context.Context) (actor.PID, error) {
		starts++
		return sys.Spawn(context.Background(), registering, actor.SpawnOptions{})
	}
	first, err := reg.Ensure(context.Background(), "x", start)
	if err != nil {
		t.Fatal(err)
	}
	again, err := reg.Ensure(context.Background(), "x", start)
	if again != first || err != nil || starts != 1 {
		t.Errorf("second Ensure = %v, %v after %d starts; want %v after 1", again, err, starts, first)
	}
	wantHolder(t, reg, "x", first, "own meta")
	end(t, first, actor.ErrNormal)
	next, err := reg.Ensure(context.Background(), "x", start)
	if next == first || err != nil || starts != 2 {
		t.Errorf("Ensure after the end = %v, %v after %d starts; want a new one after 2", next, err, starts)
	}
}

func TestEnsure_start(t *testing.T) {
	reg, sys := newRegistry(t)
	other := spawn(t, sys)
	tests := []struct {
		name   string
		start  func(name string) (actor.PID, error)
		want   error // nil: the holder
		holder actor.PID
	}{
		{"does not register", func(string) (actor.PID, error) { return spawn(t, sys).pid, nil }, nil, actor.PID{}},
		{"fails", func(string) (actor.PID, error) { return actor.PID{}, errBoom }, errBoom, actor.PID{}},
		{"fails in Init", func(string) (actor.PID, error) {
			return sys.Spawn(context.Background(), &member{init: func(context.Context) error { return errBoom }}, actor.SpawnOptions{})
		}, errBoom, actor.PID{}},
		{"ends at once", func(string) (actor.PID, error) {
			m := spawn(t, sys)
			end(t, m.pid, actor.ErrNormal)
			return m.pid, nil
		}, registry.ErrNoProcess, actor.PID{}},
		{"fails because somebody was faster", func(name string) (actor.PID, error) {
			reg.Register(name, other.pid, nil)
			return sys.Spawn(context.Background(), &member{init: func(ctx context.Context) error {
				return reg.Register(name, actor.Self(ctx), nil)
			}}, actor.SpawnOptions{})
		}, nil, other.pid},
		{"finds a process that others know by the name", func(name string) (actor.PID, error) {
			return other.pid, reg.Register(name, other.pid, nil)
		}, nil, other.pid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pid, err := reg.Ensure(context.Background(), tt.name, func(context.Context) (actor.PID, error) { return tt.start(tt.name) })
			if !errors.Is(err, tt.want) || tt.want == nil && err != nil {
				t.Fatalf("Ensure = %v, %v; want error %v", pid, err, tt.want)
			}
			if tt.want != nil {
				wantHolder(t, reg, tt.name, actor.PID{}, nil)
				if pid != (actor.PID{}) {
					t.Errorf("Ensure returns %v with an error", pid)
				}
				return
			}
			wantHolder(t, reg, tt.name, pid, nil)
			if tt.holder != (actor.PID{}) && pid != tt.holder {
				t.Errorf("Ensure = %v, want %v", pid, tt.holder)
			}
		})
	}

	taken := func(context.Context) (actor.PID, error) {
		reg.Register("taken", other.pid, nil)
		return spawn(t, sys).pid, nil
	}
	_, err := reg.Ensure(context.Background(), "taken", taken)
	if e, ok := errors.AsType[*registry.TakenError](err); !ok || e.PID != other.pid {
		t.Errorf("Ensure with a start that returns another process than the holder: %v, want a *TakenError", err)
	}
}

// One start runs at a time for a name; whoever else wants it waits for the result; other names do not wait.
func TestEnsure_oneStartAtATime(t *testing.T) {
	for name, outcome := range map[string]error{"started": nil, "failed": errBoom} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reg, sys := newRegistry(t)
				m := spawn(t, sys)
				var starts, returned atomic.Int64
				release := make(chan struct{})
				start := func(context.Context) (actor.PID, error) {
					starts.Add(1)
					<-release
					if outcome != nil {
						return actor.PID{}, outcome
					}
					return m.pid, reg.Register("x", m.pid, nil)
				}
				for range 10 {
					go func() {
						pid, err := reg.Ensure(context.Background(), "x", start)
						if err != outcome || err == nil && pid != m.pid {
							t.Errorf("Ensure = %v, %v; want error %v", pid, err, outcome)
						}
						returned.Add(1)
					}()
				}
				synctest.Wait()
				if starts.Load() != 1 || returned.Load() != 0 {
					t.Errorf("%d starts run, %d callers have returned; want 1 and 0", starts.Load(), returned.Load())
				}
				wantHolder(t, reg, "x", actor.PID{}, nil)
				for i := range 1000 { // no lock is held: every other name, of every shard, can be used
					if _, err := reg.Ensure(context.Background(), fmt.Sprint(i), func(context.Context) (actor.PID, error) { return m.pid, nil }); err != nil {
						t.Fatal(err)
					}
				}
				close(release)
				synctest.Wait()
				if returned.Load() != 10 || starts.Load() != 1 {
					t.Errorf("%d of 10 callers have returned after %d starts", returned.Load(), starts.Load())
				}
			})
		})
	}
}

func TestEnsure_startPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg, sys := newRegistry(t)
		release := make(chan struct{})
		outcomes := make(chan any, 2)
		for range 2 {
			go func() {
				defer func() {
					if v := recover(); v != nil {
						outcomes <- v
					}
				}()
				_, err := reg.Ensure(context.Background(), "x", func(context.Context) (actor.PID, error) { <-release; panic("boom") })
				outcomes <- err
			}()
		}
		synctest.Wait()
		close(release)
		synctest.Wait()
		panicked, failed := 0, 0
		for range 2 {
			switch v := (<-outcomes).(type) {
			case string:
				panicked++
			case error:
				failed++
			default:
				t.Errorf("outcome %v", v)
			}
		}
		if panicked != 1 || failed != 1 {
			t.Errorf("%d callers panicked and %d got an error, want 1 and 1", panicked, failed)
		}
		m := spawn(t, sys)
		if pid, err := reg.Ensure(context.Background(), "x", func(context.Context) (actor.PID, error) { return m.pid, nil }); pid != m.pid || err != nil {
			t.Errorf("Ensure after a panic = %v, %v", pid, err)
		}
	})
}
