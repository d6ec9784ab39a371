package supervisor

import (
	"cmp"
	"context"
	"errors"
	"sync/atomic"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
)

// dynActor is a process of a Dynamic, through all its incarnations. It runs on goroutines of the System; only a
// restart, which waits for an Init, has one of its own, while it lasts.
type dynActor struct {
	dynChild // whose mu guards pid, too
	sys      *actor.System
	newActor func() actor.Actor
	o        actor.SpawnOptions
	pid      actor.PID // of the last incarnation
}

// spawn is Dynamic.Spawn.
func (r *dynamicRun) spawn(ctx context.Context, id string, sys *actor.System, newActor func() actor.Actor, o actor.SpawnOptions) (pid actor.PID, err error) {
	if err = r.reserve(); err != nil {
		return pid, err
	}
	c := &dynActor{sys: sys, newActor: newActor, o: o}
	switch d := r.d.cfg.Shutdown; {
	case d == Infinity || d > 0:
		c.o.Shutdown = d
	case d == 0 && o.Shutdown == 0:
		c.o.Shutdown = defaultShutdown
	}
	shutdown := max(c.o.Shutdown, Infinity)
	if r.d.cfg.Shutdown == Kill {
		shutdown = Kill
	}
	c.dynChild = dynChild{run: r, self: c, id: id, course: course{yields: true, shutdown: shutdown}}
	if c.o.Label == "" {
		c.o.Label = id
	}
	if id != "" {
		if present, err := r.enter(id, &c.dynChild); err != nil {
			r.release(false)
			if present != nil {
				pid = present.info().PID
			}
			return pid, err
		}
	}
	handedOver := false
	defer func() {
		if !handedOver { // newActor may have ended the goroutine
			c.strikeOff()
		}
	}()
	pid, handedOver, err = c.start(ctx)
	return pid, err
}

// start spawns an incarnation. When owned is true, ended or late has the child from then on: it is when the spawn
// succeeds, and when ctx was done while an Init was running.
func (c *dynActor) start(ctx context.Context) (_ actor.PID, owned bool, err error) {
	var begun atomic.Pointer[actor.PID]
	i := &incarnation{
		judge: ignoreTaken,
		begun: func(pid actor.PID) error {
			err := c.begun(pid)
			if err == nil {
				begun.Store(&pid)
			}
			return err
		},
		gone:  c.gone,
		ended: c.ended,
	}
	if err = i.spawn(ctx, c.sys, c.newActor, c.o); err == nil {
		pid := *begun.Load()
		c.mu.Lock()
		if c.pid == pid && !c.idle { // else that life is over already
			c.becameReady()
		}
		c.mu.Unlock()
		return pid, true, nil
	}
	if owned = i.giveUp(c.late); owned {
		c.sweep(false)
	}
	switch pid := begun.Load(); {
	case errors.Is(err, ErrNotRunning):
		return actor.PID{}, owned, ErrNotRunning
	case pid != nil && !owned:
		c.event(Event{Kind: EventExited, PID: *pid, Reason: err, ExitKind: exit.KindOf(err)})
	}
	return actor.PID{}, owned, &StartError{Supervisor: c.run.d.rep.name, Child: cmp.Or(c.name(), c.o.Label, "actor"), Err: err}
}

// late is for the end of an incarnation whose Spawn was given up while its Init was running. Until then it is a child
// like any other: its id is in use, and the shutdown waits for it.
func (c *dynActor) late(reason error) {
	c.mu.Lock()
	pid, wasAbandoned := c.pid, c.stage == abandoned
	c.mu.Unlock()
	if !wasAbandoned {
		c.event(Event{Kind: EventExited, PID: pid, Reason: reason, ExitKind: kindOfTold(reason)})
	}
	c.strikeOff()
}

// begun takes an incarnation in, before its Init. A Stop or a shutdown at the same moment finds the new PID, or is
// found here: each has said what it wants before it looks.
func (c *dynActor) begun(pid actor.PID) error {
	if err := c.takeIn(pid); err != nil {
		return err
	}
	c.mu.Lock()
	stopped, restarts := c.stage != alive, c.restarts
	c.mu.Unlock()
	switch {
	case c.run.closed.Load():
		return ErrNotRunning
	case stopped:
		return ErrTerminated
	}
	kind := EventStarted
	if restarts > 0 {
		kind = EventRestarted
	}
	c.event(Event{Kind: kind, PID: pid, Restarts: restarts})
	return nil
}

// takeIn notes the PID, and takes the child in under it if it has no id.
func (c *dynActor) takeIn(pid actor.PID) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.stage == abandoned && c.run.closed.Load(): // newActor has taken too long
		return ErrNotRunning
	case c.stage == abandoned:
		return ErrTerminated
	case c.over: // it was killed at this moment
		return exit.ErrKilled
	case c.id == "":
		if _, err := c.run.enter(pid.String(), &c.dynChild); err != nil {
			return err
		}
		c.id = pid.String()
	}
	c.pid, c.idle = pid, false
	return nil
}

// gone notes that an incarnation is about to end.
func (c *dynActor) gone(pid actor.PID) { partOf(c.run, pid).gone(pid) }

// ended decides what comes after an incarnation. It runs in the exit hook, and so must not wait for anything.
func (c *dynActor) ended(reason error) {
	c.mu.Lock()
	pid := c.pid
	c.mu.Unlock()
	was, restarts := c.lifeOver()
	if was.stage == abandoned {
		c.strikeOff()
		return
	}
	kind := exit.KindOf(reason)
	if was.stage != alive || c.run.closed.Load() {
		kind = kindOfTold(reason)
	}
	c.event(Event{Kind: EventExited, PID: pid, Reason: reason, ExitKind: kind, Restarts: restarts})
	if was.stage == alive {
		if v, _ := c.after(reason, kind, true); v == restart {
			go c.restart(pid)
			return
		}
	}
	c.strikeOff()
}

// restart starts the child again, after an incarnation or after a failed start. The pool waits for the goroutine, since
// the child counts until strikeOff.
func (c *dynActor) restart(old actor.PID) {
	handedOver := false
	defer func() {
		if !handedOver {
			c.strikeOff()
		}
	}()
	_, _ = actor.Wait(context.Background(), old) // for the exit hooks that free the names it will want
	c.mu.Lock()
	stopped := c.stage != alive
	c.mu.Unlock()
	if stopped {
		return
	}
	_, owned, err := c.start(context.Background())
	if handedOver = owned; owned {
		return
	}
	c.mu.Lock()
	c.idle = true
	c.mu.Unlock()
	if errors.Is(err, ErrNotRunning) || errors.Is(err, ErrTerminated) {
		return
	}
	var failed *StartError
	if errors.As(err, &failed) {
		err = failed.Err
	}
	if v, wait := c.after(err, exit.KindOf(err), false); v == retry {
		handedOver = c.later(wait, func() { c.restart(old) })
	}
}

// finish implements member. Whoever waits for a start is Spawn, which hears of it from its own.
func (c *dynActor) finish(error) { c.strikeOff() }

// tell implements member. The process keeps to its shutdown time by itself; the clock of the child is for one that is
// stuck.
func (c *dynActor) tell(reason error) {
	if reason == nil {
		return
	}
	c.mu.Lock()
	pid := c.pid
	c.mu.Unlock()
	pid.Exit(reason)
}

func (c *dynActor) process() actor.PID { return c.pid }

// awaitDead waits for the exit hooks, which free names.
func (c *dynActor) awaitDead() bool {
	ctx, cancel := context.WithTimeout(context.Background(), killGrace)
	defer cancel()
	c.mu.Lock()
	pid := c.pid
	c.mu.Unlock()
	_, _ = actor.Wait(ctx, pid)
	return ctx.Err() == nil
}
