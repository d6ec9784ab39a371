package supervisor

import (
	"errors"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/actor/exit"
)

// dynService is a service of a Dynamic, through all its lives. Each life is a goroutine, which at its end decides what
// comes next.
type dynService struct {
	p        *pool
	id       string
	service  Service
	shutdown time.Duration
	done     chan struct{} // closed when it has ended for good, or was left

	mu       sync.Mutex
	life     *life // nil before the first one
	resting  bool  // between two lives, or after the last
	isReady  bool
	stopped  bool // no life is to begin any more
	told     bool // to stop
	killed   bool
	over     bool
	restarts int
	clock    *time.Timer  // of its end
	started  chan<- error // what Start says; nil when it has
	left     error        // what Stop says
}

// startService is Dynamic.Start.
func (p *pool) startService(id string, s Service) error {
	if err := p.reserve(); err != nil {
		return err
	}
	started := make(chan error, 1)
	c := &dynService{p: p, id: id, service: s, shutdown: shutdownOf(s, p.d.cfg.Shutdown), done: make(chan struct{}),
		started: started}
	q := partOf(p, id)
	q.mu.Lock()
	closed, present := q.closed, q.services.Has(id)
	if !closed && !present {
		p.services.Add(1)
		q.services.Put(id, c)
	}
	q.mu.Unlock()
	if closed || present {
		p.release()
		if present {
			return ErrAlreadyPresent
		}
		return ErrNotRunning
	}
	c.start()
	return <-started
}

// start begins a life, or ends the child when it is to stop.
func (c *dynService) start() {
	c.mu.Lock()
	if c.stopped {
		c.mu.Unlock()
		c.finish(ErrTerminated)
		return
	}
	l := newLife(c.p.base, c.id, c, c.shutdown, c.p.d.rep.log)
	c.life, c.isReady, c.resting = l, false, false
	restarts := c.restarts
	c.mu.Unlock()
	kind := EventStarted
	if restarts > 0 {
		kind = EventRestarted
	}
	c.event(Event{Kind: kind, Restarts: restarts})
	go l.run(c.service, !announces(c.service))
}

func (c *dynService) name() string { return c.id }

func (c *dynService) event(e Event) { c.p.event(e, c.name) }

// answer is what Start returns; c.mu is held.
func (c *dynService) answer(err error) {
	if c.started != nil {
		c.started <- err // has room for one
		c.started = nil
	}
}

// ready implements owner.
func (c *dynService) ready(l *life) {
	c.mu.Lock()
	first := !c.over && c.life == l && !c.isReady && !c.told
	if first {
		c.isReady = true
		c.answer(nil)
	}
	c.mu.Unlock()
	if first {
		c.event(Event{Kind: EventReady, PID: l.currentPID()})
	}
}

// ended implements owner.
func (c *dynService) ended(l *life, reason error, kind exit.Kind) {
	c.mu.Lock()
	if l.left {
		c.mu.Unlock()
		c.p.mu.Lock()
		delete(c.p.left, c)
		c.p.mu.Unlock()
		return
	}
	if c.clock != nil {
		c.clock.Stop()
	}
	c.resting = true
	wasReady, first, told, restarts := c.isReady, c.started != nil, c.told, c.restarts
	c.mu.Unlock()
	c.event(Event{Kind: EventExited, PID: l.currentPID(), Reason: reason, ExitKind: kind, Restarts: restarts})
	policy := c.p.d.cfg.Restart
	switch {
	case told:
		c.noteLeft(reason)
		c.finish(ErrTerminated)
	case first && (kind != exit.Normal || policy == Permanent):
		if kind == exit.Normal {
			reason = errors.Join(errEarly, reason)
		}
		c.finish(&StartError{Supervisor: c.p.d.rep.name, Child: c.id, Err: reason})
	case (policy.wants(kind) || !wasReady && kind != exit.Normal) && c.p.mayRestart(c.name, reason):
		c.mu.Lock()
		c.restarts++
		c.mu.Unlock()
		c.start()
	default:
		c.finish(nil)
	}
}

// noteLeft notes who was abandoned below a supervisor.
func (c *dynService) noteLeft(reason error) {
	var below *AbandonedError
	if !errors.As(reason, &below) {
		return
	}
	left := &AbandonedError{Supervisor: c.p.d.rep.name}
	for _, id := range below.Children {
		left.Children = append(left.Children, c.id+"/"+id)
	}
	c.mu.Lock()
	c.left = left
	c.mu.Unlock()
	if c.p.closed.Load() {
		c.p.mu.Lock()
		c.p.leftBelow = append(c.p.leftBelow, left.Children...)
		c.p.mu.Unlock()
	}
}

// finish strikes the child off. err is for a Start that still waits.
func (c *dynService) finish(err error) {
	q := partOf(c.p, c.id)
	q.mu.Lock()
	q.services.Delete(c.id)
	q.mu.Unlock()
	c.mu.Lock()
	c.over = true
	c.answer(err)
	c.mu.Unlock()
	close(c.done)
	c.p.services.Add(-1)
	c.p.release()
}

func (c *dynService) info() ChildInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	state := StateStarting
	switch {
	case c.told:
		state = StateStopping
	case c.isReady:
		state = StateRunning
	}
	return ChildInfo{ID: c.id, PID: c.life.currentPID(), State: state, Restarts: c.restarts}
}

func (c *dynService) patience() time.Duration { return c.shutdown }

// sweep tells the service to stop, or kills it, and sets the clock.
func (c *dynService) sweep(kill bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.killed || c.told && !kill {
		return
	}
	c.told = true
	if c.life == nil || c.resting { // what comes next will see it
		c.stopped = true
		return
	}
	if kill || c.shutdown == Kill {
		c.kill()
		return
	}
	if c.shutdown != Infinity {
		c.clock = time.AfterFunc(c.shutdown, c.due)
	}
	c.life.stop()
}

// kill ends its time to stop; c.mu is held.
func (c *dynService) kill() {
	c.killed = true
	if c.clock != nil {
		c.clock.Stop()
	}
	if !supervises(c.service) { // that ends in time, since its children do
		c.clock = time.AfterFunc(killGrace, c.due)
	}
	c.life.kill()
}

// due is called when the clock has run out.
func (c *dynService) due() {
	c.mu.Lock()
	if c.over || c.resting || c.life.left {
		c.mu.Unlock()
		return
	}
	if !c.killed && announces(c.service) {
		c.kill()
		c.mu.Unlock()
		return
	}
	c.leave() // unlocks
}

// leave goes on without the service, whose Serve does not return; it unlocks c.mu.
func (c *dynService) leave() {
	l := c.life
	l.left = true
	err := &AbandonedError{Supervisor: c.p.d.rep.name, Children: []string{c.id}}
	c.left = err
	c.p.mu.Lock()
	c.p.left[c] = struct{}{}
	c.p.mu.Unlock()
	c.mu.Unlock()
	l.kill()
	c.event(Event{Kind: EventAbandoned, PID: l.currentPID(), Reason: err})
	c.finish(err)
}

// stop is Dynamic.Stop.
func (c *dynService) stop() error {
	c.mu.Lock()
	c.stopped = true
	c.mu.Unlock()
	c.sweep(false)
	<-c.done
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.left
}
