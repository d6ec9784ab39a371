package socket

import (
	"context"
	"crypto/tls"
	"errors"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// Init implements actor.Initializer, on the reader goroutine.
func (c *conn) Init(ctx context.Context) error {
	r := c.handler.Init(ctx)
	c.initialized = true
	return c.apply(&r)
}

// Receive implements actor.Actor: frames of the reader, messages for the client, and all others.
func (c *conn) Receive(ctx context.Context, msg any) error {
	switch m := msg.(type) {
	case *frame:
		switch {
		case m.end != nil:
			c.readEnd = m.end
			return m.end
		case m.msg.Opcode == websock.OpPing:
			return c.receivePing(ctx, m)
		case m.msg.Opcode == websock.OpPong:
			return c.receivePong(ctx, m)
		default:
			return c.receiveMessage(ctx, m)
		}
	case drainBegins:
		return c.receiveDrain(ctx, m)
	case websock.Message:
		if !c.port.Calling() {
			return c.forward(m)
		}
	}
	return c.receiveInfo(ctx, msg)
}

// The functions below are as many as there are kinds of messages, so that each has a small frame on the stack: when there
// are many sockets, theirs are in no cache.

// drainBegins tells a socket whose handler is a Drainer that a drain has begun. It is a host.Deferred, which a full mailbox
// takes, too: a busy socket must not end by it.
type drainBegins struct{ by time.Time }

func (m drainBegins) Content() any              { return m }
func (m drainBegins) Due(actor.PID) (any, bool) { return m, true }

// askDrain has HandleDrain called in its turn.
func (c *conn) askDrain(by time.Time) {
	if ref, ok := host.RefOf(c.pid()); ok {
		ref.Notify(drainBegins{by})
	}
}

func (c *conn) receiveDrain(ctx context.Context, m drainBegins) error {
	d, ok := c.handler.(websock.Drainer)
	if !ok || c.draining { // it opened just as the drain began, and was found twice
		return nil
	}
	c.draining = true
	c.watch()
	r := d.HandleDrain(ctx, m.by)
	return c.apply(&r)
}

// drains tells whether the handler has a say in a drain.
func (c *conn) drains() bool {
	_, ok := c.handler.(websock.Drainer)
	return ok
}

func (c *conn) receiveInfo(ctx context.Context, msg any) error {
	c.watch()
	r := c.handler.HandleInfo(ctx, msg)
	return c.apply(&r)
}

// forward writes a message for the client.
func (c *conn) forward(m websock.Message) error {
	if err := m.Check(); err != nil {
		return err
	}
	return c.append(&m)
}

// watch arms the stall before a callback that runs with pushes waiting.
func (c *conn) watch() {
	if c.wire.Pending() && !c.stalls.Load() {
		c.stall.arm()
	}
}

func (c *conn) receiveMessage(ctx context.Context, f *frame) error {
	c.watch()
	var r websock.Result
	c.handleIn(ctx, f, &r)
	err := c.apply(&r)
	c.wire.Recycle(f.msg.Data)
	f.msg.Data = nil // the handler's
	return err
}

// handleIn calls HandleIn. Its frame is gone when the Result is carried out, if it is not inlined.
//
//go:noinline
func (c *conn) handleIn(ctx context.Context, f *frame, r *websock.Result) {
	*r = c.handler.HandleIn(ctx, f.msg)
}

func (c *conn) receivePing(ctx context.Context, f *frame) error {
	pong := websock.Pong(f.msg.Data)
	if err := c.append(&pong); err != nil {
		return err
	}
	control, ok := c.handler.(websock.ControlHandler)
	if !ok {
		return nil
	}
	c.flush() // the pong is on the wire before HandleControl runs
	if err := c.gone(); err != nil {
		return err
	}
	return c.receiveControl(ctx, f, control)
}

func (c *conn) receivePong(ctx context.Context, f *frame) error {
	control, ok := c.handler.(websock.ControlHandler)
	if !ok {
		return nil
	}
	c.watch()
	return c.receiveControl(ctx, f, control)
}

func (c *conn) receiveControl(ctx context.Context, f *frame, control websock.ControlHandler) error {
	r := control.HandleControl(ctx, f.msg)
	f.msg.Data = nil // the handler's
	return c.apply(&r)
}

// apply carries out a Result and returns its exit reason. A Result that breaks the contract sends nothing.
func (c *conn) apply(r *websock.Result) error {
	if err := check(r); err != nil {
		return err
	}
	if r.Stop != nil && len(r.Push) > 0 {
		c.port.Decided() // writing them may take long
	}
	for i := range r.Push {
		if err := c.append(&r.Push[i]); err != nil {
			return err
		}
	}
	if r.Stop != nil {
		c.detail = r.Close
	}
	return r.Stop
}

// check is r.Check, likewise.
//
//go:noinline
func check(r *websock.Result) error { return r.Check() }

func (c *conn) append(m *websock.Message) error {
	if c.wire.Compressed() && c.wire.Pending() {
		c.beforeDeflate(len(m.Data))
	}
	if err := c.wire.Append(*m); err != nil {
		return c.notAppended(err)
	}
	return c.gone()
}

// notAppended is the exit reason when a message could not be appended.
func (c *conn) notAppended(err error) error {
	if err == wire.ErrCloseSent { //nolint:errorlint // never wrapped
		if c.overloaded.Load() {
			return websock.ErrOverload
		}
		return c.gone() // a drain that is cut short has said goodbye while a callback ran: its Exit waits
	}
	c.lose("write", err)
	return c.gone()
}

// beforeDeflate sees to what waits before a message of so many bytes is compressed: that may take a millisecond or more,
// by itself or as one of many in a row.
func (c *conn) beforeDeflate(size int) {
	if size >= longDeflate {
		c.flush()
	} else if size >= c.srv.cfg.Compression.Threshold {
		c.watch()
	}
}

// longDeflate is how many bytes can take long to compress.
const longDeflate = 16 << 10

// Terminate implements actor.Terminator.
func (c *conn) Terminate(ctx context.Context, reason error) {
	defer c.terminated()
	t, ok := c.handler.(websock.Terminator)
	if !ok || !c.initialized {
		return
	}
	c.mu.Lock()
	if c.refused != nil {
		reason = c.refused
	}
	c.mu.Unlock()
	t.Terminate(ctx, reason)
}

func (c *conn) terminated() {
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
}

// Ending implements host.Host: what was pushed, then the Close frame, then FIN. From here on the reader only waits for
// the peer's Close, if that has not come. Without a Terminator there is nothing that it should not wait for.
func (c *conn) Ending(reason error) (brief bool) {
	c.pulse.stop()
	c.sleep.hold()
	done := false
	defer func() {
		if !done { // a method of the reason has ended this goroutine: there is no Close frame to wait for
			c.wire.Discard()
			c.sleep.end()
			c.rouse()
		}
	}()
	c.stall.disarm()
	detail, closing, refused := c.closeFrame(reason)
	if closing {
		err := c.wire.AppendClose(detail)
		overloaded := err == wire.ErrCloseSent //nolint:errorlint // never wrapped; the overload has written its own
		closing = (err == nil || overloaded) && c.wire.Flush() == nil
	}
	if c.readEnd != nil && reason == c.readEnd && c.wire.Finished() { // the reader waits for ended
		closing = false // nothing follows the peer's Close: ours goes out with the FIN of TCP's end
		if _, ok := c.wire.Transport().(*tls.Conn); ok {
			c.wire.CloseWrite() // close_notify
		}
	}
	if closing {
		c.wire.CloseWrite()
	}
	c.mu.Lock()
	killed := c.decided // meanwhile
	c.decided = true
	c.refused = refused
	if wait := c.srv.cfg.CloseTimeout; closing && wait > 0 {
		c.parted = time.Now()
	}
	c.mu.Unlock()
	c.wire.Discard()
	if !killed {
		c.ended.Done()
	}
	done = true
	if wait := c.srv.cfg.CloseTimeout; c.sleep.end() {
		if closing && wait > 0 {
			c.pulse.part(wait, true)
		} else {
			c.rouse()
		}
	}
	_, ok := c.handler.(websock.Terminator)
	return !ok || !c.initialized
}

var errNilCloseError = &websock.ResultError{Problem: "the exit reason is a nil *CloseError"}

// closeFrame is the Close frame for an exit reason. ok is false when none can be written. refused says why the frame that
// the reason carries cannot be sent; 1011 stands in for it.
func (c *conn) closeFrame(reason error) (detail websock.CloseDetail, ok bool, refused error) {
	defer func() {
		if recover() != nil { // the reason may be anybody's error, whose methods may do anything
			detail, ok = websock.CloseDetail{Code: websock.CloseInternalError}, true
		}
	}()
	cfg := &c.srv.cfg
	if l := c.lost.Load(); l != nil && reason == error(l) {
		return websock.CloseDetail{}, false, nil
	}
	if c.readEnd != nil && reason == c.readEnd {
		return closeForReadEnd(reason, cfg.IdleClose), true, nil
	}
	d, err := c.detail, reason
	var ce *websock.CloseError
	if errors.As(reason, &ce) && ce == nil {
		return websock.CloseDetail{Code: websock.CloseInternalError}, true, errNilCloseError
	}
	if ce != nil && d == (websock.CloseDetail{}) {
		d.Reason = ce.Reason
	}
	if d.Code == 0 && ce != nil {
		d.Code = ce.Code
		err = ce.Err
	}
	if d.Code == 0 {
		derived := closeFor(err, cfg.IdleClose)
		d.Code = derived.Code
		if d.Reason == "" {
			d.Reason = derived.Reason
		}
	}
	if err := websock.StopWith(reason, d).Check(); err != nil { // of a PID.Exit
		return websock.CloseDetail{Code: websock.CloseInternalError}, true, err
	}
	return d, true, nil
}
