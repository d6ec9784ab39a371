// Package pool runs many short tasks on few goroutines. Any task may block for as long as it likes.
package pool

import (
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/actor/internal/fifo"
)

// Task is what a Pool runs. Run may block, panic or leave its goroutine as any function may; a panic is not recovered.
type Task interface{ Run() }

// Pool begins tasks in the order in which they came. As many run at once as there are processors, besides those that
// block. The zero value works.
//
// The Pool does not measure whether a task blocks; it uses that Go's scheduler knows. While tasks wait, one worker, the
// scout, is on its way to them: started or woken, but perhaps not running yet. Before a worker runs a task while others
// wait, it sends the next scout. If its task blocks, the scout gets the processor and takes the next task at once. If not,
// the worker comes back and takes the next task itself, before the scout has run. So a thousand tasks that do not block
// cost the start of one goroutine for each processor, and a thousand that block cost one for each task. There are never
// more workers than tasks that have begun and not ended, and the scout, and the idle workers.
//
// While tasks wait and all processors are busy, the workers take them for a portion of time: two milliseconds, or eight tasks if
// that is longer. Then one of them stops, and the scout, before it takes a task, lets others run: those that can, and those whose bytes
// have come. If that takes as long as a portion, the other workers stop, too. The next portion is as long as the pause was, up to a
// second, so neither tasks nor others wait for all that there is of the other kind.
//
// Workers without a task are kept idle, at most 16 for each processor: a new goroutine has a small stack, and to let it
// grow costs three times what it takes to wake an old one. They end when they were not needed for 100 to 200 ms, or at
// Close. In a bubble of testing/synctest, Close the Pool before the bubble's first goroutine returns.
type Pool struct {
	mu     sync.Mutex
	tasks  fifo.Queue[Task]
	scout  bool // a worker is on its way and has not looked at tasks yet; always so while tasks wait
	closed bool
	pause  pause     // of the scout, which is on its way
	idle   []*worker // the one that has been idle longest first
	max    int       // how many may be idle; set with the first
	low    int       // the least number of idle workers since sweep ran: so many were not needed
	sweeps *time.Timer
	timed  bool // sweep will run; always so while workers are idle

	began   time.Time     // of the portion; zero: nobody has looked since no task has waited
	portion time.Duration // how long it is, if more than shortPortion
	poller  *poller       // made when it is needed
}

// idlePerProcessor is how many workers may be idle for each processor: many short connections at once need that many.
const idlePerProcessor = 16

const period = 100 * time.Millisecond // of sweep

const (
	shortPortion = 2 * time.Millisecond
	longPortion  = time.Second

	// tasksPerLook is how many tasks a worker runs between two looks at the clock.
	tasksPerLook = 8
)

// pause says whether others are to run before the scout takes a task.
type pause uint8

const (
	noPause pause = iota
	asked         // the portion is over
	pausing       // the scout lets others run
)

type worker struct {
	pool *Pool
	wake chan bool // cap 1; true: be the scout, false: end
	ran  int       // tasks since it has looked at the clock
}

var segments fifo.Segments[Task]

// Go has t run soon. It does not block, and it does not run t itself.
func (p *Pool) Go(t Task) {
	p.mu.Lock()
	p.tasks.Push(&segments, t)
	if p.scout {
		p.mu.Unlock()
		return
	}
	p.sendScoutAndUnlock()
}

// Close ends the idle workers, and keeps none from now on, until Open. Tasks are run as before.
func (p *Pool) Close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.low, p.closed, p.timed = nil, 0, true, false
	poller := p.poller
	p.poller = nil
	if p.sweeps != nil {
		p.sweeps.Stop()
	}
	p.mu.Unlock()
	if poller != nil {
		poller.close() // waits for the scout, if that is polling
	}
	for _, w := range idle {
		w.wake <- false
	}
}

// Open keeps idle workers again, after Close.
func (p *Pool) Open() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = false
}

// Idle is how many workers are kept for tasks to come.
func (p *Pool) Idle() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle)
}

// sendScoutAndUnlock starts or wakes the next scout; it unlocks p.mu. It wakes the worker that became idle last, so that
// those which are not needed stay idle, and sweep ends them.
func (p *Pool) sendScoutAndUnlock() {
	p.scout = true
	n := len(p.idle) - 1
	if n < 0 {
		p.mu.Unlock()
		go (&worker{pool: p}).work()
		return
	}
	w := p.idle[n]
	p.idle[n] = nil
	p.idle = p.idle[:n]
	p.low = min(p.low, n)
	p.mu.Unlock()
	w.wake <- true
}

// keepIdle adds w to the idle workers, if there may be one more; p.mu is held.
func (p *Pool) keepIdle(w *worker) bool {
	if p.max == 0 {
		p.max = idlePerProcessor * runtime.GOMAXPROCS(0)
	}
	if p.closed || len(p.idle) >= p.max {
		return false
	}
	if w.wake == nil {
		w.wake = make(chan bool, 1)
	}
	p.idle = append(p.idle, w)
	if !p.timed {
		p.timed = true
		if p.sweeps == nil {
			p.sweeps = time.AfterFunc(period, p.sweep)
		} else {
			p.sweeps.Reset(period)
		}
	}
	return true
}

// sweep ends the workers that have been idle since it ran last.
func (p *Pool) sweep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.idle[:p.low] {
		w.wake <- false // does not block: it is empty while its worker is idle
	}
	p.idle = slices.Delete(p.idle, 0, p.low)
	p.low = len(p.idle)
	if p.timed = p.low > 0; p.timed {
		p.sweeps.Reset(period)
	}
}

// work begins as the scout. A task may end its goroutine: the worker that runs it is neither the scout nor idle, so
// nothing has to be put right.
func (w *worker) work() {
	scout := true
	for {
		t := w.next(scout)
		if t == nil {
			return
		}
		scout = false
		t.Run()
	}
}

// next takes a task, or waits idle until there is one; nil: the worker must end. It sends the next scout when more wait.
func (w *worker) next(scout bool) Task {
	p := w.pool
	for {
		p.mu.Lock()
		if scout {
			if p.pause == asked {
				p.letOthersRun()
			}
			p.scout = false
		}
		if w.portionOver() {
			p.pause = max(p.pause, asked)
		} else {
			t, ok := p.tasks.Pop(&segments)
			if p.tasks.Len() == 0 {
				p.began, p.portion = time.Time{}, 0
			}
			if ok {
				if p.tasks.Len() > 0 && !p.scout {
					p.sendScoutAndUnlock()
				} else {
					p.mu.Unlock()
				}
				return t
			}
		}
		kept := p.keepIdle(w)
		p.mu.Unlock()
		if !kept {
			return nil
		}
		if scout = <-w.wake; !scout {
			return nil
		}
	}
}

// portionOver tells whether w is to stop, since tasks have waited for long enough while all processors were busy: then the scout is
// still on its way. p.mu is held.
func (w *worker) portionOver() bool {
	p := w.pool
	if !p.scout || p.tasks.Len() == 0 {
		return false
	}
	if p.began.IsZero() {
		p.began = time.Now()
	}
	if w.ran++; w.ran < tasksPerLook {
		return false
	}
	w.ran = 0
	return p.pause != asked && time.Since(p.began) >= max(p.portion, shortPortion)
}

// letOthersRun is called by the scout. It is on its way as long as it takes, so each task that comes finds one. p.mu is held,
// except meanwhile.
func (p *Pool) letOthersRun() {
	began := time.Now()
	p.pause, p.began = pausing, began
	if p.poller == nil && !p.closed {
		p.poller = newPoller()
	}
	poller := p.poller
	p.mu.Unlock()
	if poller != nil {
		poller.poll()
	}
	runtime.Gosched() // after those that the poller has found
	p.mu.Lock()
	p.pause, p.began = noPause, time.Now()
	p.portion = min(p.began.Sub(began), longPortion)
}
