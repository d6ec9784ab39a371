package socket

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/troupe-dev/troupe/socket/internal/notify"
)

// sleep is the socket between its readers: whether there is a goroutine that reads, and who starts the next one.
//
// A reader that finds nothing between two messages may leave, and then the socket is asleep: the notifier is armed, and
// nothing runs. Whoever takes the socket out of that state, under mu, starts the next reader: the notifier when bytes
// have come, the pulse when the silence has become too long, the end of the process, or a kill. So there is never more
// than one, and what one reader has written to its fields the next one sees.
type sleep struct {
	c       *conn
	sleeper notify.Sleeper

	mu     sync.Mutex
	stop   bool // reading has ended, or is to end: the reader stays, or is the last
	closed bool // TCP is closed, or will be at once
	held   bool // the Close frame is on its way: a reader would only wait for that
	woken  bool // meanwhile
	now    atomic.Uint32
}

const (
	sleepAwake  uint32 = iota
	sleepNever         // the connection cannot be watched, or Config.HibernateAfter is off
	sleepAsleep        // there is no reader
)

func (s *sleep) state() uint32 { return s.now.Load() }

// init is called before the first reader starts.
func (s *sleep) init() {
	if s.c.srv.cfg.HibernateAfter < 0 || !notify.Supported(s.c.wire.Transport()) {
		s.now.Store(sleepNever)
	}
}

// lieDown is called by the reader when it has nothing to do. True: it must leave at once, for another one may run
// already. False: it reads on.
func (s *sleep) lieDown() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop || s.closed {
		return false
	}
	already, err := s.c.srv.notifier.Arm(&s.sleeper, s.c.wire.Transport(), s, notify.Readable)
	if errors.Is(err, notify.ErrUnsupported) {
		s.now.Store(sleepNever)
	}
	if err != nil || already != 0 {
		return false
	}
	s.now.Store(sleepAsleep)
	return true
}

// Wake implements notify.Waker. A call that comes late finds another reader, or wakes the socket once for nothing.
func (s *sleep) Wake(notify.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wake()
}

// wake starts a reader if there is none; s.mu is held.
func (s *sleep) wake() {
	if s.held {
		s.woken = true
		return
	}
	if s.now.CompareAndSwap(sleepAsleep, sleepAwake) {
		s.c.port.Go((*reader)(s.c))
	}
}

// rouse wakes the socket though nothing has come.
func (s *sleep) rouse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop = true
	if s.state() == sleepAsleep {
		s.c.srv.notifier.Disarm(&s.sleeper, s.c.wire.Transport())
		s.wake()
	}
}

// hold keeps a socket that sleeps from waking, until end.
func (s *sleep) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = true
}

// end says that the process has ended. It tells whether the socket sleeps, and so goes on sleeping until the
// peer's Close, or until rouse.
func (s *sleep) end() (asleep bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop, s.held = true, false
	if s.woken {
		s.wake()
	}
	return s.state() == sleepAsleep
}

// close gives up the place in the notifier, which must come before TCP is closed.
func (s *sleep) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.c.srv.notifier.Release(&s.sleeper, s.c.wire.Transport())
	s.wake()
}

// reader is the task that reads.
type reader conn

func (r *reader) Run() { (*conn)(r).serve() }
