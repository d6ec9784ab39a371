package conn

import (
	"iter"
	"runtime/debug"
	"sync"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/websock"
)

// stream is the Stream of a Result, until it has ended. It is a host.Deferred that puts itself at the end of the mailbox after each of
// its messages: so all else that comes has its turn in between, and a write that the client does not take holds it up.
//
// Whoever holds the turn pulls, one at a time. The end of the process may come from any goroutine while one does: then that one
// calls close, and else whoever ends it. So next and stop never run at the same time, and stop runs once.
type stream struct {
	c        *Conn
	next     func() (websock.Message, bool)
	stop     func()
	panicked *actor.PanicError // set in next or stop, and read by who has called that; nil: it has not

	mu      sync.Mutex // guards what follows; not held in next and stop
	pulling bool
	over    bool
}

// Content implements host.Deferred.
func (s *stream) Content() any { return s }

// Due implements host.Deferred.
func (s *stream) Due(actor.PID) (any, bool) { return s, true }

// pull returns the next message; false: there is none any more, and err is its panic, if it has panicked in this call.
func (s *stream) pull() (m websock.Message, ok bool, err error) {
	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		return m, false, nil
	}
	s.pulling = true
	s.mu.Unlock()
	defer s.pulled() // also after a runtime.Goexit in next
	if m, ok = s.next(); !ok && s.panicked != nil {
		return m, false, s.panicked
	}
	return m, ok, nil
}

func (s *stream) pulled() {
	s.mu.Lock()
	s.pulling = false
	over := s.over
	s.mu.Unlock()
	if over {
		s.close()
	}
}

// run is the sequence that is pulled. iter.Pull would panic again on the goroutine that pulls, with a stack that says nothing; so it
// gets an end. It may have a runtime.Goexit, which goes on there.
func (s *stream) run(seq iter.Seq[websock.Message]) iter.Seq[websock.Message] {
	return func(yield func(websock.Message) bool) {
		s.c.port.Aside(func() {
			defer func() {
				if r := recover(); r != nil {
					s.panicked = &actor.PanicError{Value: r, Stack: debug.Stack()}
				}
			}()
			seq(yield)
		})
	}
}

// finish marks the end of the stream. True: the caller must call stop or close.
func (s *stream) finish() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := !s.over
	s.over = true
	return first && !s.pulling
}

// close calls stop when the exit reason is decided: a panic is logged.
func (s *stream) close() {
	s.stop()
	if s.panicked != nil {
		s.c.port.LogPanic(streamName, s.panicked)
	}
}

// Run calls close, as a task, for a process that was killed.
func (s *stream) Run() { s.close() }

// streamName is what a user knows it by.
const streamName = "websock.Stream"

// startStream is for the Stream of a Result. It ends the one before it, a panic of which is the exit reason.
func (c *Conn) startStream(seq iter.Seq[websock.Message]) error {
	s := &stream{c: c}
	s.next, s.stop = iter.Pull(s.run(seq))
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
		if before.panicked != nil {
			return before.panicked
		}
	}
	c.port.Notify(s) // when it is refused, the end of the process finds it
	return nil
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
	m, ok, err := s.pull()
	if !ok {
		c.ends(func(e *end) {
			if e.stream == s {
				e.stream = nil
			}
		})
		return err
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
