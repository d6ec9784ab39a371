package actor

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
)

// TestSpawn_killedBeforeItIsRegistered: whoever ends a process before it is in the table must not leave it there.
func TestSpawn_killedBeforeItIsRegistered(t *testing.T) {
	s := quietSystem(t, Config{})
	var parent context.Context
	pid, err := s.Spawn(context.Background(), &hook1{init: func(ctx context.Context) { parent = ctx }}, SpawnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p := s.newProcess(nop{}, &SpawnOptions{}, pid.find())
	s.live.Add(1)
	if !processOf(parent).addChild(p) {
		t.Fatal("addChild = false")
	}
	p.kill(ErrKilled) // by its parent, as its shutdown time may be very short
	if err := s.register(p); !errors.Is(err, ErrKilled) {
		t.Errorf("register = %v, want ErrKilled", err)
	}
	if s.table.get(p.num) != nil || s.engine.Registered(p.num) {
		t.Errorf("a dead process was registered")
	}
}

// TestSpawn_whileShutdownSweeps: a process that was let in before Shutdown, and is known only after it has swept the
// table, is told to end all the same.
func TestSpawn_whileShutdownSweeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := quietSystem(t, Config{})
		p := s.newProcess(nop{}, &SpawnOptions{}, nil)
		if err := s.admit(p); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- s.Shutdown(context.Background()) }()
		synctest.Wait() // it has swept, and waits for p
		if err := s.enter(p); err != nil {
			t.Fatal(err)
		}
		if _, err := p.launch(context.Background()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		default:
			t.Error("Shutdown waits for a process that nobody has told to end")
			p.kill(ErrKilled)
		}
	})
}

// TestSpawn_whileAllIsKilled: a kill between a process's coming into the table and its coming into the engine.
func TestSpawn_whileAllIsKilled(t *testing.T) {
	s := quietSystem(t, Config{})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				for p := range s.table.all() {
					p.kill(ErrKilled)
				}
			}
		}
	})
	for range 5_000 {
		if _, err := s.Spawn(context.Background(), nop{}, SpawnOptions{}); err != nil && !errors.Is(err, ErrKilled) {
			t.Errorf("Spawn: %v", err)
		}
	}
	close(stop)
	wg.Wait()
	for p := range s.table.all() {
		p.kill(ErrKilled)
	}
	for p := range s.table.all() {
		t.Errorf("%v is left in the table", p.pid())
	}
}
