package conn

import (
	"context"
	"crypto/tls"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// end is what is known of the end of a connection so far. Conn.mu guards it.
type end struct {
	readEnd error               // why reading has ended, if that is the exit reason
	detail  websock.CloseDetail // of the Result that stopped the process
	left    *lostError          // the exit reason if the peer ends TCP while reading is paused, and a callback does not return
	refused error               // what Terminate gets if the exit reason carries a Close frame that cannot be sent
	killed  bool                // by Kill
	expiry  *expiry             // the last Expire; nil: none, or it was for never
	tooOld  bool                // it was told to end because of its age
	stream  *stream             // of the last Result that had one; nil: none, or it has ended

	// Exited sets these.
	reason  error // the exit reason
	label   string
	dropped uint64
	leftOut uint64
}

// ends has f note what has become known of the end. c.mu is held meanwhile. Only now room is made for it, so that a
// connection that does not end needs none.
func (c *Conn) ends(f func(e *end)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end == nil {
		c.end = new(end)
	}
	f(c.end)
}

func (c *Conn) noteDetail(d websock.CloseDetail) { c.ends(func(e *end) { e.detail = d }) }

func (c *Conn) receiveEnd(m *readEnd) error {
	c.ends(func(e *end) { e.readEnd = m.reason })
	return m.reason
}

// Ending implements host.Host: it writes what was pushed, then the Close frame, then FIN. After it the reader only waits for
// the peer's Close, if that has not come.
func (c *Conn) Ending(reason error) (brief bool) {
	if f := c.group.opts.Ending; f != nil {
		f(c)
	}
	e := c.beginEnding()
	waits := false // for the peer's Close
	defer func() { // even when a method of the reason calls runtime.Goexit: then there is no Close frame, and no wait
		c.wire.Discard()
		c.endEnding(waits)
	}()
	detail, ok := c.closeFrame(reason, e)
	if !ok || !c.sayGoodbye(detail) {
		return c.brief() && !c.streams()
	}
	if reason != e.readEnd || !c.wire.Finished() { // Finished is the reader's; after a readEnd, that waits until this returns
		c.wire.CloseWrite() //nolint:errcheck,gosec // the end of TCP comes in any case
		waits = c.group.opts.CloseTimeout > 0
	} else if _, ok := c.wire.Transport().(*tls.Conn); ok { // else FIN need not be sent here: the reader closes TCP at once
		c.wire.CloseWrite() //nolint:errcheck,gosec // close_notify
	}
	return c.brief() && !c.streams()
}

// beginEnding moves life on to ending, and returns what is known of the end.
func (c *Conn) beginEnding() (e end) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.become(ending)
	c.disarmLateFlush()
	if c.end != nil {
		e = *c.end
	}
	return e
}

// sayGoodbye writes the Close frame after what was pushed, unless the task of an overload or of Farewell has written one.
func (c *Conn) sayGoodbye(d websock.CloseDetail) bool {
	err := c.wire.AppendClose(d)
	if err != nil && err != wire.ErrCloseSent { //nolint:errorlint // never wrapped
		return false
	}
	return c.wire.Flush() == nil
}

// endEnding moves life on to closing, unless TCP is closed. A connection that sleeps goes on sleeping if the peer's Close is
// waited for.
func (c *Conn) endEnding(waits bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.become(closing)
	if c.life != closing {
		return
	}
	now := time.Now()
	if waits {
		c.waitsSince = c.group.at(now)
	}
	if c.reading == asleep && waits {
		c.group.deadlines.Set(&c.deadline, c, now, c.group.opts.CloseTimeout)
	} else {
		c.disarmAndWake()
	}
}

// brief tells whether Terminate takes no time, because the handler has none to call. Then the process may end on the reader's
// goroutine.
func (c *Conn) brief() bool {
	_, ok := optional[websock.Terminator](c.handler)
	return !ok || c.stage == fresh
}

// Terminate implements actor.Terminator. The stream ends before: what it has deferred may use what the handler's Terminate closes. A
// panic of that is logged; for a runtime.Goexit, the rest is deferred.
func (c *Conn) Terminate(ctx context.Context, reason error) {
	defer func() {
		c.mu.Lock()
		c.terminated = true
		c.mu.Unlock()
	}()
	defer c.terminate(ctx, reason)
	if s := c.takeStream(); s != nil && s.finish() {
		s.close()
	}
}

func (c *Conn) terminate(ctx context.Context, reason error) {
	if c.brief() {
		return
	}
	c.mu.Lock()
	if c.end != nil && c.end.refused != nil {
		reason = c.end.refused
	}
	c.mu.Unlock()
	c.handler.(websock.Terminator).Terminate(ctx, reason)
}

// Exited implements host.Host, on any goroutine. It calls no method of the reason, which may be anybody's error.
func (c *Conn) Exited(info actor.ProcessInfo, reason error) {
	opened := false
	c.ends(func(e *end) {
		e.reason, e.label, e.dropped, e.leftOut = reason, info.Label, info.Dropped, info.LeftOut
		opened = c.life != opening
	})
	if s := c.takeStream(); s != nil && s.finish() {
		c.port.Go(s)
	}
	if opened {
		c.exited()
	}
}

// exited is the rest of Exited, for a connection that has been opened. After a kill nobody else closes TCP.
func (c *Conn) exited() {
	c.mu.Lock()
	killed := !c.terminated
	c.mu.Unlock()
	if !killed {
		return
	}
	c.abort()
	if c.port.Delivering() { // the reader is in a callback, which may never return
		c.readerGone()
	}
}

// Abandoned implements host.Abandoner.
func (c *Conn) Abandoned(handling string, d time.Duration, stack string) {
	if f := c.group.opts.Abandoned; f != nil {
		f(c, handling, d, stack)
	}
}

// Who is the label of a process that has ended, and who its peer is.
func (c *Conn) Who() (label, subject string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end != nil {
		label = c.end.label
	}
	return label, c.subject()
}

// Gone implements host.Host.
func (c *Conn) Gone() {
	if c.releaseLast() {
		c.port.Go((*reporter)(c)) // not here: this goroutine may be anybody's
	}
}
