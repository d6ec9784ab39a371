package supervisor

import (
	"cmp"
	"context"

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
func (r *dynamicRun) spawn(ctx context.Context, id string, sys *actor.System, newActor func() actor.Actor, o actor.SpawnOptions) (actor.PID, error) {
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
	if c.o.Label == "" {
		c.o.Label = id
	}
	c.dynChild = dynChild{run: r, self: c, id: id, course: course{yields: true, shutdown: shutdown}}
	return c.startFirst(ctx)
}

// begin implements member: it spawns an incarnation.
func (c *dynActor) begin(ctx context.Context) {
	i := &incarnation{owner: c, ignores: true}
	if err := i.spawn(ctx, c.sys, c.newActor, c.o); err != nil && !i.willEnd() {
		c.lifeEnded(lifeEnd{reason: err, kind: exit.KindOf(err), unseen: true})
	}
}

// begun implements processOwner: it takes an incarnation in, before its Init. A Stop or a shutdown at the same moment
// finds the new PID, or is found here: each has said what it wants before it looks.
func (c *dynActor) begun(pid actor.PID) error {
	if err := c.takeIn(pid); err != nil {
		return err
	}
	c.mu.Lock()
	stopped, restarts := c.stage != alive, c.restarts
	c.mu.Unlock()
	if stopped || c.run.closed.Load() {
		return c.whyTold()
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
	case c.stage == abandoned: // newActor has taken too long
		return c.whyTold()
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

// ready implements processOwner.
func (c *dynActor) ready(pid actor.PID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pid == pid && !c.idle && c.becameReady() {
		c.answer(pid, nil)
	}
}

// gone implements processOwner.
func (c *dynActor) gone(pid actor.PID) { partOf(c.run, pid).gone(pid) }

// ended implements processOwner. It runs in the exit hook, and so must not wait for anything.
func (c *dynActor) ended(pid actor.PID, reason error, begun bool) {
	c.lifeEnded(lifeEnd{pid: pid, reason: reason, kind: exit.KindOf(reason), unseen: !begun})
}

// again implements member. The run waits for the goroutine: the child counts until it is removed, or the next
// incarnation is.
func (c *dynActor) again(old actor.PID) { go c.restart(old) }

func (c *dynActor) restart(old actor.PID) {
	_, _ = actor.Wait(context.Background(), old) // for the exit hooks that free the names it will want
	c.mu.Lock()
	stopped := c.stage != alive
	c.mu.Unlock()
	if stopped {
		c.finish(c.whyTold())
		return
	}
	c.beginHere(context.Background())
}

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

func (c *dynActor) title() string { return cmp.Or(c.o.Label, "actor") }

// describe implements member.
func (c *dynActor) describe(i *ChildInfo) {
	i.Kind = KindActor
	if p, err := actor.Inspect(i.PID); err == nil {
		i.Since = p.Since
	}
}

// conclude implements member: a process keeps nothing.
func (c *dynActor) conclude() bool { return false }

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
