package actor

import (
	"context"
	"fmt"
	"reflect"
	"sync/atomic"
	"time"
)

// call is one Call: the request in the callee's mailbox and the place for its answer.
type call struct {
	req    any
	from   PID
	callee *process
	answer chan any    // one answer; cap 1
	done   atomic.Bool // answered, failed, or given up by the caller
	taken  atomic.Bool // Caller was asked for: the answer may come after the callback
}

// failure is an answer that the callee's code did not give.
type failure struct{ err error }

// Call sends req to a process and waits for its answer, as gen_server:call does. In the callee req arrives in Receive (in
// a socket: HandleInfo) like any message; [Reply] answers it.
//
// Without a deadline in ctx it waits Config.CallTimeout. The errors: ctx.Err() when ctx is done or its process dies,
// context.DeadlineExceeded when the time is over; ErrNoProcess when there is no such process or it ends before it
// answers; ErrMailboxFull; ErrNoReply when the callback returned without Reply or [Caller]; what was replied, if that is
// an error; and an error that names both types when the answer is no R. A nil answer is the zero R. A Call to the process of ctx itself is an error
// at once, since nobody could answer it. An answer that comes too late is dropped.
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
		return nil, noProcess(to)
	}
	c := &call{req: req, from: self, callee: p, answer: make(chan any, 1)}
	switch p.post(item{kind: kindCall, msg: c}) {
	case postDead:
		return nil, noProcess(to)
	case postFull:
		return nil, fmt.Errorf("%w: %v", ErrMailboxFull, to)
	}
	var timeout <-chan time.Time
	if _, ok := ctx.Deadline(); !ok && p.sys.callTimeout > 0 {
		t := time.NewTimer(p.sys.callTimeout)
		defer t.Stop()
		timeout = t.C
	}
	var err error
	select {
	case v := <-c.answer:
		return c.result(v, to)
	case <-ctx.Done():
		err = ctx.Err()
	case <-timeout:
		err = fmt.Errorf("actor: call to %v: no answer within Config.CallTimeout %v: %w", to, p.sys.callTimeout,
			context.DeadlineExceeded)
	}
	if !c.done.CompareAndSwap(false, true) { // the answer has come at the same moment
		return c.result(<-c.answer, to)
	}
	c.forget()
	return nil, err
}

func (c *call) result(v any, to PID) (any, error) {
	if f, ok := v.(failure); ok {
		return nil, fmt.Errorf("%w: %v", f.err, to)
	}
	return v, nil
}

func noProcess(to PID) error { return fmt.Errorf("%w: %v", ErrNoProcess, to) }

// settle gives the answer, if it is the first and the caller still waits.
func (c *call) settle(v any) bool {
	if !c.done.CompareAndSwap(false, true) {
		return false
	}
	c.answer <- v
	return true
}

func (c *call) fail(err error) { c.settle(failure{err}) }

// returned is called when the callback that got c has returned.
func (c *call) returned() {
	if !c.taken.Load() {
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
	r := p.rel()
	if r.calls == nil {
		r.calls = make(map[*call]struct{})
	}
	r.calls[c] = struct{}{}
}

// forget takes c off the callee's books.
func (c *call) forget() {
	if !c.taken.Load() {
		return
	}
	p := c.callee
	p.mu.Lock()
	if p.relation != nil {
		delete(p.relation.calls, c)
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

// Reply gives the answer, once. It never blocks. False: it was answered already, or the caller waits no more. An error
// as v becomes the error of the Call.
func (f From) Reply(v any) bool {
	if f.c == nil || !f.c.settle(v) {
		return false
	}
	f.c.forget()
	return true
}
