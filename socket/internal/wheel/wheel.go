// Package wheel keeps coarse deadlines, such as those of a million idle
// sockets, with one runtime timer.
//
//	w.Set(&c.idle, c, now, time.Minute)
//	...
//	w.Stop(&c.idle)
//
// A deadline is rounded up to a multiple of a power of two of nanoseconds which is at most
// 1/32 of the time until it, and those that meet at one instant share a bucket.
// So there are few buckets however many deadlines are set: at most 65 for each
// doubling of the times in use. Setting, replacing and stopping take constant
// time and, once there is a bucket, no memory. Nothing rotates and nothing is
// looked at before it is due: an idle Wheel sleeps until its first bucket.
package wheel

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

// Target is who is told that a deadline has passed.
type Target interface {
	// Due is called on a goroutine of the Wheel, one at a time, with no lock held.
	// It must not block, and may call Set and Stop. now is not before the deadline;
	// it is the present but for the time that other calls of Due have taken.
	Due(now time.Time)
}

// Wheel keeps deadlines. The zero value works. All methods may be called from
// any goroutine at the same time. It has no goroutine but while calls of Due are
// made, and its one timer is stopped while no deadline is set.
type Wheel struct {
	mu      sync.Mutex
	born    time.Time // from which instants are counted; set by the first Set
	timer   *time.Timer
	alarm   instant // when timer fires; never: it is stopped
	firing  bool    // calls of Due are made; the timer is set after them
	buckets buckets
}

// instant is a time in nanoseconds since the Wheel's first Set.
type instant int64

const never = instant(1<<63 - 1)

// Entry is the place of one deadline; embed it. The zero value is ready and not
// set. An Entry must not be copied, nor be used with two Wheels, while it is set.
type Entry struct {
	bucket     *bucket // nil: not set
	prev, next *Entry  // of bucket
	target     Target
}

// Set has t.Due called once, not before now+d and at most 1/32 of d, or a
// millisecond if that is more, after it, apart from what the scheduler and other
// calls of Due take. It replaces what was set for e: that is not called any more,
// unless the call has begun. A d below 0 counts as 0.
func (w *Wheel) Set(e *Entry, t Target, now time.Time, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.born.IsZero() {
		w.born, w.alarm = now, never
	}
	at := round(now.Sub(w.born), min(max(d, 0), longest))
	switch {
	case e.bucket == nil:
	case e.bucket.at == at:
		e.target = t
		return
	default:
		w.remove(e)
	}
	e.target = t
	w.buckets.at(at).add(e)
	w.rouse()
}

// Stop takes the last Set of e back. True: its Due will not be called. False: e
// was not set, or Due has been or is being called.
func (w *Wheel) Stop(e *Entry) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.bucket == nil {
		return false
	}
	w.remove(e)
	if len(w.buckets.heap) == 0 && w.alarm != never {
		w.timer.Stop()
		w.alarm = never
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
func (w *Wheel) remove(e *Entry) {
	b := e.bucket
	b.remove(e)
	if b.first == nil && !b.firing() {
		w.buckets.drop(b)
	}
}

// rouse makes sure that the timer does not fire after the first bucket is due.
// It may fire before, when an earlier one has become empty: that is rarer than
// that setting the timer each time would pay.
func (w *Wheel) rouse() {
	if w.firing || len(w.buckets.heap) == 0 {
		return
	}
	first := w.buckets.heap[0].at
	if first >= w.alarm {
		return
	}
	w.alarm = first
	d := time.Duration(first) - time.Since(w.born)
	if w.timer == nil {
		w.timer = time.AfterFunc(d, w.fire)
	} else {
		w.timer.Reset(d)
	}
}

// fire runs on the timer's goroutine. A second one, which a Set has started
// after the first timer had fired, finds the first at work.
func (w *Wheel) fire() {
	w.mu.Lock() // not unlocked by defer: a panic in Due comes without the mutex
	if w.firing {
		w.mu.Unlock()
		return
	}
	w.firing, w.alarm = true, never
	for {
		now := time.Now()
		b := w.buckets.due(instant(now.Sub(w.born)))
		if b == nil {
			break
		}
		w.call(b, now)
		w.buckets.recycle(b)
	}
	w.firing = false
	w.rouse()
	w.mu.Unlock()
}

// call makes the calls for a bucket that is not among the others any more. What
// is left in it may be stopped meanwhile.
func (w *Wheel) call(b *bucket, now time.Time) {
	for e := b.first; e != nil; e = b.first {
		t := e.target
		b.remove(e)
		w.mu.Unlock()
		t.Due(now)
		w.mu.Lock()
	}
}
