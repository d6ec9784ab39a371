package supervisor

import (
	"errors"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
)

// dynService is a service of a Dynamic, through all its lives. Each life is a goroutine, which at its end decides what
// comes next.
type dynService struct {
	dynChild // whose mu guards what follows
	service  Service
	shutdown time.Duration

	life    *life // nil before the first one
	resting bool  // between two lives, or after the last
	isReady bool
	told    bool // to stop
	killed  bool
	clock   *time.Timer  // of its end
	waits   chan<- error // for the error of Start; nil when Start has returned
	left    error        // the error of Stop
}

// startService is Dynamic.Start.
func (p *pool) startService(id string, s Service) error {
	if err := p.reserve(); err != nil {
		return err
	}
	started := make(chan error, 1)
	c := &dynService{dynChild: p.newChild(id), service: s, shutdown: shutdownOf(s, p.d.cfg.Shutdown), waits: started}
	p.services.Add(1)
	if _, err := p.enter(id, c); err != nil {
		p.services.Add(-1)
		p.release()
		return err
	}
	c.start()
	return <-started
}

// start begins a life, or ends the child when it is to stop.
func (c *dynService) start() {
	c.mu.Lock()
	if c.stopped {
		c.mu.Unlock()
		c.strikeOff(ErrTerminated)
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

// answer is what Start returns; c.mu is held.
func (c *dynService) answer(err error) {
	if c.waits != nil {
		c.waits <- err // has room for one
		c.waits = nil
	}
}

// ready implements owner.
func (c *dynService) ready(l *life) {
	c.mu.Lock()
	first := !c.over && c.life == l && !c.isReady && !c.told
	if first {
		c.isReady, c.failures = true, 0
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
	ready, first, told, restarts := c.isReady, c.waits != nil, c.told, c.restarts
	c.mu.Unlock()
	if judged := ignoreTaken(reason); !told && judged != reason {
		reason, kind = judged, exit.Normal
	}
	c.event(Event{Kind: EventExited, PID: l.currentPID(), Reason: reason, ExitKind: kind, Restarts: restarts})
	ignored := errors.Is(reason, exit.ErrIgnore)
	switch {
	case told:
		c.noteLeft(reason)
		c.strikeOff(ErrTerminated)
		return
	case first && (kind != exit.Normal || c.p.d.cfg.Restart == Permanent || ignored):
		if kind == exit.Normal && !ignored {
			reason = errors.Join(errEarly, reason)
		}
		c.strikeOff(&StartError{Supervisor: c.p.d.rep.name, Child: c.id, Err: reason})
		return
	}
	v, wait := c.after(reason, kind, ready || first)
	switch {
	case v == restart:
		c.start()
	case v == retry && c.later(wait, c.start):
	default:
		c.strikeOff(nil)
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

// strikeOff removes the child from the Dynamic. err is for a Start that still waits.
func (c *dynService) strikeOff(err error) {
	c.mu.Lock()
	over := c.over
	c.answer(err)
	c.mu.Unlock()
	if !over {
		c.p.services.Add(-1)
		c.finish()
	}
}

func (c *dynService) info() ChildInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	state, pid := StateStarting, c.life.currentPID()
	switch {
	case c.told:
		state = StateStopping
	case c.resting:
		state, pid = StateRestarting, actor.PID{}
	case c.isReady:
		state = StateRunning
	}
	return ChildInfo{ID: c.id, PID: pid, State: state, Restarts: c.restarts}
}

func (c *dynService) patience() time.Duration { return c.shutdown }

// sweep tells the service to stop, or kills it, and sets the clock.
func (c *dynService) sweep(kill bool) {
	if c.stop() {
		c.strikeOff(ErrTerminated)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.killed || c.told && !kill {
		return
	}
	c.told = true
	if c.life == nil || c.resting { // what comes next looks at stopped
		return
	}
	if kill || c.shutdown == Kill {
		c.kill()
		return
	}
	if c.shutdown != Infinity {
		c.clock = time.AfterFunc(c.shutdown, c.due)
	}
	c.life.stop(exit.ErrShutdown)
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
	c.strikeOff(err)
}

// end implements Dynamic.Stop.
func (c *dynService) end() error {
	c.sweep(false)
	<-c.done
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.left
}
