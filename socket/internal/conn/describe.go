package conn

import (
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
	"github.com/troupe-dev/troupe/websock"
)

// Description is the request to a process to describe its handler, and the answer. It is a host.Look, so that Notify can
// send it: even a full mailbox takes it, and whoever looks at a busy socket does not end it with an overload; nor does it count
// as handled. Whoever makes one sees to it that at most one waits for each connection.
type Description struct {
	done chan struct{} // closed when there is an answer
	over func()        // called before

	mu       sync.Mutex // guards all that follows, until done is closed
	answered bool
	cancel   func() // of the watch for the end of the process
	value    any
	err      error
}

// NewDescription makes one. over is called once, when it has its answer, before those who wait are told. It must not block.
func NewDescription(over func()) *Description {
	return &Description{done: make(chan struct{}), over: over}
}

// Done is closed when there is an Answer.
func (d *Description) Done() <-chan struct{} { return d.done }

// Answer is what Describe has returned, or why it has not been called or has not returned. It is for after Done.
func (d *Description) Answer() (any, error) { return d.value, d.err }

// answer gives the answer, if it is the first one.
func (d *Description) answer(v any, err error) {
	d.mu.Lock()
	if d.answered {
		d.mu.Unlock()
		return
	}
	d.answered, d.value, d.err = true, v, err
	cancel := d.cancel
	d.mu.Unlock()
	d.over()
	if cancel != nil {
		cancel()
	}
	close(d.done)
}

// Content implements host.Deferred.
func (d *Description) Content() any { return d }

// Due implements host.Deferred.
func (d *Description) Due(actor.PID) (any, bool) { return d, true }

// Look implements host.Look.
func (d *Description) Look() {}

// Describes tells whether the handler is a Describer.
func (c *Conn) Describes() bool {
	_, ok := optional[websock.Describer](c.handler)
	return ok
}

// Ask has the process of c answer d. It does not wait for that. When the process ends before, its end is the answer.
func (d *Description) Ask(c *Conn) {
	cancel := host.Watch(c.PID(), func(error) { d.answer(nil, actor.ErrNoProcess) })
	d.mu.Lock()
	answered := d.answered
	d.cancel = cancel
	d.mu.Unlock()
	if answered {
		cancel()
	}
	if ref, ok := host.RefOf(c.PID()); !ok || !ref.Notify(d) {
		d.answer(nil, actor.ErrNoProcess)
	}
}

// receiveDescribe calls Describe. A panic in it is the answer, and ends nothing: looking must not do harm. A Describe that
// leaves its goroutine by runtime.Goexit ends the process as in any other callback.
func (c *Conn) receiveDescribe(d *Description) error {
	var v any
	err := error(actor.ErrNoProcess)
	defer func() { d.answer(v, err) }()
	defer func() {
		if r := recover(); r != nil {
			v, err = nil, &actor.PanicError{Value: r, Stack: debug.Stack()}
		}
	}()
	h, ok := optional[websock.Describer](c.handler)
	if !ok {
		err = fmt.Errorf("%T is no websock.Describer", innermost(c.handler))
		return nil
	}
	c.beforeCallback()
	v, err = h.Describe(), nil
	return nil
}
