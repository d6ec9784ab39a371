package actor

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestRelations_areDissolved: what a process had to do with others leaves no trace with them.
func TestRelations_areDissolved(t *testing.T) {
	s := quietSystem(t, Config{CallTimeout: -1})
	target, err := s.Spawn(context.Background(), &keeper{}, SpawnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	w, err := s.Spawn(context.Background(), &hook1{init: func(c context.Context) { ctx = c }}, SpawnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	rel := func() *relations {
		p := target.find()
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.relation == nil {
			return &relations{}
		}
		r := *p.relation
		return &r
	}
	ref := Monitor(ctx, target)
	Monitor(ctx, target)
	if n := rel().watchers.Len(); n != 2 {
		t.Fatalf("%d watchers, want 2", n)
	}
	ref.Stop()
	if n := rel().watchers.Len(); n != 1 {
		t.Errorf("%d watchers after Stop, want 1", n)
	}
	w.Exit(ErrKilled)
	if n := rel().watchers.Len(); n != 0 {
		t.Errorf("%d watchers after the watcher's death, want 0", n)
	}

	waiting, cancel := context.WithCancel(context.Background())
	cancel()
	Wait(waiting, target)
	if n := rel().watchers.Len(); n != 0 {
		t.Errorf("%d watchers after a Wait was given up, want 0", n)
	}

	for range 10 {
		short, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		if _, err := Call[any](short, target, "kept"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Call: %v, want DeadlineExceeded", err)
		}
		cancel()
	}
	if n := rel().calls.Len(); n != 0 {
		t.Errorf("%d calls kept that were given up, want 0", n)
	}
}

// keeper never answers.
type keeper struct{}

func (*keeper) Receive(ctx context.Context, _ any) error { Caller(ctx); return nil }

// TestMonitor_ofAWatcherThatIsKilledMeanwhile: between the two books that a Monitor is written into its watcher may
// die, and then nobody takes it out of the other.
func TestMonitor_ofAWatcherThatIsKilledMeanwhile(t *testing.T) {
	s := quietSystem(t, Config{})
	spawn := func() *process {
		pid, err := s.Spawn(context.Background(), nop{}, SpawnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return pid.find()
	}
	watcher, target := spawn(), spawn()
	m := &monitor{watcher: watcher, target: target}
	if !watcher.watch(m) {
		t.Fatal("watch = false")
	}
	watcher.kill(ErrKilled)
	if !m.begin() {
		t.Error("begin = false for a target that lives")
	}
	target.mu.Lock()
	defer target.mu.Unlock()
	if n := target.relation.watchers.Len(); n != 0 {
		t.Errorf("%d monitors of a dead watcher stay with their target, want 0", n)
	}
}

// TestCaller_afterTheEnd: a goroutine that asks for Caller at the very end of the process is too late to keep the Call
// open: nobody would fail it.
func TestCaller_afterTheEnd(t *testing.T) {
	s := quietSystem(t, Config{})
	pid, err := s.Spawn(context.Background(), nop{}, SpawnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c := &call{callee: pid.find(), waiter: s.waiter()} // that its callback has left to Caller
	pid.Exit(ErrKilled)
	c.take()
	select {
	case v := <-c.waiter.answer:
		if f, ok := v.(failure); !ok || !errors.Is(f.err, ErrNoProcess) {
			t.Errorf("the Call got %v, want ErrNoProcess", v)
		}
	default:
		t.Error("the Call stays open, though nobody is left to answer it or to fail it")
	}
}
