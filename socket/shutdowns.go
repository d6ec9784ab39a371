package socket

import "context"

// shutdowns are the calls of Shutdown, guarded by Server.mu. Serve opens the Server, and a System of its own, only when none
// runs and none has begun meanwhile.
type shutdowns struct {
	begun int           // in all
	run   int           // that have not returned
	over  chan struct{} // closed when run comes to 0; nil while nobody waits for that
}

func (s *Server) beginShutdown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shutdowns.begun++
	s.shutdowns.run++
}

func (s *Server) endShutdown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := &s.shutdowns
	d.run--
	if d.run == 0 && d.over != nil {
		close(d.over)
		d.over = nil
	}
}

// waitShutdowns waits until no Shutdown runs, and returns how many have begun by then. ok is false when ctx was done before.
func (s *Server) waitShutdowns(ctx context.Context) (begun int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := &s.shutdowns
	for d.run > 0 {
		if d.over == nil {
			d.over = make(chan struct{})
		}
		over := d.over
		s.mu.Unlock()
		done := false
		select {
		case <-over:
		case <-ctx.Done():
			done = true
		}
		s.mu.Lock()
		if done {
			return 0, false
		}
	}
	return d.begun, true
}
