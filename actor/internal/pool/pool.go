// Package pool runs many short tasks on few goroutines, of which any may block for as long as it likes.
package pool

import (
	"sync"

	"github.com/troupe-dev/troupe/actor/internal/fifo"
)

// Task is what a Pool runs. Run may block, panic or leave its goroutine as any function may; a panic is not recovered.
type Task interface{ Run() }

// Pool runs tasks in the order they came, as many at once as block and as there are processors. The zero value works.
// It has no goroutine while it has no task.
//
// Nothing measures whether a task blocks; the scheduler of Go knows. While tasks wait, one worker, the scout, is on its
// way to them: started, but perhaps not running yet. Before a worker runs a task while others wait behind it, it
// appoints the next scout. So when its task blocks, the scout gets the processor and takes the next one, at once;
// and when it does not, the worker comes back and takes the next one itself, while the scout has not moved. A thousand
// tasks that do not block cost the start of one goroutine for each processor, and a thousand that do, one for each of
// them. There are never more workers than tasks that have begun and not ended, and the scout.
type Pool struct {
	mu    sync.Mutex
	tasks fifo.Queue[Task]
	scout bool   // a worker has been started and has not looked at tasks yet; always so while tasks wait
	start func() // work; made once, for a go statement allocates for a method
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
	p.scout = true
	if p.start == nil {
		p.start = p.work
	}
	start := p.start
	p.mu.Unlock()
	go start()
}

// work is a worker; it begins as the scout. A task that ends its goroutine takes nothing along: the worker
// that runs it is not the scout any more.
func (p *Pool) work() {
	scout := true
	for {
		t, more := p.next(scout)
		if t == nil {
			return
		}
		scout = false
		if more {
			go p.start()
		}
		t.Run()
	}
}

// next takes a task, nil when none waits. The caller must start the next scout when more is set.
func (p *Pool) next(scout bool) (t Task, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if scout {
		p.scout = false
	}
	t, _ = p.tasks.Pop(&segments)
	more = p.tasks.Len() > 0 && !p.scout
	if more {
		p.scout = true
	}
	return t, more
}
