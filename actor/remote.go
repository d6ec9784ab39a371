package actor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-dev/troupe/actor/internal/hook"
)

// remote is host.Remote.
type remote interface {
	Send(to PID, msg any) bool
	Exit(to PID, reason error) bool
	Reachable(to PID) bool
	Call(to, from PID, req any, deadline time.Time, answer func(v any, err error)) (cancel func())
	Monitor(to PID, down func(reason error)) (cancel func())
}

var errAttached = errors.New("actor: the System has a host.Remote already")

// attach is host.Attach.
func (s *System) attach(r remote) error {
	if !s.remote.CompareAndSwap(nil, &r) {
		return errAttached
	}
	return nil
}

// elsewhere is what reaches p when p belongs to another node; nil: nothing does. It is asked only when p was not found
// here, so what is local does not pay for it. A PID of this node's name and another boot is from before a restart: its
// process is gone, and no network need be asked.
func (p PID) elsewhere() remote {
	if p.sys == nil || p.origin == p.sys.origin {
		return nil
	}
	r := p.sys.remote.Load()
	if r == nil || p.origin.Value().node == p.sys.origin.Value().node {
		return nil
	}
	return *r
}

// callAway is doCall to a process of another node. The time runs here, so the Call ends in it whatever r does.
func (s *System) callAway(ctx context.Context, r remote, to PID, req any) (any, error) {
	type answer struct {
		v   any
		err error
	}
	deadline, ok := ctx.Deadline()
	var timeout <-chan time.Time
	if !ok && s.callTimeout > 0 {
		deadline = time.Now().Add(s.callTimeout)
		t := time.NewTimer(s.callTimeout)
		defer t.Stop()
		timeout = t.C
	}
	answers := make(chan answer, 1)
	cancel := r.Call(to, Self(ctx), req, deadline, func(v any, err error) { answers <- answer{v, err} })
	select {
	case a := <-answers:
		if a.err != nil {
			return nil, fmt.Errorf("%w: %v", a.err, to)
		}
		return a.v, nil
	case <-ctx.Done():
		cancel()
		return nil, ctx.Err()
	case <-timeout:
		cancel()
		return nil, s.callTimedOut(to)
	}
}

// callTimedOut is the error of a Call whose ctx had no deadline.
func (s *System) callTimedOut(to PID) error {
	return fmt.Errorf("actor: call to %v: no answer within Config.CallTimeout %v: %w", to, s.callTimeout, context.DeadlineExceeded)
}

// ask is host.Ask.
func (p PID) ask(from PID, req any, deadline time.Time, answer func(v any, err error)) (cancel func()) {
	pr := p.find()
	if room, ok := req.(hook.Room); ok && pr != nil {
		return pr.askRoom(room.Msg, answer)
	}
	if pr == nil {
		if r := p.elsewhere(); r != nil {
			return askAway(r, p, from, req, deadline, answer)
		}
		if room, ok := req.(hook.Room); ok && p.sys != nil {
			p.sys.undelivered(p, bare(p.sys.arrived(room.Msg)))
		}
		answer(nil, errUnhandled)
		return func() {}
	}
	return pr.ask(from, req, deadline, answer)
}

// askAway is ask of a process that r reaches. The time runs here, so the answer comes in it whatever r does: whichever is
// first, the answer of r, the end of the time or cancel, has the others come to nothing.
func askAway(r remote, p, from PID, req any, deadline time.Time, answer func(v any, err error)) (cancel func()) {
	if deadline.IsZero() {
		return r.Call(p, from, req, deadline, answer)
	}
	var over atomic.Bool
	a := &away{}
	late := time.AfterFunc(time.Until(deadline), func() {
		if over.CompareAndSwap(false, true) {
			a.stop()
			answer(nil, context.DeadlineExceeded)
		}
	})
	a.begun(r.Call(p, from, req, deadline, func(v any, err error) {
		if over.CompareAndSwap(false, true) {
			late.Stop()
			answer(v, err)
		}
	}))
	return func() {
		if over.CompareAndSwap(false, true) {
			late.Stop()
			a.stop()
		}
	}
}

// ask makes a Call for which nobody waits. The timer is set before the Call is in the mailbox: so only its own failure can
// come before it is stored, and that one need not stop it.
func (p *process) ask(from PID, req any, deadline time.Time, answer func(v any, err error)) (cancel func()) {
	w := &waiter{}
	c := &call{req: p.sys.arrived(req), from: from, callee: p, waiter: w}
	w.reply = func(v any) {
		f, failed := v.(failure)
		switch {
		case failed && f.err == errCallTimeout:
			c.forget()
			answer(nil, context.DeadlineExceeded)
		case failed:
			w.stop()
			answer(nil, f.err)
		default:
			w.stop()
			answer(v, nil)
		}
	}
	if !deadline.IsZero() {
		w.start(c, time.Until(deadline))
	}
	switch p.post(item{kind: kindCall, msg: c}) {
	case postDead:
		c.fail(errUnhandled)
	case postFull:
		c.fail(ErrMailboxFull)
	}
	return func() {
		if c.done.CompareAndSwap(false, true) {
			w.stop()
			c.forget()
		}
	}
}

// watch is host.Watch.
func (p PID) watch(down func(reason error)) (cancel func()) {
	m := &monitor{target: p.find(), told: down}
	if m.target == nil {
		if r := p.elsewhere(); r != nil {
			return r.Monitor(p, down)
		}
	}
	if m.target == nil || !m.target.addWatcher(m) {
		down(ErrNoProcess)
		return func() {}
	}
	return m.forget
}

// away is what lasts here at a process of another node: a Monitor, or an ask. Its mutex is below no other, and guards cancel
// and over: whoever ends it may come before the Remote has returned from beginning it.
type away struct {
	mu     sync.Mutex
	cancel func()
	over   bool
}

// begun keeps what cancels it, or cancels it when it was stopped meanwhile.
func (a *away) begun(cancel func()) {
	a.mu.Lock()
	over := a.over
	a.cancel = cancel
	a.mu.Unlock()
	if over {
		cancel()
	}
}

// stop cancels it, which does no harm when it is over.
func (a *away) stop() {
	a.mu.Lock()
	cancel := a.cancel
	a.over = true
	a.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}
