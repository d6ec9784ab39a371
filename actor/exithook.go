package actor

import (
	"context"
	"log/slog"
	"runtime"
	"runtime/debug"
)

// exitHook is one OnExit. Those of a process form a ring in the order of registration: to add or remove one takes the same
// short time however many there are.
type exitHook struct {
	f          func(p PID, reason error)
	next, prev *exitHook // both nil: it has run, or was cancelled
}

// OnExit registers f to run once at the end of p: after its Terminate, before its ctx is done and before any [Down], so
// whoever gets a Down finds f's work done. It is for taking p out of a table of your own. For work that takes time, or that
// must keep an order with other messages, use [Monitor] in a process.
//
// The functions of one process run one after the other in the order of registration, with its exit reason. They run with
// no lock held on the goroutine that ends p, which is never that of an Exit: with [ErrKilled] it waits for them. f must
// not block: the end of p, and whoever waits for that, waits for f. After the shutdown time of p, or at most twice that,
// the end goes on without f, and that is logged. In f, [Inspect] still knows p, and [PID.Alive] is false. A panic in f is
// logged and changes nothing else.
//
// ok is false, and f never runs, when there is no such process or its functions have begun to run. cancel removes f, and
// does nothing once f has begun to run; it may be called from any goroutine, more than once. f, and what it refers to, is
// kept in memory until p has ended or cancel is called: so whoever ends before p calls cancel. OnExit and cancel take the
// same short time however many functions there are, and never block. OnExit panics on a nil f.
func (p PID) OnExit(f func(reason error)) (cancel func(), ok bool) {
	if f == nil {
		panic("actor: PID.OnExit: nil function")
	}
	h := &exitHook{f: func(_ PID, reason error) { f(reason) }}
	pr := p.find()
	if pr == nil || !pr.addExitHook(h) {
		return func() {}, false
	}
	return func() {
		pr.mu.Lock()
		defer pr.mu.Unlock()
		pr.removeExitHook(h)
	}, true
}

// OnExit is host.Ref.OnExit.
func (p *process) OnExit(h *exitHook, f func(pid PID, reason error)) bool {
	if f == nil || h.f != nil {
		panic("actor: Ref.OnExit: nil function, or an ExitHook that was used before")
	}
	h.f = f
	return p.addExitHook(h)
}

// addExitHook puts h at the end of the ring. False: those in it run, or have run.
func (p *process) addExitHook(h *exitHook) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state >= stateLeaving {
		return false
	}
	if p.exits == nil {
		h.next, h.prev = h, h
		p.exits = h
		return true
	}
	h.next, h.prev = p.exits, p.exits.prev
	h.prev.next, h.next.prev = h, h
	return true
}

// removeExitHook takes h out of the ring, if it is in it; p.mu is held.
func (p *process) removeExitHook(h *exitHook) {
	if h.next == nil {
		return
	}
	h.prev.next, h.next.prev = h.next, h.prev
	if p.exits == h {
		p.exits = h.next
	}
	if p.exits == h {
		p.exits = nil
	}
	h.next, h.prev = nil, nil
}

// nextExitHook takes what is to be called next, the host first; nil: nothing is left. p.mu is held.
func (p *process) nextExitHook() func(pid PID, reason error) {
	if p.hosted && p.state == stateLeaving {
		p.state = stateExitHooks
		return func(_ PID, reason error) {
			info, _ := p.info()
			p.host.Exited(info, reason)
		}
	}
	h := p.exits
	if h == nil {
		return nil
	}
	p.removeExitHook(h)
	return h.f
}

// runExitHook runs f. A panic in it is logged and goes no further: other hooks wait, and the goroutine may be anybody's.
// When f calls runtime.Goexit, the end goes on from here, unless another goroutine has taken over.
func (p *process) runExitHook(f func(pid PID, reason error), reason error, leader uint32) {
	returned := false
	defer func() {
		if returned {
			return
		}
		if r := recover(); r != nil {
			p.LogPanic("exit hook", &PanicError{Value: r, Stack: debug.Stack()})
			return
		}
		p.LogPanic("exit hook", &PanicError{Value: errGoexit, Stack: debug.Stack()})
		p.mu.Lock()
		leads := p.leader() == leader
		if leads {
			p.ends().leader++
		}
		p.mu.Unlock()
		if leads {
			p.leave(reason, leader+1)
		}
	}()
	f(p.pid(), reason)
	returned = true
	runtime.KeepAlive(p) // stackOf looks for it
}

// exitHookOver is called when the time for an exit hook is over. A hook that was called within the shutdown time gets that
// time once more, for itself. When that is over, too, the end goes on here without it: the goroutine that has called it
// finds another leader when it comes back. It unlocks p.mu.
func (p *process) exitHookOver() {
	late := p.clock().exits == 0
	p.startExits() // for this hook if late, else for the next one
	if late {
		p.mu.Unlock()
		return
	}
	c := p.clock()
	c.leader++
	leader, reason := c.leader, p.reason
	p.mu.Unlock()
	p.sys.log.LogAttrs(context.Background(), slog.LevelError, "a function of PID.OnExit does not return; the end goes on without it",
		append(p.attrs(), slog.String("stack", p.sys.stackOf(p, "runExitHook")))...)
	p.leave(reason, leader)
}
