package actor

import (
	"context"
	"sync"
)

// opening is how Shutdown closes a System and host.Reopen opens it again. Whoever spawns looks at System.closed alone.
//
// A System is opened only when no Shutdown runs, since that could still kill, or close the pool, and when no process lives.
// A process that is on its way into the table is counted in System.live before it looks at closed: so either reopen sees
// it, or it finds the System open.
type opening struct {
	mu        sync.Mutex
	shutdowns int           // calls of Shutdown that run
	tryAgain  chan struct{} // a token when reopen may succeed: a Shutdown has returned, or no process lives
}

// shut closes s; the caller is a Shutdown, and calls unshut when it returns.
func (s *System) shut() {
	s.opening.mu.Lock()
	defer s.opening.mu.Unlock()
	s.opening.shutdowns++
	s.closed.Store(true)
}

func (s *System) unshut() {
	s.opening.mu.Lock()
	s.opening.shutdowns--
	s.opening.mu.Unlock()
	offer(s.opening.tryAgain)
}

// reopen lets processes in again after Shutdown, when all that were there have ended. The error is the cause of ctx's end.
// A System that is open stays open.
func (s *System) reopen(ctx context.Context) error {
	for !s.tryReopen() {
		select {
		case <-s.opening.tryAgain:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	offer(s.opening.tryAgain) // for whoever else waits
	return nil
}

func (s *System) tryReopen() bool {
	s.opening.mu.Lock()
	defer s.opening.mu.Unlock()
	if !s.closed.Load() {
		return true
	}
	if s.opening.shutdowns > 0 || s.live.Load() > 0 {
		return false
	}
	s.pool.Open()
	s.closed.Store(false)
	return true
}

// offer puts a token into c, which holds one, if it is empty.
func offer(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
