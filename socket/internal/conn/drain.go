package conn

import (
	"context"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
	"github.com/troupe-dev/troupe/websock"
)

// drainBegins tells a connection whose handler is a Drainer that a drain has begun. It is a host.Deferred, which a full
// mailbox takes, too: a busy socket must not end by it.
type drainBegins struct{ by time.Time }

func (m drainBegins) Content() any              { return m }
func (m drainBegins) Due(actor.PID) (any, bool) { return m, true }

// Drains tells whether the handler has a say in a drain.
func (c *Conn) Drains() bool {
	_, ok := c.handler.(websock.Drainer)
	return ok
}

// AskDrain has HandleDrain called in its turn.
func (c *Conn) AskDrain(by time.Time) {
	if ref, ok := host.RefOf(c.PID()); ok {
		ref.Notify(drainBegins{by})
	}
}

// Silent tells whether no Close frame was written.
func (c *Conn) Silent() bool {
	sent, _ := c.wire.CloseFrames()
	return sent == nil
}

// Farewell has the Close frame written while a callback may run. If the peer does not read, that ends when the connection
// is killed.
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
	defer f.c.letGo()
	if f.c.wire.AppendClose(f.detail) == nil { // else it is written, or nothing can be
		_ = f.c.wire.Flush()
	}
}

func (c *Conn) receiveDrain(ctx context.Context, m drainBegins) error {
	d, ok := c.handler.(websock.Drainer)
	if !ok || c.draining { // it opened just as the drain began, and was found twice
		return nil
	}
	c.draining = true
	c.beforeCallback()
	r := d.HandleDrain(ctx, m.by)
	return c.apply(&r)
}
