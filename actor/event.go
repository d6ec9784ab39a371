package actor

import (
	"fmt"
	"sync"
	"time"
)

// Event is something that has happened in a System: an [Ended], [Undelivered] or [Abandoned]. There may be more kinds in later
// versions. See Config.OnEvent.
type Event interface{ event() }

func (Ended) event()       {}
func (Undelivered) event() {}
func (Abandoned) event()   {}

// Ended says that a process has ended abnormally: with an error or a panic, or by a kill. These are the ends of
// [System.LastExits], so those of sockets are not among them; socket.Config.OnEvent tells of those.
type Ended struct{ Exit }

// Undelivered says that messages have reached nobody, as Stats.Undelivered counts them. The first one is told of at once, and
// those of the second that follows together: so there is at most one of these events a second, and the sum of their Counts
// is what Stats says.
type Undelivered struct {
	PID   PID    // of the first of them
	Type  string // of that message, as %T says it
	Count int
}

// Abandoned says that a callback has not returned a moment after its process was killed, or its shutdown time was over. Its
// goroutine is left to itself. The callbacks of sockets are not among them; socket.Config.OnEvent tells of those.
type Abandoned struct {
	PID      PID
	Label    string
	Actor    string // the Go type, as in ProcessInfo
	Handling string // as in ProcessInfo
	For      time.Duration
	Reason   error  // the exit reason of the process
	Stack    string // of the goroutine, or why it was not taken; see Config.Logger
}

// tell has Config.OnEvent called with e.
func (s *System) tell(e Event) {
	if f := s.onEvent; f != nil {
		s.events.Do(func() { f(e) })
	}
}

// undeliveredInterval is how long messages that reach nobody are gathered for one event.
const undeliveredInterval = time.Second

// losses gathers messages that have reached nobody. Its timer runs only while there were any in the last second.
type losses struct {
	mu    sync.Mutex
	timer *time.Timer // nil: there has been none
	runs  bool        // the timer is set, or has fired and waits for mu
	first Undelivered // what has come since the last event
}

// note counts a message that has reached nobody. What is told is told without mu: the queue of events may have to log that it is
// full, which asks the user's Logger whether it is enabled.
func (l *losses) note(s *System, p PID, msg any) {
	l.mu.Lock()
	if l.first.Count == 0 {
		l.first.PID, l.first.Type = p, fmt.Sprintf("%T", msg)
	}
	l.first.Count++
	if l.runs {
		l.mu.Unlock()
		return
	}
	e := l.take()
	l.runs = true
	if l.timer == nil {
		l.timer = time.AfterFunc(undeliveredInterval, func() { l.next(s) })
	} else {
		l.timer.Reset(undeliveredInterval)
	}
	l.mu.Unlock()
	s.tell(e)
}

// next is what the timer calls.
func (l *losses) next(s *System) {
	l.mu.Lock()
	if !l.runs { // flush was first
		l.mu.Unlock()
		return
	}
	e := l.take()
	if l.runs = e.Count > 0; l.runs {
		l.timer.Reset(undeliveredInterval)
	}
	l.mu.Unlock()
	if e.Count > 0 {
		s.tell(e)
	}
}

// flush tells what has not been told yet, at the end of a Shutdown.
func (l *losses) flush(s *System) {
	l.mu.Lock()
	if l.runs {
		l.timer.Stop()
		l.runs = false
	}
	e := l.take()
	l.mu.Unlock()
	if e.Count > 0 {
		s.tell(e)
	}
}

// take takes out what has come since the last event; l.mu is held.
func (l *losses) take() Undelivered {
	e := l.first
	l.first = Undelivered{}
	return e
}
