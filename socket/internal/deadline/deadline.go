// Package deadline keeps coarse deadlines, such as those of a million idle
// sockets, with one runtime timer.
//
//	q.Set(&c.idle, c, now, time.Minute)
//	...
//	q.Stop(&c.idle)
//
// A deadline is rounded up to a multiple of a power of two in nanoseconds, which
// is at most 1/32 of the time until it. Deadlines of the same instant share a
// bucket. So there are few buckets however many deadlines are set: at most 65 for
// each doubling of the times in use. Setting, replacing and stopping take constant
// time and, once there is a bucket, no memory. No deadline is looked at before it
// is due: between two buckets nothing runs.
package deadline

import (
	"math/bits"
	"sync"
	"time"
)

// finest is the rounding of short times. It bounds how often the timer can fire
// to 1,907 times in a second. Runtime timers are not much more exact.
const finest = 1 << 19 // 0.52 ms

// longest is what longer times are cut to, 73 years, to stay far from overflow.
const longest = time.Duration(1 << 61)

// Target is told that a deadline has passed.
type Target interface {
	// Due is called on a goroutine of the Queue, one at a time, with no lock held.
	// It must not block, and may call Set and Stop. now is not before the deadline.
	// It is the time at which the first Due of the bucket was called.
	Due(now time.Time)
}

// Queue keeps deadlines. The zero value works. All methods may be called from
// any goroutine at the same time. It has a goroutine only while calls of Due are
// made, and its one timer is stopped while no deadline is set.
type Queue struct {
	mu      sync.Mutex
	born    time.Time // from which instants are counted; set by the first Set
	timer   *time.Timer
	alarm   instant // when timer fires; never: it is stopped
	firing  bool    // calls of Due are made; the timer is set after them
	buckets buckets
}

// instant is a time in nanoseconds since the Queue's first Set.
type instant int64

const never = instant(1<<63 - 1)

// Entry is one deadline in a Queue; embed it. The zero value is ready and not
// set. While it is set, an Entry must not be copied or used with another Queue.
type Entry struct {
	bucket     *bucket // nil: not set
	prev, next *Entry  // of bucket
	target     Target
}

// Set has t.Due called once: not before now+d, and at most 1/32 of d (or a
// millisecond, if that is more) later, apart from the time that the scheduler and
// other calls of Due take. It replaces what was set for e: that is not called any
// more, unless the call has begun. A d below 0 counts as 0.
func (q *Queue) Set(e *Entry, t Target, now time.Time, d time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.born.IsZero() {
		q.born, q.alarm = now, never
	}
	at := round(now.Sub(q.born), min(max(d, 0), longest))
	switch {
	case e.bucket == nil:
	case e.bucket.at == at:
		e.target = t
		return
	default:
		q.remove(e)
	}
	e.target = t
	q.buckets.at(at).add(e)
	q.setTimer()
}

// Stop undoes the last Set of e. True: its Due will not be called. False: e was
// not set, or Due has been or is being called.
func (q *Queue) Stop(e *Entry) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if e.bucket == nil {
		return false
	}
	q.remove(e)
	if len(q.buckets.heap) == 0 && q.alarm != never {
		q.timer.Stop()
		q.alarm = never
	}
	return true
}

// round returns when what is set at now for d is due.
func round(now, d time.Duration) instant {
	grain := int64(finest)
	if fine := int64(d / 32); fine > finest {
		grain = 1 << (bits.Len64(uint64(fine)) - 1)
	}
	return instant((int64(now+d) + grain - 1) &^ (grain - 1))
}

// remove takes e, which is set, out of its bucket.
func (q *Queue) remove(e *Entry) {
	b := e.bucket
	b.remove(e)
	if b.first == nil && !b.firing() {
		q.buckets.drop(b)
	}
}

// setTimer makes sure that the timer fires no later than the first bucket is due.
// It may fire earlier, when the bucket that it was set for has become empty: that
// is so rare that setting it later each time would cost more.
func (q *Queue) setTimer() {
	if q.firing || len(q.buckets.heap) == 0 {
		return
	}
	first := q.buckets.heap[0].at
	if first >= q.alarm {
		return
	}
	q.alarm = first
	d := time.Duration(first) - time.Since(q.born)
	if q.timer == nil {
		q.timer = time.AfterFunc(d, q.fire)
	} else {
		q.timer.Reset(d)
	}
}

// fire runs on the timer's goroutine. When a Set has set the timer again after it
// had fired, a second goroutine may come: it finds firing set, and returns.
func (q *Queue) fire() {
	q.mu.Lock() // not unlocked by defer: when Due panics, the mutex is not held
	if q.firing {
		q.mu.Unlock()
		return
	}
	q.firing, q.alarm = true, never
	for {
		now := time.Now()
		b := q.buckets.due(instant(now.Sub(q.born)))
		if b == nil {
			break
		}
		q.call(b, now)
		q.buckets.recycle(b)
	}
	q.firing = false
	q.setTimer()
	q.mu.Unlock()
}

// call makes the calls for a bucket, which has been taken out. Entries whose call
// has not begun can still be stopped.
func (q *Queue) call(b *bucket, now time.Time) {
	for e := b.first; e != nil; e = b.first {
		t := e.target
		b.remove(e)
		q.mu.Unlock()
		t.Due(now)
		q.mu.Lock()
	}
}
