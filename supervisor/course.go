package supervisor

import (
	"time"

	"github.com/troupe-dev/troupe/actor/exit"
)

// killGrace is how long a killed child has to return. It is waited for only when code is stuck.
const killGrace = time.Second

// course is how a life comes to its end, and when something is due: the one implementation for the children of a tree
// and of a Dynamic, for services and actors. It is only a record, guarded by the lock of the child's owner: its methods
// return what the life is to be told, nil for nothing, since telling an actor may end it on the spot, which takes that
// lock.
//
// The tree looks at the deadlines of its children in its loop; a child of a Dynamic has a timer once it is told.
type course struct {
	stage      stage
	ready      bool
	yields     bool // it ends at once when it is killed, so it is killed before it is abandoned
	supervises bool // killed, it has as much time as its children need, which is bounded
	shutdown   time.Duration
	deadline   time.Time // of the start; once told, of the stop; zero: none
}

// stage is how far a life is on its way out. It only goes forward.
type stage uint8

const (
	alive     stage = iota
	told            // to stop, within the shutdown time
	killed          // that was over, or there was none
	abandoned       // it has not returned
	ended           // it has, or there is none to come
)

// courseOf returns the course of a new life of s.
func courseOf(s Service, shutdown time.Duration) course {
	return course{yields: announces(s), supervises: supervises(s), shutdown: shutdown}
}

// up tells whether the life is ready and nobody wants its end.
func (c *course) up() bool { return c.ready && c.stage == alive }

// becameReady notes that the life is ready; false: it was, or it is on its way out.
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

// next returns the course of the life that comes after this one, which nobody has told to end.
func (c *course) next() course {
	return course{yields: c.yields, supervises: c.supervises, shutdown: c.shutdown}
}

// expire is for a life that was told to stop and whose deadline has come: it is killed, if that helps, and abandoned
// otherwise.
func (c *course) expire(now time.Time) error {
	if c.stage == told && c.yields {
		return c.kill(now)
	}
	c.stage, c.deadline = abandoned, time.Time{}
	return exit.ErrKilled
}
