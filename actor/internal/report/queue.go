// Package report calls the user's code, a Logger or a callback, on a goroutine of its own. Whoever ends a process,
// stops a child or drains a server tells a [Queue] and goes on. Whether the user's code blocks, panics or ends its
// goroutine concerns nobody but the Queue.
//
// A Queue keeps the order and is bounded: it has one goroutine, which exists only while there is something to report,
// and a number of reports may wait. A report for which there is no room is dropped and counted, and the loss is
// reported when there is room again.
package report

import (
	"context"
	"runtime/debug"
	"sync"
	"time"
)

const (
	// patience is how long one report may take before the code that takes it counts as stuck.
	patience = 300 * time.Millisecond
	// longest is how long Wait waits at most for slow code.
	longest = 5 * time.Second
	// roomStuck is how many reports may wait for code that is stuck, and room how many for code that is not.
	roomStuck = 1 << 10
	room      = 1 << 16
	// roomMinor is how many of the minor ones may wait.
	roomMinor = 1 << 10
)

// Queue runs the user's functions in order, one at a time, on a goroutine of its own. Its owner calls Wait at its end.
// All methods may be called from any goroutine, and all but Wait wait for nothing but a short lock.
type Queue struct {
	lost     func(n int)               // says that n reports were dropped
	panicked func(v any, stack []byte) // says that a report has panicked
	refusing func()                    // optional; called when the first report is dropped

	mu      sync.Mutex
	waiting []func()
	room    int       // how many may wait
	minor   int       // how many of waiting came by DoMinor
	running bool      // the goroutine exists
	began   time.Time // the report that runs, or the wait for the goroutine's first
	dropped int       // reports whose loss has not been told yet
	trifles int       // likewise, those of DoMinor
	mute    bool      // telling the loss has failed, so it waits for the next Do
	put     uint64    // how many have come in
	done    uint64    // how many of them are done
	waiters []waiter
}

// waiter waits until done has reached upTo.
type waiter struct {
	upTo uint64
	over chan struct{}
}

// Room lets n reports wait, if that is more than before, while the code that takes them is not stuck.
func (q *Queue) Room(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.room = max(q.room, n)
}

// Do runs f after everything that came before it. Up to 65,536 functions may wait, or as many as Room says; 1,024 while
// one has been running for longer than 300 ms. What finds no room is dropped.
func (q *Queue) Do(f func()) {
	q.mu.Lock()
	q.mute = false
	if n := len(q.waiting) - q.minor; n >= max(room, q.room) || n >= roomStuck && q.stuck() {
		q.dropped++
		first := q.dropped == 1
		q.mu.Unlock()
		if first && q.refusing != nil {
			q.refusing()
		}
		return
	}
	defer q.mu.Unlock()
	if q.dropped+q.trifles > 0 {
		q.push(q.lossReport())
	}
	q.push(f)
}

// DoMinor is Do for a report of what a stranger can cause at any rate: 1,024 of them may wait, and they take no room from those
// of Do. When some were dropped, the loss is told before the next report of Do, or when none wait any more: strangers cause no
// report about it for each of theirs.
func (q *Queue) DoMinor(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.mute = false
	if q.minor >= roomMinor {
		q.trifles++
		return
	}
	q.minor++
	q.push(func() {
		q.mu.Lock()
		q.minor--
		q.mu.Unlock()
		f()
	})
}

// push puts f last; q.mu is held.
func (q *Queue) push(f func()) {
	q.waiting = append(q.waiting, f)
	q.put++
	if !q.running {
		q.running, q.began = true, time.Now()
		go q.run()
	}
}

// stuck tells whether the report that runs has taken too long; q.mu is held.
func (q *Queue) stuck() bool { return q.running && time.Since(q.began) >= patience }

// lossReport is the report about what was dropped; q.mu is held.
func (q *Queue) lossReport() func() {
	n := q.dropped + q.trifles
	q.dropped, q.trifles = 0, 0
	return func() {
		said := false
		defer func() {
			if said {
				return
			}
			_ = recover()
			q.mu.Lock()
			q.dropped += n
			q.mute = true
			q.mu.Unlock()
		}()
		q.lost(n)
		said = true
	}
}

// drop counts a report that was accepted but did not reach the user's code.
func (q *Queue) drop() {
	q.mu.Lock()
	q.dropped++
	q.mu.Unlock()
}

// run is the goroutine.
func (q *Queue) run() {
	for {
		f := q.next()
		if f == nil {
			return
		}
		q.call(f)
	}
}

// next takes out a report; nil: there is none, and the goroutine ends.
func (q *Queue) next() func() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.waiting = nil // gives the memory of its peak back
		if q.dropped+q.trifles == 0 || q.mute {
			q.running = false
			return nil
		}
		q.push(q.lossReport())
	}
	f := q.waiting[0]
	q.waiting[0] = nil
	q.waiting = q.waiting[1:]
	q.began = time.Now()
	return f
}

// call runs f, which may panic. When f ends the goroutine, another one goes on.
func (q *Queue) call(f func()) {
	returned := false
	defer func() {
		if returned {
			q.over()
			return
		}
		goes := true
		v := recover()
		defer func() { // also when what tell calls ends the goroutine
			q.over()
			if goes {
				go q.run()
			}
		}()
		if v != nil {
			q.tell(v)
			goes = false
		}
	}()
	f()
	returned = true
}

// tell reports a panic; if that panics or calls runtime.Goexit, the report counts as dropped.
func (q *Queue) tell(v any) {
	told := false
	defer func() {
		if !told {
			_ = recover()
			q.drop()
		}
	}()
	q.panicked(v, debug.Stack())
	told = true
}

// over notes that a report is done.
func (q *Queue) over() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.done++
	kept := q.waiters[:0]
	for _, w := range q.waiters {
		if q.done >= w.upTo {
			close(w.over)
		} else {
			kept = append(kept, w)
		}
	}
	clear(q.waiters[len(kept):])
	q.waiters = kept
}

// Wait waits until all that came before the call is done. It gives up and returns false when one report has taken
// longer than 300 ms, part of which may have been before the call; after 5 s; and when ctx is done, but not within the
// first 300 ms, so that the reports of whatever has used up the time get through.
func (q *Queue) Wait(ctx context.Context) bool {
	w, stuckAt := q.wait()
	if w.over == nil {
		return true
	}
	defer q.forget(w)
	start, done := time.Now(), ctx.Done()
	check, end := time.NewTimer(time.Until(stuckAt)), time.NewTimer(longest)
	defer check.Stop()
	defer end.Stop()
	for {
		select {
		case <-w.over:
			return true
		case <-check.C:
			q.mu.Lock()
			stuckAt = q.began.Add(patience)
			q.mu.Unlock()
			left := time.Until(stuckAt)
			if left <= 0 {
				return false
			}
			check.Reset(left)
		case <-done:
			done = nil
			end.Reset(patience - time.Since(start)) // at once, when that time is over
		case <-end.C:
			return false
		}
	}
}

// wait enters a waiter; over is nil when there is nothing to wait for.
func (q *Queue) wait() (w waiter, stuckAt time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.done == q.put {
		return w, stuckAt
	}
	w = waiter{q.put, make(chan struct{})}
	q.waiters = append(q.waiters, w)
	return w, q.began.Add(patience)
}

func (q *Queue) forget(w waiter) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.waiters {
		if q.waiters[i].over == w.over {
			q.waiters = append(q.waiters[:i], q.waiters[i+1:]...)
			return
		}
	}
}
