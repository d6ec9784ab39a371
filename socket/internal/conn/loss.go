package conn

import (
	"time"

	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// lostError is the exit reason when the transport fails.
type lostError struct {
	op    string
	err   error
	waits bool // it waits in the mailbox: what was read before is still handled, and what is pushed meanwhile is dropped
}

func (e *lostError) Error() string   { return "connection lost: " + e.op + ": " + e.err.Error() }
func (e *lostError) Unwrap() []error { return []error{websock.ErrRemote, e.err} }

// lose ends the process because the transport has failed. TCP is closed at once, however long the callback in progress
// takes.
func (c *Conn) lose(op string, err error) {
	c.lost.CompareAndSwap(nil, &lostError{op: op, err: err})
	if l := c.lost.Load(); !l.waits {
		c.port.Fail(l)
	}
	c.abort()
}

// loseInRead is lose when a read has failed, or would. Frames that wait in the mailbox are handled first.
func (c *Conn) loseInRead(err error) {
	if !c.anyQueued() {
		c.lose("read", err)
		return
	}
	c.lost.CompareAndSwap(nil, &lostError{"read", err, true})
	if l := c.lost.Load(); !c.port.QueueLast(&readEnd{l}, l) { // an Exit waits, or the end is decided
		c.port.Fail(l)
	}
	c.abort()
}

// lossReason is the exit reason for a callback that can write no more. nil: nothing has failed, or the loss is handled in its
// turn.
func (c *Conn) lossReason() error {
	l := c.lost.Load()
	switch {
	case l == nil:
		return nil
	case c.isOverloaded():
		return websock.ErrOverload
	case l.waits:
		return nil
	}
	return l
}

func (c *Conn) isOverloaded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.overloaded
}

// Overflow implements host.Host, on the goroutine of a sender. A peer that does not read has CloseTimeout to take what waits
// for it. One that reads gets the Close frame at once, however long the callback in progress takes, and then has
// CloseTimeout for its answer, before TCP is closed.
func (c *Conn) Overflow() {
	c.mu.Lock()
	c.overloaded = c.lost.Load() == nil
	opened := c.life != opening // nothing is written before that
	c.mu.Unlock()
	if !opened {
		return
	}
	c.group.opts.Overflowed(c)
	if d := c.group.opts.CloseTimeout; d > 0 {
		c.wire.LimitWrites(time.Now().Add(d))
	}
	if c.hold() {
		c.port.Go((*overload)(c))
	}
}

// overload is the task that writes the Close frame of an overload, even while a callback runs. Ending, which runs when the
// callback has returned, would write one, too: whichever is first does.
type overload Conn

func (o *overload) Run() {
	c := (*Conn)(o)
	defer c.release()
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
	c.wire.CloseWrite() //nolint:errcheck,gosec // then the peer does not see it
	wait := c.group.opts.CloseTimeout
	if wait <= 0 {
		c.abort()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life == open { // else Ending, or the reader after it, sees to the rest
		c.saidGoodbye = true
		c.group.deadlines.Set(&c.deadline, c, time.Now(), wait)
	}
}
