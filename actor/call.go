package actor

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/troupe-dev/troupe/actor/internal/hook"
)

// call is one Call, and the ctx of the callback that handles it. It is never reused, since the callee's code may keep it
// for as long as it likes: what still holds an old one can never answer another Call.
type call struct {
	req    any
	from   PID
	callee *process
	waiter *waiter
	done   atomic.Bool // answered, failed, or given up by the caller
	taken  atomic.Bool // Caller was asked for: the answer may come after the callback
}

// waiter is what a caller waits with. It is reused for later Calls, and the answer to one Call cannot reach another: only
// whoever sets call.done sends an answer, and the caller gives its waiter back only when it has received that answer, or
// has set call.done itself. A waiter whose timer could not be stopped is not given back: the timer may be about to fail
// the Call.
type waiter struct {
	answer chan any    // cap 1
	reply  func(v any) // if set, it gets the answer instead, and must not block. Such a waiter serves one Call
	sender any         // who has asked, when that was protoactor; see engine.Target
	timer  *time.Timer
	call   *call // the one that timer fails
}

// waiter takes one from those of the System; see System.slot.
func (s *System) waiter() *waiter {
	if w, ok := s.waiters.Get().(*waiter); ok {
		return w
	}
	return &waiter{answer: make(chan any, 1)}
}

// start has c fail after d.
func (w *waiter) start(c *call, d time.Duration) {
	w.call = c
	if w.timer == nil {
		w.timer = time.AfterFunc(d, w.timeout)
	} else {
		w.timer.Reset(d)
	}
}

func (w *waiter) timeout() { w.call.fail(errCallTimeout) }

// stop undoes start, if there was one.
func (w *waiter) stop() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

// errCallTimeout never leaves doCall.
var errCallTimeout = errors.New("timeout")

// errUnhandled is ErrNoProcess for a Call that has reached no callback.
var errUnhandled error = hook.Unhandled{Err: ErrNoProcess}

// failure is an answer that the callee's code did not give.
type failure struct{ err error }

// Call sends req to a process and waits for its answer, as gen_server:call does. In the callee req arrives in Receive (in
// a socket: HandleInfo) like any message; [Reply] answers it. A nil answer is the zero R. Without a deadline in ctx, Call
// waits for Config.CallTimeout at most; an answer that comes later is dropped.
//
// The error is
//   - ctx.Err(), when ctx is done or its process dies
//   - context.DeadlineExceeded, wrapped, when CallTimeout is over
//   - ErrNoProcess, when there is no such process, or it ends before it answers
//   - ErrMailboxFull, when the mailbox of the callee is at its limit, or the link to its node takes no more at the moment
//   - ErrNodeDown, which is an ErrNoProcess, too, when the node of the callee is not connected or is lost before the answer
//     has come: then nobody knows whether the callee has handled req
//   - ErrNoReply, when the callback returned without having called Reply or [Caller]
//   - the answer, when that is an error
//   - one that names both types, when the answer is no R
//   - one that comes at once, when to is the process of ctx itself: nobody could answer
//
// A Call whose caller no longer waits is not given to the callee at all: under load, a queue of such Calls would delay
// those whose callers still wait. So an error says only that there is no answer: a Call that has timed out may never have
// been handled, may be in progress, or may be done. A callee whose work is useless without the caller asks
// [From.Waiting] before long work, and undoes it when Reply returns false.
//
// A Call to a process of another node reaches it at most once.
func Call[R any](ctx context.Context, to PID, req any) (R, error) {
	var zero R
	v, err := doCall(ctx, to, req)
	if err != nil {
		return zero, err
	}
	if err, ok := v.(error); ok {
		return zero, err
	}
	if v == nil {
		return zero, nil
	}
	r, ok := v.(R)
	if !ok {
		return zero, fmt.Errorf("actor: call to %v: the reply is %T, want %s", to, v, reflect.TypeFor[R]())
	}
	return r, nil
}

func doCall(ctx context.Context, to PID, req any) (any, error) {
	self := Self(ctx)
	if self == to && self != (PID{}) {
		return nil, fmt.Errorf("actor: call to %v by itself would wait for ever", to)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p := to.find()
	if p == nil {
		if r := to.elsewhere(); r != nil {
			return to.sys.callAway(ctx, r, to, to.sys.wrapAway(ctx, req))
		}
		return nil, fmt.Errorf("%w: %v", errUnhandled, to)
	}
	w := p.sys.waiter()
	c := &call{req: p.sys.wrap(ctx, req), from: self, callee: p, waiter: w}
	switch p.post(item{kind: kindCall, msg: c}) {
	case postDead:
		p.sys.waiters.Put(w)
		return nil, fmt.Errorf("%w: %v", errUnhandled, to)
	case postFull:
		p.sys.waiters.Put(w)
		return nil, fmt.Errorf("%w: %v", ErrMailboxFull, to)
	}
	timed := false
	if _, ok := ctx.Deadline(); !ok && p.sys.callTimeout > 0 {
		timed = true
		w.start(c, p.sys.callTimeout)
	}
	var answer any
	var err error
	if done := ctx.Done(); done == nil {
		answer = <-w.answer
	} else {
		select {
		case answer = <-w.answer:
		case <-done:
			if c.done.CompareAndSwap(false, true) {
				err = ctx.Err()
				c.forget()
			} else { // the answer has come at the same moment
				answer = <-w.answer
			}
		}
	}
	if !timed || w.timer.Stop() {
		w.call = nil
		p.sys.waiters.Put(w)
	}
	if f, ok := answer.(failure); ok {
		if f.err != errCallTimeout {
			return nil, fmt.Errorf("%w: %v", f.err, to)
		}
		c.forget()
		return nil, p.sys.callTimedOut(to)
	}
	return answer, err
}

func noProcess(to PID) error { return fmt.Errorf("%w: %v", ErrNoProcess, to) }

// settle gives the caller the answer v, if that is the first one and the caller still waits.
func (c *call) settle(v any) bool {
	if !c.done.CompareAndSwap(false, true) {
		return false
	}
	if f := c.waiter.reply; f != nil {
		f(v)
	} else {
		c.waiter.answer <- v
	}
	return true
}

func (c *call) context() *processContext { return (*processContext)(c.callee) }

// String says whose ctx it is; see processContext.String.
func (c *call) String() string { return c.context().String() }

// Deadline, Done, Err and Value are those of the callee's ctx, but Value also finds the Call.
func (c *call) Deadline() (time.Time, bool) { return c.context().Deadline() }
func (c *call) Done() <-chan struct{}       { return c.context().Done() }
func (c *call) Err() error                  { return c.context().Err() }

func (c *call) Value(key any) any {
	switch key.(type) {
	case callKey:
		return c
	case hook.SenderKey:
		return c.waiter.sender
	}
	return c.context().Value(key)
}

func (c *call) fail(err error) { c.settle(failure{err}) }

// returned is called when the callback that got c has returned.
func (c *call) returned() {
	if !c.done.Load() && !c.taken.Load() {
		c.fail(ErrNoReply)
	}
}

// take keeps c open after its callback has returned: until it is answered, the caller gives up, or the callee ends.
func (c *call) take() {
	if c.done.Load() || c.taken.Swap(true) {
		return
	}
	p := c.callee
	p.mu.Lock()
	dead := p.state == stateDead
	if !dead {
		p.keepCall(c)
	}
	p.mu.Unlock()
	if dead {
		c.fail(ErrNoProcess)
	}
}

// keepCall notes a Call, which fails at the end of the process if it has no answer by then; p.mu is held.
func (p *process) keepCall(c *call) {
	if c.done.Load() {
		return
	}
	p.rel().calls.Put(c, struct{}{})
}

// forget undoes keepCall.
func (c *call) forget() {
	if !c.taken.Load() {
		return
	}
	p := c.callee
	p.mu.Lock()
	if p.relation != nil {
		p.relation.calls.Delete(c)
	}
	p.mu.Unlock()
}

// From is the caller of one Call. It may be kept, passed on and used from any goroutine. The zero From is nobody.
type From struct{ c *call }

// Caller returns the caller of the Call that is being handled; false when ctx is not the ctx of a callback that handles
// one. After this the callback may return without an answer: [From.Reply] gives it later.
func Caller(ctx context.Context) (From, bool) {
	c, ok := ctx.Value(callKey{}).(*call)
	if !ok {
		return From{}, false
	}
	c.take()
	return From{c}, true
}

// Reply answers the Call that is being handled; it is Caller(ctx).Reply(v). False: nobody waits, or ctx is not the ctx
// of a Call.
func Reply(ctx context.Context, v any) bool {
	c, ok := ctx.Value(callKey{}).(*call)
	return ok && From{c}.Reply(v)
}

// PID is the caller's process, or zero when the caller is a goroutine that is no process.
func (f From) PID() PID {
	if f.c == nil {
		return PID{}
	}
	return f.c.from
}

// Waiting tells whether the caller still waits for an answer. Ask before long work: a caller whose time is over, or whose
// process has ended, will not learn what came of it. The caller may stop waiting at any moment, so undo what only the
// caller wanted when [From.Reply] returns false. Any goroutine may ask.
func (f From) Waiting() bool { return f.c != nil && !f.c.done.Load() }

// Reply gives the answer, once. It never blocks. False: there was an answer before, or the caller no longer waits. When v
// is an error, it becomes the error of the Call.
func (f From) Reply(v any) bool {
	if f.c == nil || !f.c.settle(v) {
		return false
	}
	f.c.forget()
	return true
}
