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

// call is one Call, and the ctx of the callback that handles it. It is made anew for each, since the callee's code may
// keep it for as long as it likes: so a stray goroutine can never answer another Call.
type call struct {
	req    any
	from   PID
	callee *process
	waiter *waiter
	done   atomic.Bool // answered, failed, or given up by the caller
	taken  atomic.Bool // Caller was asked for: the answer may come after the callback
}

// waiter is what the caller waits with. It serves one Call after the other, and a late answer cannot reach a later one:
// an answer is sent by the one who has set call.done, and the caller gives its waiter back when it has received that
// answer or has set call.done itself. Then nobody sends any more. The same goes for the timer: when it could not be
// stopped it may be about to settle a Call, and the waiter is not given back.
type waiter struct {
	answer chan any    // cap 1
	reply  func(v any) // if set, takes the answer in place of that; it does not block. Such a waiter serves one Call
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

// errCallTimeout never leaves doCall.
var errCallTimeout = errors.New("timeout")

// errUnhandled is ErrNoProcess, as the error of a Call that no callback was given.
var errUnhandled error = hook.Unhandled{Err: ErrNoProcess}

// failure is an answer that the callee's code did not give.
type failure struct{ err error }

// Call sends req to a process and waits for its answer, as gen_server:call does. In the callee req arrives in Receive (in
// a socket: HandleInfo) like any message; [Reply] answers it.
// Without a deadline in ctx it waits Config.CallTimeout. The errors: ctx.Err() when ctx is done or its process dies,
// context.DeadlineExceeded when the time is over; ErrNoProcess when there is no such process or it ends before it
// answers; ErrMailboxFull; ErrNoReply when the callback returned without Reply or [Caller]; what was replied, if that
// is an error; and an error that names both types when the answer is no R. A nil answer is the zero R. A Call to the
// process of ctx itself is an error at once, since nobody could answer it. An answer that comes too late is dropped.
//
// A Call whose caller no longer waits is not given to the callee at all: under load a queue of such Calls would keep it
// from those who still wait. So an error says only that there is no answer: a Call that has timed out may never have
// been handled, may be in progress, or may be done. A callee whose work is useless without the caller asks
// [From.Waiting] before long work, and undoes it when Reply returns false.
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
		return nil, fmt.Errorf("%w: %v", errUnhandled, to)
	}
	w := p.sys.waiter()
	c := &call{req: req, from: self, callee: p, waiter: w}
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
		return nil, fmt.Errorf("actor: call to %v: no answer within Config.CallTimeout %v: %w", to, p.sys.callTimeout,
			context.DeadlineExceeded)
	}
	return answer, err
}

func noProcess(to PID) error { return fmt.Errorf("%w: %v", ErrNoProcess, to) }

// settle gives the answer, if it is the first and the caller still waits.
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

// String says whose ctx it is; see that of processContext.
func (c *call) String() string { return c.context().String() }

// Deadline, Done, Err and Value are those of the callee's ctx, but for what only the handling of a Call has.
func (c *call) Deadline() (time.Time, bool) { return c.context().Deadline() }
func (c *call) Done() <-chan struct{}       { return c.context().Done() }
func (c *call) Err() error                  { return c.context().Err() }

func (c *call) Value(key any) any {
	if _, ok := key.(callKey); ok {
		return c
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

// take keeps c open beyond its callback, until it is answered, given up, or the callee ends.
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

// keepCall notes a Call that fails at the process's end unless it is answered before; p.mu is held.
func (p *process) keepCall(c *call) {
	if c.done.Load() {
		return
	}
	p.rel().calls.Put(c, struct{}{})
}

// forget takes c off the callee's books.
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

// From is who waits for the answer to one Call. It may be kept, passed on and used from any goroutine. The zero From is
// nobody.
type From struct{ c *call }

// Caller is who waits for the answer to the Call that is being handled; false when ctx is not the ctx of a callback that
// handles one. Having asked, the callback may return without an answer and give it later by [From.Reply].
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

// Waiting tells whether the caller still waits for an answer. Ask it before long work: a caller whose time is over, or
// whose process has ended, does not learn of what is done now. Any goroutine may ask. The answer may change the next
// moment, so undo what only the caller wanted when [From.Reply] returns false.
func (f From) Waiting() bool { return f.c != nil && !f.c.done.Load() }

// Reply gives the answer, once. It never blocks. False: it was answered already, or the caller waits no more. An error
// as v becomes the error of the Call.
func (f From) Reply(v any) bool {
	if f.c == nil || !f.c.settle(v) {
		return false
	}
	f.c.forget()
	return true
}
