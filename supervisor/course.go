package supervisor

import (
	"time"

	"github.com/troupe-dev/troupe/actor/exit"
)

// killGrace is how long a killed child has to return. It is waited for only when code is stuck.
const killGrace = time.Second

// course is how far a life is on its way to its end, and its next deadline: the one implementation for the children of a
// tree and of a Dynamic, for services and actors. It is only a record, guarded by the lock of the child's owner. Its
// methods return what the life is to be told, nil for nothing, and do not tell it: an actor may end in that call, which
// takes that lock.
//
// A tree looks at the deadlines of its children in its loop; a child of a Dynamic has a timer from when it is told.
type course struct {
	stage      stage
	ready      bool
	yields     bool // it ends at once when it is killed: so it is killed before it is abandoned
	supervises bool // once killed, it ends when its children have, whose time is bounded
	shutdown   time.Duration
	deadline   time.Time // of the start, or of the stop once it is told; zero: none
}

// stage is how far a life is on its way out. It only goes forward.
type stage uint8

const (
	alive     stage = iota
	told            // to stop, within the shutdown time
	killed          // that time is over, or there was none
	abandoned       // it has not returned in time
	ended           // it has returned, or no life is to come
)

// courseOf returns the course of a new life of s.
func courseOf(s Service, shutdown time.Duration) course {
	return course{yields: announces(s), supervises: supervises(s), shutdown: shutdown}
}

// up tells whether the life is ready and nobody wants its end.
func (c *course) up() bool { return c.ready && c.stage == alive }

// becameReady notes that the life is ready; false: it was already, or it was told to stop.
func (c *course) becameReady() bool {
	if c.ready || c.stage != alive {
		return false
	}
	c.ready, c.deadline = true, time.Time{}
	return true
}

// tell starts the shutdown time; cause is why the life is to stop.
func (c *course) tell(cause error, now time.Time) error {
	if c.stage != alive {
		return nil
	}
	c.stage, c.deadline = told, time.Time{}
	switch {
	case c.shutdown == Kill:
		return c.kill(now)
	case c.shutdown != Infinity:
		c.deadline = now.Add(c.shutdown)
	}
	return cause
}

// kill ends the time to stop.
func (c *course) kill(now time.Time) error {
	if c.stage >= killed {
		return nil
	}
	c.stage, c.deadline = killed, now.Add(killGrace)
	if c.supervises {
		c.deadline = time.Time{}
	}
	return exit.ErrKilled
}

// due tells whether the deadline has come.
func (c *course) due(now time.Time) bool { return !c.deadline.IsZero() && !now.Before(c.deadline) }

// next returns the course of the life that comes after this one.
func (c *course) next() course {
	return course{yields: c.yields, supervises: c.supervises, shutdown: c.shutdown}
}

// expire is called when the deadline of a life that was told to stop has come: it is killed, if that helps, and
// otherwise abandoned.
func (c *course) expire(now time.Time) error {
	if c.stage == told && c.yields {
		return c.kill(now)
	}
	c.stage, c.deadline = abandoned, time.Time{}
	return exit.ErrKilled
}
