package conn

import (
	"context"
	"crypto/tls"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// end is what is known of the end, from the first moment on. Conn.mu guards it.
type end struct {
	readEnd error               // why reading has ended, when that has become the exit reason
	detail  websock.CloseDetail // of the Result that stops
	left    *lostError          // what it ends with when the peer, which is not read, has left, and a callback does not return
	refused error               // what Terminate gets when the exit reason carries a Close frame that cannot be sent
	reason  error               // the exit reason, when the process is dead
	label   string              // likewise
	dropped uint64              // likewise
}

// ends has f note what is known now. It is called when a connection ends, so that one that does not has no place for it.
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

// Ending implements host.Host: what was pushed, then the Close frame, then FIN. From here on the reader only waits for
// the peer's Close, if that has not come.
func (c *Conn) Ending(reason error) (brief bool) {
	e := c.beginEnding()
	waits := false // for the peer's Close
	defer func() { // also when a method of the reason has ended this goroutine: then there is no Close frame to wait for
		c.wire.Discard()
		c.endEnding(waits)
	}()
	detail, ok := c.closeFrame(reason, e)
	if !ok || !c.sayGoodbye(detail) {
		return c.brief()
	}
	if reason != e.readEnd || !c.wire.Finished() { // the reader waits for the end of this
		c.wire.CloseWrite() //nolint:errcheck,gosec // the end of TCP comes in any case
		waits = c.group.opts.CloseTimeout > 0
	} else if _, ok := c.wire.Transport().(*tls.Conn); ok { // nothing follows the peer's Close: FIN comes with TCP's end
		c.wire.CloseWrite() //nolint:errcheck,gosec // close_notify
	}
	return c.brief()
}

// beginEnding makes life ending, and returns what is known.
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

// sayGoodbye writes the Close frame after what was pushed. The goodbye of an overload may have been before it.
func (c *Conn) sayGoodbye(d websock.CloseDetail) bool {
	err := c.wire.AppendClose(d)
	if err != nil && err != wire.ErrCloseSent { //nolint:errorlint // never wrapped
		return false
	}
	return c.wire.Flush() == nil
}

// endEnding makes life closing, unless TCP is closed. A connection that sleeps goes on sleeping while there is something to
// wait for.
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
		c.rouse()
	}
}

// brief: without a Terminator there is nothing that the reader should not wait for.
func (c *Conn) brief() bool {
	_, ok := c.handler.(websock.Terminator)
	return !ok || !c.initialized
}

// Terminate implements actor.Terminator.
func (c *Conn) Terminate(ctx context.Context, reason error) {
	defer func() {
		c.mu.Lock()
		c.terminated = true
		c.mu.Unlock()
	}()
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

// Exited implements host.Host, on any goroutine. It does not look into the reason, which may be anybody's error.
func (c *Conn) Exited(info actor.ProcessInfo, reason error) {
	opened := false
	c.ends(func(e *end) {
		e.reason, e.label, e.dropped = reason, info.Label, info.Dropped
		opened = c.life != opening
	})
	if opened {
		c.exited()
	}
}

// exited is the rest of Exited, for a connection that has been opened.
func (c *Conn) exited() {
	c.mu.Lock()
	killed := !c.terminated
	c.mu.Unlock()
	if !killed {
		return
	}
	c.abort()
	if c.port.Delivering() { // the reader may be stuck in a callback
		c.readerGone()
	}
}

// Gone implements host.Host.
func (c *Conn) Gone() {
	if c.letGoLast() {
		c.port.Go((*reporter)(c)) // this goroutine may be anybody's
	}
}
