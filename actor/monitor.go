package actor

import (
	"context"
	"fmt"
)

// Down is the message that a monitored process, or a child, has ended.
type Down struct {
	// Ref is what Monitor returned; zero for a child.
	Ref MonitorRef
	PID PID
	// Reason is the exit reason; ErrNoProcess when there was no such process when Monitor was called; ErrNodeDown when the
	// node of the process is not connected, or is lost. Then the process may live on, behind a broken network: when that
	// heals, its PID is as good as before, and can be monitored anew.
	Reason error
}

// MonitorRef names one Monitor. It is comparable; the zero value names none.
type MonitorRef struct{ m *monitor }

// monitor is one Monitor, with watcher set; or a Wait, or protoactor's Watch, with told set.
type monitor struct {
	watcher *process
	target  *process           // nil: there was none here
	away    *away              // a target of another node; nil: there is none
	told    func(reason error) // does not block
}

// Monitor has the end of p reported to the process of ctx as a [Down] message, once, whatever the exit reason. The Down
// comes after all that p has sent to this process; when there is no process p, it comes at once. No limit refuses it.
// Several Monitors of one p bring one Down each. Monitor never blocks. It panics when ctx belongs to no process, and does
// nothing when that process has ended.
//
// When p is of another node, the Down also comes, with ErrNodeDown, when the link to that node ends, or when there is none.
// Down{ErrNodeDown} does not mean that the process is dead: it may live behind a broken network; after a heal Monitor it
// anew, its PID is still good. The exit reason of a process of another node is never an ErrNodeDown.
func Monitor(ctx context.Context, p PID) MonitorRef {
	watcher := mustProcess(ctx, "Monitor")
	m := &monitor{watcher: watcher, target: p.find()}
	if m.target == nil {
		if r := p.elsewhere(); r != nil {
			return m.monitorAway(r, p)
		}
	}
	ref := MonitorRef{m}
	if watcher.watch(m) && !m.begin() {
		watcher.post(item{kind: kindDown, msg: Down{Ref: ref, PID: p, Reason: ErrNoProcess}})
	}
	return ref
}

// monitorAway begins a Monitor of a process that r reaches.
func (m *monitor) monitorAway(r remote, p PID) MonitorRef {
	m.away = &away{}
	ref := MonitorRef{m}
	if m.watcher.watch(m) {
		m.away.begun(r.Monitor(p, func(reason error) {
			m.watcher.post(item{kind: kindDown, msg: Down{Ref: ref, PID: p, Reason: reason}})
		}))
	}
	return ref
}

// begin adds m, which is in its watcher's list already, to that of its target. False: there is no living target.
func (m *monitor) begin() bool {
	if m.target == nil || !m.target.addWatcher(m) {
		return false
	}
	if !m.watcher.alive() { // it has ended meanwhile, perhaps before m was in the target's list
		m.forget()
	}
	return true
}

// Stop ends the monitoring: no Down of it reaches the process any more, not even one that waits in the mailbox. It may be
// called from any goroutine and more than once, and does nothing on the zero MonitorRef.
func (r MonitorRef) Stop() {
	if r.m != nil && r.m.watcher.unwatch(r.m) {
		r.m.forget()
	}
}

// forget ends what m has to do with its target.
func (m *monitor) forget() {
	switch {
	case m.target != nil:
		m.target.forget(m)
	case m.away != nil:
		m.away.stop()
	}
}

// Wait waits until p has ended and returns its exit reason. It is for goroutines that belong to no process; in a process
// use [Monitor]. The error is ctx.Err(), or ErrNoProcess when there is no such process: then its exit reason is not known.
// When p is the process of ctx or an ancestor of it, Wait returns an error at once. A process waits for its children
// before it ends, so Wait would last until one of them is killed. When p is of another node, the error is ErrNodeDown
// when that is not connected, or lost: then nothing is known of p.
func Wait(ctx context.Context, p PID) (reason, err error) {
	ended := make(chan error, 1)
	m := &monitor{target: p.find(), told: func(reason error) { ended <- reason }}
	if m.target == nil {
		if r := p.elsewhere(); r != nil {
			return waitAway(ctx, r, p)
		}
	}
	if m.target != nil && m.target.Outlives(ctx) {
		return nil, fmt.Errorf("actor: wait for %v by itself, or by a child of it, would last for ever", p)
	}
	if m.target == nil || !m.target.addWatcher(m) {
		return nil, noProcess(p)
	}
	select {
	case reason = <-ended:
		return reason, nil
	case <-ctx.Done():
		m.forget()
		return nil, ctx.Err()
	}
}

// waitAway is Wait for a process that r reaches.
func waitAway(ctx context.Context, r remote, p PID) (reason, err error) {
	ended := make(chan error, 1)
	cancel := r.Monitor(p, func(reason error) { ended <- reason })
	select {
	case reason = <-ended:
		if reason == ErrNodeDown || reason == ErrNoProcess { // r says so itself; if p has ended with ErrNoProcess, it says no more
			return nil, fmt.Errorf("%w: %v", reason, p)
		}
		return reason, nil
	case <-ctx.Done():
		cancel()
		return nil, ctx.Err()
	}
}

// Outlives is host.Outlives.
func (p *process) Outlives(ctx context.Context) bool {
	q := processOf(ctx)
	if q == nil || !q.alive() {
		return false
	}
	for ; q != nil; q = q.parent() {
		if q == p {
			return true
		}
	}
	return false
}

// watch adds m to its watcher's list, so that it ends with the watcher. False: the watcher is dead.
func (p *process) watch(m *monitor) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == stateDead {
		return false
	}
	p.rel().watching.Put(m, struct{}{})
	return true
}

// unwatch removes m from its watcher's list. False: it was not there, so m was stopped.
func (p *process) unwatch(m *monitor) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.relation == nil {
		return false
	}
	ok := p.relation.watching.Has(m)
	p.relation.watching.Delete(m)
	return ok
}

// addWatcher adds m to its target's list. False: the target is dead.
func (p *process) addWatcher(m *monitor) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == stateDead {
		return false
	}
	p.rel().watchers.Put(m, struct{}{})
	return true
}

// forget removes m from its target's list.
func (p *process) forget(m *monitor) {
	p.mu.Lock()
	if p.relation != nil {
		p.relation.watchers.Delete(m)
	}
	p.mu.Unlock()
}

// down reports the end of the target.
func (m *monitor) down(reason error) {
	if m.watcher == nil {
		m.told(reason)
		return
	}
	m.watcher.post(item{kind: kindDown, msg: Down{Ref: MonitorRef{m}, PID: m.target.pid(), Reason: reason}})
}
