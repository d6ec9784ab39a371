package conn

import (
	"context"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
	"github.com/troupe-dev/troupe/websock"
)

// drainBegins tells a connection whose handler is a Drainer that a drain has begun. It is a host.Deferred, so that Notify
// can send it: even a full mailbox takes it, and a busy socket does not end with an overload.
type drainBegins struct{ by time.Time }

func (m drainBegins) Content() any              { return m }
func (m drainBegins) Due(actor.PID) (any, bool) { return m, true }

// Drains tells whether the handler is a Drainer.
func (c *Conn) Drains() bool {
	_, ok := optional[websock.Drainer](c.handler)
	return ok
}

// AskDrain has the process call HandleDrain. It does not wait for that.
func (c *Conn) AskDrain(by time.Time) {
	if ref, ok := host.RefOf(c.PID()); ok {
		ref.Notify(drainBegins{by})
	}
}

// Silent tells whether we have not written a Close frame.
func (c *Conn) Silent() bool {
	sent, _ := c.wire.CloseFrames()
	return sent == nil
}

// Farewell has a worker write the Close frame, even while a callback runs. If the peer does not read, the write ends when
// the connection is killed, or before.
func (c *Conn) Farewell(detail websock.CloseDetail) {
	if c.hold() {
		c.port.Go(&farewell{c, detail})
	}
}

// farewell is the task of Farewell.
type farewell struct {
	c      *Conn
	detail websock.CloseDetail
}

func (f *farewell) Run() {
	defer f.c.release()
	if f.c.wire.AppendClose(f.detail) == nil { // else it is written, or nothing can be
		_ = f.c.wire.Flush()
	}
}

func (c *Conn) receiveDrain(ctx context.Context, m drainBegins) error {
	d, ok := optional[websock.Drainer](c.handler)
	if !ok || c.stage == draining { // a connection that opens just as the drain begins may be asked twice
		return nil
	}
	c.stage = draining
	c.beforeCallback()
	if r := c.recorder(); r != nil {
		defer r.returned(c.begins(r, "drain", 0))
	}
	defer c.took(callDrain, c.clock())
	r := d.HandleDrain(ctx, m.by)
	return c.apply(&r)
}
