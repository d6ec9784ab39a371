package pipe

import (
	"sync"
	"time"
)

// gate is where calls of one kind (the reads or the writes of one Conn) wait,
// and the deadline they share. The mutex of its pair guards it.
type gate struct {
	cond     sync.Cond
	deadline time.Time   // zero: none
	timer    *time.Timer // runs only while somebody waits under a deadline
	waiting  int
}

// expired says whether the deadline has passed.
func (g *gate) expired() bool {
	return !g.deadline.IsZero() && !time.Now().Before(g.deadline)
}

// wait gives up the mutex until wake is called or the deadline passes. It may
// also return early: the caller checks its condition again.
func (g *gate) wait() {
	g.arm()
	g.waiting++
	g.cond.Wait()
	g.waiting--
	if g.waiting == 0 && g.timer != nil {
		g.timer.Stop()
	}
}

// wake makes every waiting call look again.
func (g *gate) wake() { g.cond.Broadcast() }

// set changes the deadline, for calls that are waiting too.
func (g *gate) set(t time.Time) {
	g.deadline = t
	g.wake()
}

// arm makes the timer fire at the deadline. The timer only wakes: whether the
// deadline has passed is decided by the clock, so a fire that comes too early
// or for an old deadline does no harm.
func (g *gate) arm() {
	if g.deadline.IsZero() {
		return
	}
	d := time.Until(g.deadline)
	if g.timer != nil {
		g.timer.Reset(d)
		return
	}
	g.timer = time.AfterFunc(d, func() {
		g.cond.L.Lock()
		defer g.cond.L.Unlock()
		g.wake()
	})
}
