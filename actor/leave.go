package actor

// leave is the last part of the end: the exit hooks run, ctx is done, the monitors get Down, the parent is told. Whoever has
// set stateLeaving calls it, once, with leader 0. Whoever has counted leader up calls it with that, and goes on with the
// next hook.
func (p *process) leave(reason error, leader uint32) {
	p.mu.Lock()
	for p.leader() == leader { // else the hook took too long, and another goroutine has taken over
		f := p.nextExitHook()
		if f == nil {
			p.dieAndUnlock(reason)
			return
		}
		p.mu.Unlock()
		p.runExitHook(f, reason, leader)
		p.mu.Lock()
	}
	p.mu.Unlock()
}

// leader is that of the clock; p.mu is held.
func (p *process) leader() uint32 {
	if c := p.clock(); c != nil {
		return c.leader
	}
	return 0
}

// dieAndUnlock is leave after the exit hooks; it unlocks p.mu.
func (p *process) dieAndUnlock(reason error) {
	p.state = stateDead
	var dead chan struct{}
	if c := p.clock(); c != nil {
		dead = c.dead
		p.terms.ends.leave(c)
		if c.timer != nil {
			c.timer.Stop()
		}
	}
	r := p.relation
	p.relation = nil
	var spawner chan bool // waits for an Init that will not return nil any more
	if !p.hosted && !p.started {
		spawner = p.own.slot
	}
	p.mu.Unlock()
	was := p.sys.remove(p)
	defer p.tellEnd(r, reason, spawner, dead) // also when a method of reason ends the goroutine
	if was {
		p.sys.ended(p, reason)
	}
}

// tellEnd is dieAndUnlock after the process is out of all tables and counted.
func (p *process) tellEnd(r *relations, reason error, spawner chan bool, dead chan struct{}) {
	if c := p.real.Load(); c != nil {
		c.cancel(reason)
	}
	if spawner != nil {
		spawner <- false
	}
	if r != nil {
		p.endRelations(r, reason)
	}
	p.logEnd(reason)
	if parent := p.parent(); parent != nil {
		parent.childEnded(p, reason)
	}
	defer func() { // after a runtime.Goexit in Gone, too
		p.sys.gone()
		if dead != nil {
			close(dead)
		}
	}()
	if p.hosted {
		p.host.Gone()
	}
}

// endRelations ends the relations of a dead process: its timers, the Calls it has not answered, and the monitors.
func (p *process) endRelations(r *relations, reason error) {
	for t := range r.timers.All() {
		t.t.Stop()
	}
	for c := range r.calls.All() {
		c.fail(ErrNoProcess)
	}
	for m := range r.watching.All() {
		m.forget()
	}
	for m := range r.watchers.All() {
		if m.watcher != nil {
			m.down(reason)
		}
	}
	for m := range r.watchers.All() { // after the Downs: when a Wait returns, they are in the mailboxes
		if m.watcher == nil {
			m.down(reason)
		}
	}
}

// childEnded tells the parent of a child's end. There is no Down for a child that never started: Spawn returns its error.
func (p *process) childEnded(c *process, reason error) {
	p.mu.Lock()
	if r := p.relation; r != nil {
		r.children.Delete(c)
		if r.children.Len() == 0 && r.childGone != nil {
			close(r.childGone)
			r.childGone = nil
		}
	}
	p.mu.Unlock()
	if c.hasStarted() {
		p.post(item{kind: kindDown, msg: Down{PID: c.pid(), Reason: reason}})
	}
}
