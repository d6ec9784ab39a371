package supervisor

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
)

// dynActor is a process of a Dynamic, through all its incarnations. It runs on goroutines of the System; only a restart,
// which waits for an Init, has one of its own, while it lasts.
type dynActor struct {
	p        *pool
	sys      *actor.System
	newActor func() actor.Actor
	o        actor.SpawnOptions

	mu       sync.Mutex
	pid      actor.PID // of the last incarnation
	restarts int
	stopped  bool // by Stop
	over     bool
	done     chan struct{} // closed at the end; made by the first Stop
}

// spawn is Dynamic.Spawn.
func (p *pool) spawn(sys *actor.System, newActor func() actor.Actor, o actor.SpawnOptions) (pid actor.PID, err error) {
	if err = p.reserve(); err != nil {
		return pid, err
	}
	handedOver := false
	defer func() {
		if !handedOver { // newActor may have left the goroutine
			p.release()
		}
	}()
	p.systems.LoadOrStore(sys, nil)
	c := &dynActor{p: p, sys: sys, newActor: newActor, o: o}
	switch d := p.d.cfg.Shutdown; {
	case d == Infinity || d > 0:
		c.o.Shutdown = d
	case d == 0 && o.Shutdown == 0:
		c.o.Shutdown = defaultShutdown
	}
	if pid, err = c.start(); err != nil {
		return pid, err
	}
	handedOver = true
	return pid, nil
}

// start spawns an incarnation. When it succeeds, ended has the child from then on.
func (c *dynActor) start() (actor.PID, error) {
	var begun atomic.Pointer[actor.PID]
	i := &incarnation{
		begun: func(pid actor.PID) error { begun.Store(&pid); return c.begun(pid) },
		gone:  c.gone,
		ended: c.ended,
	}
	err := i.spawn(context.Background(), c.sys, c.newActor, c.o)
	pid := begun.Load()
	switch {
	case err == nil:
		return *pid, nil
	case errors.Is(err, ErrNotRunning):
		return actor.PID{}, ErrNotRunning
	case pid != nil:
		c.p.event(Event{Kind: EventExited, PID: *pid, Reason: err, ExitKind: exit.KindOf(err)}, pid.String)
	}
	return actor.PID{}, &StartError{Supervisor: c.p.d.rep.name, Child: c.name(), Err: err}
}

// name is how errors call a child that may have no PID.
func (c *dynActor) name() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.pid != actor.PID{}:
		return c.pid.String()
	case c.o.Label != "":
		return c.o.Label
	}
	return "actor"
}

// begun takes an incarnation in, before its Init. A Stop or a shutdown at the same moment finds the new PID, or is found
// here: each has said what it wants before it looks.
func (c *dynActor) begun(pid actor.PID) error {
	c.mu.Lock()
	c.pid = pid
	stopped, restarts := c.stopped, c.restarts
	c.mu.Unlock()
	if stopped {
		return ErrTerminated
	}
	q := partOf(c.p, pid)
	q.mu.Lock()
	closed := q.closed
	if !closed {
		q.actors.Put(pid, c)
	}
	q.mu.Unlock()
	if closed {
		return ErrNotRunning
	}
	kind := EventStarted
	if restarts > 0 {
		kind = EventRestarted
	}
	c.p.event(Event{Kind: kind, PID: pid, Restarts: restarts}, pid.String)
	return nil
}

// gone strikes an incarnation off.
func (c *dynActor) gone(pid actor.PID) { partOf(c.p, pid).gone(pid) }

// ended decides what comes after an incarnation. It runs in the exit hook, and so must not wait for anything.
func (c *dynActor) ended(reason error) {
	c.mu.Lock()
	pid, restarts, told := c.pid, c.restarts, c.stopped
	c.mu.Unlock()
	kind := exit.KindOf(reason)
	if told || c.p.closed.Load() {
		kind = kindOfTold(reason)
	}
	c.p.event(Event{Kind: EventExited, PID: pid, Reason: reason, ExitKind: kind, Restarts: restarts}, pid.String)
	if !told && c.p.d.cfg.Restart.wants(kind) && c.p.mayRestart(pid.String, reason) {
		go c.restart(pid)
		return
	}
	c.finish()
}

// restart starts the child again. The pool waits for the goroutine, since the child is counted until finish.
func (c *dynActor) restart(old actor.PID) {
	handedOver := false
	defer func() {
		if !handedOver {
			c.finish()
		}
	}()
	_, _ = actor.Wait(context.Background(), old) // for the exit hooks that free the names it will want
	for {
		c.mu.Lock()
		c.restarts++
		stopped := c.stopped
		c.mu.Unlock()
		if stopped {
			return
		}
		_, err := c.start()
		if err == nil {
			handedOver = true
			return
		}
		if errors.Is(err, ErrNotRunning) || errors.Is(err, ErrTerminated) || !c.p.mayRestart(c.name, err) {
			return
		}
	}
}

func (c *dynActor) finish() {
	c.mu.Lock()
	c.over = true
	if c.done != nil {
		close(c.done)
	}
	c.mu.Unlock()
	c.p.release()
}

func (c *dynActor) info() ChildInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	state := StateRunning
	if c.stopped || c.p.closed.Load() {
		state = StateStopping
	}
	return ChildInfo{ID: c.pid.String(), PID: c.pid, State: state, Restarts: c.restarts}
}

func (c *dynActor) patience() time.Duration {
	if d := c.p.d.cfg.Shutdown; d != 0 {
		return d
	}
	return max(c.o.Shutdown, Infinity)
}

func (c *dynActor) sweep(kill bool) {
	c.mu.Lock()
	pid := c.pid
	c.mu.Unlock()
	if kill {
		pid.Exit(exit.ErrKilled)
		return
	}
	pid.Exit(exit.ErrShutdown)
}

// stop is Dynamic.Stop. The process keeps to its shutdown time by itself.
func (c *dynActor) stop() error {
	c.mu.Lock()
	c.stopped = true
	if c.over {
		c.mu.Unlock()
		return nil
	}
	if c.done == nil {
		c.done = make(chan struct{})
	}
	c.mu.Unlock()
	c.sweep(c.p.d.cfg.Shutdown == Kill)
	ctx := context.Background()
	if d := c.patience(); d != Infinity {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, max(d, 0)+2*killGrace)
		defer cancel()
	}
	select {
	case <-c.done:
		c.mu.Lock()
		pid := c.pid
		c.mu.Unlock()
		_, _ = actor.Wait(ctx, pid)
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return &AbandonedError{Supervisor: c.p.d.rep.name, Children: []string{c.name()}}
	}
	return nil
}
