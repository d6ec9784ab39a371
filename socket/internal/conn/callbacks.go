package conn

import (
	"context"

	"github.com/troupe-dev/troupe/actor/host"
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// beforeCallback is called before every callback but Terminate. If the callback takes long, the Group's watch sees to that,
// and the late flush writes what was pushed before.
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
	c.stage = initialized
	return c.apply(&r)
}

// Receive implements actor.Actor. It gets frames from the reader, messages to be written to the client, and all others.
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
	case *expiry:
		return c.receiveExpiry(ctx, m)
	case websock.Message:
		if !c.port.Calling() {
			return c.forward(m)
		}
	case *Description:
		return c.receiveDescribe(m)
	case host.CatchUp:
		return c.receiveCatchUp(ctx)
	case *stream:
		return c.receiveStream(m)
	}
	return c.receiveInfo(ctx, msg)
}

// Each kind of message has a function of its own below, so that each needs little of the stack: when there are many
// connections, their stacks are in no cache.

func (c *Conn) receiveMessage(ctx context.Context, f *frame) error {
	c.beforeCallback()
	var r websock.Result
	c.handleIn(ctx, f, &r)
	err := c.apply(&r)
	c.wire.Recycle(f.msg.Data)
	f.msg.Data = nil // the frame must not keep it in memory
	return err
}

// handleIn calls HandleIn. It must not be inlined, so that what it needs of the stack is free when the Result is carried out.
//
//go:noinline
func (c *Conn) handleIn(ctx context.Context, f *frame, r *websock.Result) {
	*r = c.handler.HandleIn(ctx, f.msg)
}

// receivePing handles a ping for which OnControl has appended the pong.
func (c *Conn) receivePing(ctx context.Context, f *frame) error {
	c.flush() // the pong is on the wire before HandleControl runs
	if err := c.lossReason(); err != nil {
		return err
	}
	return c.receiveControl(ctx, f)
}

func (c *Conn) receiveControl(ctx context.Context, f *frame) error {
	c.beforeCallback()
	defer c.took(callControl, c.clock())
	r := c.handler.(websock.ControlHandler).HandleControl(ctx, f.msg)
	f.msg.Data = nil // the frame must not keep it in memory
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
	if c.leavesOut(&m, false) {
		return nil
	}
	return c.append(&m)
}

// apply carries out a Result and returns its exit reason. A Result that breaks the contract sends nothing.
func (c *Conn) apply(r *websock.Result) error {
	if err := check(r); err != nil {
		return err
	}
	if r.Stop != nil && len(r.Push) > 0 {
		c.port.Decided() // now, since writing them may take long
	}
	for i := range r.Push {
		if c.leavesOut(&r.Push[i], true) {
			continue
		}
		if err := c.append(&r.Push[i]); err != nil {
			return err
		}
	}
	if r.Stop != nil {
		c.noteDetail(r.Close)
	} else if r.Stream != nil {
		return c.startStream(r.Stream)
	}
	return r.Stop
}

// check is r.Check. It must not be inlined, for the reason that handleIn gives.
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
		return c.lossReason() // if not lost: a drain that was cut short has written the Close frame, and its Exit waits
	}
	c.lose("write", err)
	return c.lossReason()
}

// beforeDeflate is called before a message of size bytes is compressed, when others wait to be written. Compression may
// take a millisecond or more, for one message or for many in a row, and the others must not wait for that.
func (c *Conn) beforeDeflate(size int) {
	if size >= longDeflate {
		c.flush()
	} else if size >= c.group.opts.Threshold && !c.lateFlushArmed.Load() {
		c.armLateFlush()
	}
}

// longDeflate is the size from which one message can take long to compress.
const longDeflate = 16 << 10

// TurnEnd implements host.Host. It runs on workers only: the reader flushes before it waits.
func (c *Conn) TurnEnd(bool) {
	if c.wire.Pending() {
		c.flush()
	}
}
