package actor

import (
	"sync"
	"time"
)

// endQueue holds the ends of processes that share terms, and so the shutdown time. They come in the order in which that is over, since it
// begins when they come. So one timer serves all of them: for the first. An end costs a few pointers then, and no timer of its own.
//
// Its mu is locked with the mu of a process held, never the other way round.
type endQueue struct {
	mu          sync.Mutex
	first, last *endClock
	timer       *time.Timer
	runs        bool // the timer runs, or has fired and over is about to run
}

// join has p.timeOver called, on a goroutine of its own, when d is over, unless c leaves before.
// p.mu is held; c is p's clock and has never joined before.
func (q *endQueue) join(p *process, c *endClock, d time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	c.deadline = after(p.sys.now(), d) // under the lock: no end that comes later has an earlier one
	c.p, c.prev = p, q.last
	if q.last != nil {
		q.last.next = c
	} else {
		q.first = c
	}
	q.last = c
	switch {
	case q.runs:
	case q.timer == nil:
		q.runs, q.timer = true, time.AfterFunc(d, q.over)
	default:
		q.runs = true
		q.timer.Reset(d)
	}
}

// leave takes c out, if it is in the queue. An empty one has no timer that runs.
func (q *endQueue) leave(c *endClock) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.remove(c)
	if q.first == nil && q.runs && q.timer.Stop() {
		q.runs = false
	}
}

// remove takes c out of the list, if it is in it; q.mu is held.
func (q *endQueue) remove(c *endClock) {
	if c.p == nil {
		return
	}
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		q.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		q.last = c.prev
	}
	c.p, c.prev, c.next = nil, nil, nil
}

// over is called by the timer.
func (q *endQueue) over() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.runs = false
	for q.first != nil {
		c, p := q.first, q.first.p
		if wait := c.deadline - p.sys.now(); wait > 0 {
			q.runs = true
			q.timer.Reset(time.Duration(wait))
			return
		}
		q.remove(c)
		go p.timeOver() // not here: it may call what does not return
	}
}
