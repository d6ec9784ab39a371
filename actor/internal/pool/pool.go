// Package pool runs many short tasks on few goroutines, of which any may block for as long as it likes.
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

// Pool runs tasks in the order they came, as many at once as block and as there are processors. The zero value works.
//
// Nothing measures whether a task blocks; the scheduler of Go knows. While tasks wait, one worker, the scout, is on its
// way to them: started or woken, but perhaps not running yet. Before a worker runs a task while others wait behind it, it
// appoints the next scout. So when its task blocks, the scout gets the processor and takes the next one, at once;
// and when it does not, the worker comes back and takes the next one itself, while the scout has not moved. A thousand
// tasks that do not block cost the start of one goroutine for each processor, and a thousand that do, one for each of
// them. There are never more workers than tasks that have begun and not ended, the scout, and those at rest.
//
// Workers without a task rest, at most 16 for each processor: a new goroutine has a small stack, and to let it grow
// costs three times what it takes to wake an old one. They go when they were not needed for 100 to 200 ms, or at Close.
// In a bubble of testing/synctest, Close the Pool before the bubble's first goroutine returns.
type Pool struct {
	mu     sync.Mutex
	tasks  fifo.Queue[Task]
	scout  bool // a worker is on its way and has not looked at tasks yet; always so while tasks wait
	closed bool
	idle   []*worker // the one that rests longest first
	max    int       // of idle; set with the first
	low    int       // the least that idle has had since sweep ran: so many were not needed
	sweeps *time.Timer
	timed  bool // sweep will run; always so while workers rest
}

// restPerProcessor is how many workers rest at most for each processor: a storm of short connections needs that many.
const restPerProcessor = 16

const period = 100 * time.Millisecond // of sweep

type worker struct {
	pool *Pool
	wake chan bool // cap 1; true: be the scout, false: go
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

// Close ends the workers that rest, and lets none rest from now on, or until Open. Tasks are run as before.
func (p *Pool) Close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.low, p.closed, p.timed = nil, 0, true, false
	if p.sweeps != nil {
		p.sweeps.Stop()
	}
	p.mu.Unlock()
	for _, w := range idle {
		w.wake <- false
	}
}

// Open lets workers rest again, after Close.
func (p *Pool) Open() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = false
}

// sendScoutAndUnlock appoints the next scout; it unlocks p.mu. The warmest worker is woken, so that the others keep
// their rest.
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

// rest puts w to those that rest, if it may; p.mu is held.
func (p *Pool) rest(w *worker) bool {
	if p.max == 0 {
		p.max = restPerProcessor * runtime.GOMAXPROCS(0)
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

// sweep ends the workers that have rested since it ran last.
func (p *Pool) sweep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.idle[:p.low] {
		w.wake <- false // cap 1, and empty while it rests
	}
	p.idle = slices.Delete(p.idle, 0, p.low)
	p.low = len(p.idle)
	if p.timed = p.low > 0; p.timed {
		p.sweeps.Reset(period)
	}
}

// work begins as the scout. A task that ends its goroutine takes nothing along: the worker that runs it is neither the
// scout nor at rest.
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

// next takes a task, or rests until there is one; nil: the worker must go. It sends the next scout when more wait.
func (w *worker) next(scout bool) Task {
	p := w.pool
	for {
		p.mu.Lock()
		if scout {
			p.scout = false
		}
		t, ok := p.tasks.Pop(&segments)
		if ok {
			if p.tasks.Len() > 0 && !p.scout {
				p.sendScoutAndUnlock()
			} else {
				p.mu.Unlock()
			}
			return t
		}
		rests := p.rest(w)
		p.mu.Unlock()
		if !rests {
			return nil
		}
		if scout = <-w.wake; !scout {
			return nil
		}
	}
}
