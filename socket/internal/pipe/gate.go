package pipe

import (
	"sync"
	"time"
)

// gate is where calls of one kind (the reads or the writes of one Conn) wait,
// and the deadline they share. The mutex of its pair guards it. While nobody
// waits it is no more than the deadline.
type gate struct {
	deadline instant
	queue    *queue // nil while nobody waits
}

// queue is the part of a gate that waiting needs.
type queue struct {
	cond    sync.Cond
	waiting int
	timer   *time.Timer // runs only while somebody waits under a deadline
}

// queues keeps those that are not in use. Many a Read waits, so that each would
// cost an allocation.
var queues = sync.Pool{New: func() any { return new(queue) }}

// instant is a time in nanoseconds since its pair was made. 0: none; all times
// before that are -1.
type instant int64

// instant turns t into the pair's time.
func (p *pair) instant(t time.Time) instant {
	if t.IsZero() {
		return 0
	}
	if d := t.Sub(p.born); d > 0 {
		return instant(d)
	}
	return -1
}

// left is how long it is until i, which is not 0.
func (p *pair) left(i instant) time.Duration {
	if i < 0 {
		return 0
	}
	return time.Duration(i) - time.Since(p.born)
}

// expired says whether the deadline has passed.
func (g *gate) expired(p *pair) bool {
	return g.deadline != 0 && p.left(g.deadline) <= 0
}

// wait gives up the mutex until wake is called or the deadline passes. It may
// also return early: the caller checks its condition again.
func (g *gate) wait(c *Conn) {
	g.arm(c)
	q := g.open(c)
	q.waiting++
	q.cond.Wait()
	q.waiting--
	g.settle(c)
}

// wake makes every waiting call look again.
func (g *gate) wake() {
	if g.queue != nil {
		g.queue.cond.Broadcast()
	}
}

// arm makes the timer fire at the deadline. The timer only wakes: whether the
// deadline has passed is decided by the clock, so a fire that comes too early
// or for an old deadline does no harm.
func (g *gate) arm(c *Conn) {
	if g.deadline == 0 {
		return
	}
	q, d := g.open(c), c.pair.left(g.deadline)
	if q.timer != nil {
		q.timer.Reset(d)
		return
	}
	q.timer = time.AfterFunc(d, func() {
		c.pair.mu.Lock()
		defer c.unlock()
		g.wake() // not q's cond: q may have moved to another gate
	})
}

// open makes sure that there is a queue.
func (g *gate) open(c *Conn) *queue {
	if g.queue == nil {
		g.queue = queues.Get().(*queue)
		g.queue.cond.L = &c.pair.mu
	}
	return g.queue
}

// settle gives the queue back when neither a call nor c's Waker needs it.
func (g *gate) settle(c *Conn) {
	q := g.queue
	if q == nil || q.waiting > 0 || g == &c.read && c.waker != nil {
		return
	}
	if q.timer != nil {
		q.timer.Stop()
		q.timer = nil // it belongs to c, and perhaps to a synctest bubble
	}
	q.cond.L = nil
	g.queue = nil
	queues.Put(q)
}
