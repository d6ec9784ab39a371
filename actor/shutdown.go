package actor

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Shutdown ends all processes with ErrShutdown, children before their parents, and waits until they are dead and the
// goroutines of their callbacks and Asyncs have returned. Spawn returns ErrShutdown from the call on. When ctx is done,
// what still lives is killed and the error says how much that was. A later call waits likewise. Shutdown returns after
// OnEvent and the Logger have got what there was for them, but does not wait for one that takes longer than 300 ms for it.
//
// Do not call it from a callback: it would wait for itself, until that process's shutdown time is over. When ctx is
// that of a process of this System, it returns an error at once, and nothing is shut down.
//
// Each process has its own shutdown time, and an Async that ignores its ctx gets Config.ShutdownTimeout beyond the last
// process, so Shutdown ends without a deadline in ctx, too.
func (s *System) Shutdown(ctx context.Context) error {
	if err := s.waitsForItself(ctx, "shutdown"); err != nil {
		return err
	}
	s.shut()
	defer s.unshut() // last
	for p := range s.table.spread() {
		if p.parent() == nil {
			p.exit(ErrShutdown)
		}
	}
	cause := s.waitQuiet(ctx)
	s.pool.Close()
	defer s.log.Wait(ctx)
	defer s.events.Wait(ctx)
	defer s.losses.flush(s)
	defer s.reportNow()
	if cause == nil {
		return nil
	}
	killed := 0
	for p := range s.table.spread() {
		if p.kill(ErrKilled) {
			killed++
		}
	}
	return fmt.Errorf("actor: shutdown: %d processes killed, %d goroutines left: %w", killed,
		s.abandoned.Load()+s.goroutines.Load(), cause)
}

var errAsync = errors.New("an Async, or a function of PID.OnExit, did not return within Config.ShutdownTimeout of its end")

// waitsForItself returns an error when ctx is that of a living process of s: what, a shutdown for example, would wait for
// the end of the process that calls it.
func (s *System) waitsForItself(ctx context.Context, what string) error {
	if p := processOf(ctx); p != nil && p.sys == s && p.alive() {
		return fmt.Errorf("actor: %s by %v, one of the System's own processes, would wait for itself", what, p.pid())
	}
	return nil
}

// waitQuiet waits until no process lives and no goroutine runs, or says why it waits no longer.
func (s *System) waitQuiet(ctx context.Context) error {
	var grace <-chan time.Time
	for s.live.Load() > 0 || s.goroutines.Load() > 0 {
		if s.live.Load() == 0 && grace == nil && s.shutdownTimeout > 0 {
			t := time.NewTimer(s.shutdownTimeout)
			defer t.Stop()
			grace = t.C
		}
		select {
		case <-s.quiet:
		case <-grace:
			return errAsync
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	s.signalQuiet() // for whoever else waits
	return nil
}

// Serve waits until ctx is done and then shuts the System down, for use as a service of a supervision tree. A System
// that was shut down cannot be served again: Serve returns ErrShutdown at once. So the restart of another child must not
// restart it: make it a child of a OneForOne supervisor, or shut it down yourself after the tree.
func (s *System) Serve(ctx context.Context) error {
	if err := s.waitsForItself(ctx, "serve"); err != nil {
		return err
	}
	if s.closed.Load() {
		return fmt.Errorf("actor: serve after System.Shutdown: %w", ErrShutdown)
	}
	<-ctx.Done()
	return s.Shutdown(context.Background())
}

func (s *System) goroutineDone() {
	if s.goroutines.Add(-1) == 0 {
		s.signalQuiet()
	}
}

// gone takes a dead process out of the count.
func (s *System) gone() {
	if s.live.Add(-1) == 0 {
		s.signalQuiet()
		if s.closed.Load() {
			offer(s.opening.tryAgain)
		}
	}
}

// signalQuiet has waitQuiet look again.
func (s *System) signalQuiet() {
	if s.closed.Load() {
		offer(s.quiet)
	}
}
