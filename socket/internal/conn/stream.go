package conn

import (
	"iter"
	"sync"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/websock"
)

// stream is the Stream of a Result, until it has ended. It is a host.Deferred that puts itself at the end of the mailbox after each of
// its messages: so all else that comes has its turn in between, and a write that the client does not take holds it up.
//
// Whoever holds the turn pulls, one at a time. The end of the process may come from any goroutine while one does: then that one
// calls stop, and else whoever ends it. So next and stop never run at the same time, and stop runs once.
type stream struct {
	next func() (websock.Message, bool)
	stop func()

	mu      sync.Mutex // guards what follows; not held in next and stop
	pulling bool
	over    bool
}

// Content implements host.Deferred.
func (s *stream) Content() any { return s }

// Due implements host.Deferred.
func (s *stream) Due(actor.PID) (any, bool) { return s, true }

// pull returns the next message; false: there is none any more.
func (s *stream) pull() (m websock.Message, ok bool) {
	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		return m, false
	}
	s.pulling = true
	s.mu.Unlock()
	defer s.pulled() // also when next panics
	return s.next()
}

func (s *stream) pulled() {
	s.mu.Lock()
	s.pulling = false
	over := s.over
	s.mu.Unlock()
	if over {
		s.stop()
	}
}

// finish marks the end of the stream. True: the caller must call stop.
func (s *stream) finish() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := !s.over
	s.over = true
	return first && !s.pulling
}

// Run calls stop, as a task, for a process that was killed.
func (s *stream) Run() {
	defer func() { _ = recover() }() // of a process that was killed; like what becomes of a callback that runs then, nobody is told
	s.stop()
}

// startStream is for the Stream of a Result. It ends the one before it.
func (c *Conn) startStream(seq iter.Seq[websock.Message]) {
	next, stop := iter.Pull(seq)
	s := &stream{next: next, stop: stop}
	var before *stream
	c.ends(func(e *end) {
		if e.reason != nil { // killed meanwhile
			before = s
			return
		}
		before, e.stream = e.stream, s
	})
	if before != nil && before.finish() {
		before.stop()
	}
	c.port.Notify(s) // when it is refused, the end of the process finds it
}

// takeStream returns the stream, which is that of the connection no longer; nil: there is none.
func (c *Conn) takeStream() (s *stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end != nil {
		s, c.end.stream = c.end.stream, nil
	}
	return s
}

// streams tells whether there is a stream.
func (c *Conn) streams() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.end != nil && c.end.stream != nil
}

// receiveStream writes the next message of s.
func (c *Conn) receiveStream(s *stream) error {
	c.beforeCallback()
	m, ok := s.pull()
	if !ok {
		c.ends(func(e *end) {
			if e.stream == s {
				e.stream = nil
			}
		})
		return nil
	}
	if err := m.Check(); err != nil {
		return err
	}
	if !c.leavesOut(&m, true) {
		if err := c.append(&m); err != nil {
			return err
		}
	}
	c.port.Notify(s)
	return nil
}
