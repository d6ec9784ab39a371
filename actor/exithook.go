package actor

import (
	"context"
	"log/slog"
	"runtime"
	"runtime/debug"
)

// exitHook is one OnExit. Those of a process are a ring in the order of registration, so that however many there are, one
// more is registered, and any is taken back, at once.
type exitHook struct {
	f          func(reason error)
	next, prev *exitHook // both nil: it has run, or was taken back
}

// OnExit registers f to run once at the end of p: after its Terminate, before its ctx is done and before any [Down], so
// whoever has got a Down finds f's work done. It is for taking p out of a table of one's own. What takes time, or is done in
// an order with other messages, is for a process that gets a Down; see [Monitor].
//
// The functions of one process run one after the other in the order of registration, with its exit reason. They run on the
// goroutine that ends p, which after an Exit with [ErrKilled] is that of the Exit's caller, with no lock held. f must not
// block: the end of p waits for it, with all who wait for that end, but not for longer than the shutdown time of p, or twice
// that. Then the end goes on without f, which is logged. In f, [Inspect] still knows p, and [PID.Alive] is false. A panic in f
// is logged and changes nothing else.
//
// ok is false, and f never runs, when there is no such process or its functions have begun to run. cancel takes f back; it
// does nothing once f has begun to run, and may be called from any goroutine, more than once. Until then, or until p has
// ended, f is kept, as a [Monitor] is: whoever ends before p calls cancel. OnExit and cancel take the same short time
// however many functions there are, and never block. OnExit panics on a nil f.
func (p PID) OnExit(f func(reason error)) (cancel func(), ok bool) {
	if f == nil {
		panic("actor: PID.OnExit: nil function")
	}
	h := &exitHook{f: f}
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
func (p *process) nextExitHook() func(reason error) {
	if p.hosted && p.state == stateLeaving {
		p.state = stateLeft
		return func(reason error) {
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

// runExitHook keeps a panic from the hooks after it and from the goroutine, which may be anybody's. After a
// runtime.Goexit it goes on with the end from here, unless another goroutine has.
func (p *process) runExitHook(f func(reason error), reason error, leader uint32) {
	returned := false
	defer func() {
		if returned {
			return
		}
		if r := recover(); r != nil {
			p.logPanicIn("exit hook", &PanicError{Value: r, Stack: debug.Stack()})
			return
		}
		p.logPanicIn("exit hook", &PanicError{Value: errGoexit, Stack: debug.Stack()})
		p.mu.Lock()
		leads := p.leader == leader
		if leads {
			p.leader++
		}
		p.mu.Unlock()
		if leads {
			p.leave(reason, leader+1)
		}
	}()
	f(reason)
	returned = true
	runtime.KeepAlive(p) // stackOf looks for it
}

// exitHookOver goes on with the end when an exit hook has not returned in its time: the goroutine that has called it finds
// another leader when it comes back. It unlocks p.mu.
func (p *process) exitHookOver() {
	late := p.clock.exits == 0 // it was called within the time of the end, and now gets its own
	p.startExits()             // or the next one does
	if late {
		p.mu.Unlock()
		return
	}
	p.leader++
	leader, reason := p.leader, p.reason
	p.mu.Unlock()
	p.sys.log.LogAttrs(context.Background(), slog.LevelError, "a function of PID.OnExit does not return; the end goes on without it",
		append(p.attrs(), slog.String("stack", p.sys.stackOf(p, "runExitHook")))...)
	p.leave(reason, leader)
}
