package actor

import (
	"context"
	"sync"
)

// door is where Shutdown closes a System and host.Reopen opens it again. Whoever spawns looks at System.closed alone.
//
// Nothing of before comes through: it is opened when no Shutdown runs any more, which could still kill, or close the pool,
// and no process lives, one included that is on its way into the table. That one is counted in System.live before it looks
// at closed, so either it is seen here, or it finds the System open.
type door struct {
	mu        sync.Mutex
	shutdowns int           // calls of Shutdown that run
	clear     chan struct{} // a token when that may be: a Shutdown has returned, or no process lives
}

// shut closes s; the caller is a Shutdown, and calls unshut when it returns.
func (s *System) shut() {
	s.door.mu.Lock()
	defer s.door.mu.Unlock()
	s.door.shutdowns++
	s.closed.Store(true)
}

func (s *System) unshut() {
	s.door.mu.Lock()
	s.door.shutdowns--
	s.door.mu.Unlock()
	offer(s.door.clear)
}

// reopen lets processes in again after Shutdown. It waits until all that was there has ended, and the error is the cause of
// ctx's end; a System that is open stays so.
func (s *System) reopen(ctx context.Context) error {
	for !s.tryReopen() {
		select {
		case <-s.door.clear:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	offer(s.door.clear) // for whoever else waits
	return nil
}

func (s *System) tryReopen() bool {
	s.door.mu.Lock()
	defer s.door.mu.Unlock()
	if !s.closed.Load() {
		return true
	}
	if s.door.shutdowns > 0 || s.live.Load() > 0 {
		return false
	}
	s.pool.Open()
	s.closed.Store(false)
	return true
}

// offer puts a token into c, if there is none.
func offer(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
