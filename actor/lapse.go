package actor

import (
	"sync/atomic"
	"time"
)

const (
	// exact is for how many callbacks of a turn process.began is exact.
	exact = 64
	// lapseTime is by how much it may be too early for those after them.
	lapseTime = 10 * time.Millisecond
)

// lapse says, to whoever has read the clock, when that time is too old: to read the clock for each message takes a quarter of what a
// message to a busy actor costs. Its timer runs once when it is asked for, so a System without work has none that runs.
type lapse struct {
	over  atomic.Uint32 // how often the timer has fired
	runs  atomic.Bool   // the timer runs, or will
	timer *time.Timer   // whoever sets runs may start it
}

func (l *lapse) init() {
	l.timer = time.AfterFunc(lapseTime, l.end)
	l.timer.Stop()
}

// begin is called before the clock is read. What that says is too old when over is not what begin has returned.
func (l *lapse) begin() (over uint32) {
	over = l.over.Load() // before runs is read: a timer that runs then has yet to change it
	if !l.runs.Load() && l.runs.CompareAndSwap(false, true) {
		l.timer.Reset(lapseTime)
	}
	return over
}

func (l *lapse) end() {
	l.runs.Store(false) // first; see begin
	l.over.Add(1)
}
