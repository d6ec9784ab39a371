package pipe

import (
	"sync"
	"time"
)

// waiters are the calls of one kind (the reads or the writes of one Conn) that
// wait, and the deadline they share. The mutex of the pair guards them. While
// nobody waits only the deadline takes memory.
type waiters struct {
	deadline instant
	queue    *queue // nil while nobody waits
}

// queue is the part of waiters that is needed while somebody waits.
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
func (w *waiters) expired(p *pair) bool {
	return w.deadline != 0 && p.left(w.deadline) <= 0
}

// wait gives up the mutex until wake is called or the deadline passes. It may
// also return early: the caller checks its condition again.
func (w *waiters) wait(c *Conn) {
	w.arm(c)
	q := w.open(c)
	q.waiting++
	q.cond.Wait()
	q.waiting--
	w.settle(c)
}

// wake makes every waiting call look again.
func (w *waiters) wake() {
	if w.queue != nil {
		w.queue.cond.Broadcast()
	}
}

// arm makes the timer fire at the deadline. The timer only wakes: whether the
// deadline has passed is decided by the clock, so a fire that comes too early
// or for an old deadline does no harm.
func (w *waiters) arm(c *Conn) {
	if w.deadline == 0 {
		return
	}
	q, d := w.open(c), c.pair.left(w.deadline)
	if q.timer != nil {
		q.timer.Reset(d)
		return
	}
	q.timer = time.AfterFunc(d, func() {
		c.pair.mu.Lock()
		defer c.unlock()
		w.wake() // not q's cond: q may be used elsewhere by now
	})
}

// open makes sure that there is a queue.
func (w *waiters) open(c *Conn) *queue {
	if w.queue == nil {
		w.queue = queues.Get().(*queue)
		w.queue.cond.L = &c.pair.mu
	}
	return w.queue
}

// settle gives the queue back when neither a call nor c's Waker needs it.
func (w *waiters) settle(c *Conn) {
	q := w.queue
	if q == nil || q.waiting > 0 || w == &c.read && c.waker != nil {
		return
	}
	if q.timer != nil {
		q.timer.Stop()
		q.timer = nil // it belongs to c, and perhaps to a synctest bubble
	}
	q.cond.L = nil
	w.queue = nil
	queues.Put(q)
}
