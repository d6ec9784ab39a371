package actor

// leave is the end itself: out of every name and group, ctx is done, Down to the monitors, the parent is told. Whoever has
// set stateLeaving calls it, once, with leader 0; whoever has counted leader up goes on from where it is.
func (p *process) leave(reason error, leader uint32) {
	p.mu.Lock()
	for p.leader == leader { // else what ran took too long, and another goroutine has gone on
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

// dieAndUnlock is leave after the exit hooks; it unlocks p.mu.
func (p *process) dieAndUnlock(reason error) {
	p.state = stateDead
	if p.clock != nil && p.clock.timer != nil {
		p.clock.timer.Stop()
	}
	r := p.relation
	p.relation = nil
	var spawner chan bool // waits for an Init that will not return nil any more
	if !p.hosted && !p.started {
		spawner = p.slot
	}
	p.mu.Unlock()
	p.sys.remove(p)
	if c := p.real.Load(); c != nil {
		c.cancel(reason)
	}
	if spawner != nil {
		spawner <- false
	}
	if r != nil {
		p.letGo(r, reason)
	}
	p.logEnd(reason)
	if p.parent != nil {
		p.parent.childEnded(p, reason)
	}
	defer p.sys.gone() // after a runtime.Goexit in the hook, too
	if p.hosted {
		p.host.Gone()
	}
}

// letGo dissolves the relations of a dead process.
func (p *process) letGo(r *relations, reason error) {
	for t := range r.timers.All() {
		t.t.Stop()
	}
	for c := range r.calls.All() {
		c.fail(ErrNoProcess)
	}
	for m := range r.watching.All() {
		m.target.forget(m)
	}
	for m := range r.watchers.All() {
		if m.watcher != nil {
			m.down(reason)
		}
	}
	for m := range r.watchers.All() { // whoever has waited finds all Downs in their mailboxes
		if m.watcher == nil {
			m.down(reason)
		}
	}
}

// childEnded is how a child's end reaches its parent. Of a child that never started, Spawn has told.
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
