package conn

import (
	"context"

	"github.com/troupe-dev/troupe/actor/host"
	"github.com/troupe-dev/troupe/websock"
)

// classOf is host.Options.ClassOf. It is called with the mailbox locked, for each message that comes to a busy process.
func classOf(msg any) (c *host.Class, size int) {
	if m, ok := msg.(websock.Message); ok {
		return (*host.Class)(m.Delivery()), len(m.Data)
	}
	return nil, -1
}

// leavesOut tells whether a message that is about to be written is left out, because a write waits for the client. One that
// SendWait has sent is not. When it was pushed, and so is newer than what waits, a message with the same key that waits is left out.
func (c *Conn) leavesOut(m *websock.Message, pushed bool) bool {
	d := m.Delivery()
	if d == nil {
		return false
	}
	if d.Volatile && (pushed || !c.port.Paced()) && c.wire.Writing() {
		c.port.LeaveOut("")
		return true
	}
	if pushed && d.Key != "" {
		c.port.LeaveOut(d.Key)
	}
	return false
}

// receiveCatchUp comes after what was waiting when a message was left out. Once nothing waits any more, the kernel's buffer
// apart, the handler is told. One that does not want to know costs one such notice.
func (c *Conn) receiveCatchUp(ctx context.Context) error {
	h, ok := optional[websock.LagHandler](c.handler)
	if !ok {
		return nil
	}
	if n, _, _ := c.port.Load(); n == 0 { // else it is too early, and what was gathered need not be written yet
		c.flush()
	}
	if err := c.lossReason(); err != nil {
		return err
	}
	if n, _, _ := c.port.Load(); n > 0 {
		c.port.CatchUp()
		return nil
	}
	l := websock.Lag{LeftOut: c.port.CaughtUp()}
	c.beforeCallback()
	if r := c.recorder(); r != nil {
		defer r.returned(c.begins(r, "lag", 0))
	}
	defer c.took(callLag, c.clock())
	r := h.HandleLag(ctx, l)
	return c.apply(&r)
}
