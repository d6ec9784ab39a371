package conn

import (
	"context"

	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// beforeCallback is called before every callback: what takes long is seen to by the Group's watch, and what was pushed does
// not wait for it. A callback that does not take long arms nothing.
func (c *Conn) beforeCallback() {
	if !c.watched.Load() {
		c.group.enter(c)
	}
	if c.wire.Pending() && !c.lateFlushArmed.Load() {
		c.armLateFlush()
	}
}

// Init implements actor.Initializer, on the reader's goroutine.
func (c *Conn) Init(ctx context.Context) error {
	c.beforeCallback()
	r := c.handler.Init(ctx)
	c.initialized = true
	return c.apply(&r)
}

// Receive implements actor.Actor: frames of the reader, messages for the client, and all others.
func (c *Conn) Receive(ctx context.Context, msg any) error {
	switch m := msg.(type) {
	case *frame:
		if c.port.Waited() {
			c.counted(m, -1)
		}
		switch m.msg.Opcode {
		case websock.OpPing:
			return c.receivePing(ctx, m)
		case websock.OpPong:
			return c.receiveControl(ctx, m)
		default:
			return c.receiveMessage(ctx, m)
		}
	case *readEnd:
		return c.receiveEnd(m)
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
// are many connections, theirs are in no cache.

func (c *Conn) receiveMessage(ctx context.Context, f *frame) error {
	c.beforeCallback()
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
func (c *Conn) handleIn(ctx context.Context, f *frame, r *websock.Result) {
	*r = c.handler.HandleIn(ctx, f.msg)
}

// receivePing is for a ping that has been answered.
func (c *Conn) receivePing(ctx context.Context, f *frame) error {
	c.flush() // the pong is on the wire before HandleControl runs
	if err := c.lossReason(); err != nil {
		return err
	}
	return c.receiveControl(ctx, f)
}

func (c *Conn) receiveControl(ctx context.Context, f *frame) error {
	c.beforeCallback()
	r := c.handler.(websock.ControlHandler).HandleControl(ctx, f.msg)
	f.msg.Data = nil // the handler's
	return c.apply(&r)
}

func (c *Conn) receiveInfo(ctx context.Context, msg any) error {
	c.beforeCallback()
	r := c.handler.HandleInfo(ctx, msg)
	return c.apply(&r)
}

// forward writes a message for the client.
func (c *Conn) forward(m websock.Message) error {
	if err := m.Check(); err != nil {
		return err
	}
	return c.append(&m)
}

// apply carries out a Result and returns its exit reason. A Result that breaks the contract sends nothing.
func (c *Conn) apply(r *websock.Result) error {
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
		c.noteDetail(r.Close)
	}
	return r.Stop
}

// check is r.Check, likewise.
//
//go:noinline
func check(r *websock.Result) error { return r.Check() }

func (c *Conn) append(m *websock.Message) error {
	if c.wire.Compressed() && c.wire.Pending() {
		c.beforeDeflate(len(m.Data))
	}
	if err := c.wire.Append(*m); err != nil {
		return c.notAppended(err)
	}
	return c.lossReason()
}

// notAppended is the exit reason when a message could not be appended.
func (c *Conn) notAppended(err error) error {
	if err == wire.ErrCloseSent { //nolint:errorlint // never wrapped
		if c.isOverloaded() {
			return websock.ErrOverload
		}
		return c.lossReason() // a drain that is cut short has said goodbye while a callback ran: its Exit waits
	}
	c.lose("write", err)
	return c.lossReason()
}

// beforeDeflate sees to what waits before a message of so many bytes is compressed: that may take a millisecond or more,
// by itself or as one of many in a row.
func (c *Conn) beforeDeflate(size int) {
	if size >= longDeflate {
		c.flush()
	} else if size >= c.group.opts.Threshold && !c.lateFlushArmed.Load() {
		c.armLateFlush()
	}
}

// longDeflate is how many bytes can take long to compress.
const longDeflate = 16 << 10

// TurnEnd implements host.Host, on a worker.
func (c *Conn) TurnEnd(bool) {
	if c.wire.Pending() {
		c.flush()
	}
}
