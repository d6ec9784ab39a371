package socket

import (
	"sync"
	"time"
)

// stallAfter is how long pushes wait for a callback that runs after them.
const stallAfter = time.Millisecond

// stall sends what was pushed when a callback after it takes its time. It is armed before a callback that runs with
// pushes waiting, so a socket that is asked and answers never touches it.
type stall struct {
	c *conn

	mu    sync.Mutex
	timer *time.Timer
	wg    sync.WaitGroup // 1 while the timer runs or fires
	over  bool
}

// arm starts the watch. It is called in the turn.
func (s *stall) arm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || s.c.stalls.Load() {
		return
	}
	s.c.stalls.Store(true)
	s.wg.Add(1)
	if s.timer == nil {
		s.timer = time.AfterFunc(stallAfter, s.fire)
	} else {
		s.timer.Reset(stallAfter)
	}
}

func (s *stall) fire() {
	defer s.wg.Done()
	s.c.stalls.Store(false)
	s.c.flush()
}

// disarm is called before a flush.
func (s *stall) disarm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c.stalls.Load() && s.timer.Stop() {
		s.c.stalls.Store(false)
		s.wg.Done()
	}
}

// stop ends the watch and waits for a flush on its way, which the closed transport has let go.
func (s *stall) stop() {
	s.disarm()
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	s.wg.Wait()
}
