package socket

import (
	"time"

	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// Overflow implements host.Host, on the goroutine of a sender. A peer that does not read has a last chance to take what
// waits for it. One that reads is told at once, however long the callback in progress takes, and TCP is closed when the
// time for that and for its answer is over.
func (c *conn) Overflow() {
	c.overloaded.Store(c.lost.Load() == nil)
	if !c.opened.Load() { // nothing is written before that
		return
	}
	if d := c.srv.cfg.CloseTimeout; d > 0 {
		c.wire.LimitWrites(time.Now().Add(d))
	}
	if c.pulse.begin() {
		c.port.Go((*overload)(c))
	}
}

// overload is the task that writes the goodbye while a callback may run. Ending, which comes when that has returned,
// does the same: whichever is first writes the Close frame.
type overload conn

func (o *overload) Run() {
	c := (*conn)(o)
	defer c.pulse.done()
	err := c.wire.AppendClose(websock.CloseDetail{Code: websock.CloseTryAgainLater})
	if err == wire.ErrCloseSent { //nolint:errorlint // never wrapped
		return
	}
	if err == nil {
		err = c.wire.Flush()
	}
	if err != nil {
		c.lose("write", err)
		return
	}
	c.wire.CloseWrite()
	if d := c.srv.cfg.CloseTimeout; d > 0 {
		c.pulse.stop()
		c.pulse.part(d, false)
	} else {
		c.abort()
	}
}
