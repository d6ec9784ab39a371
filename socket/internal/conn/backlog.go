package conn

import (
	"io"
	"sync"

	"github.com/troupe-dev/troupe/socket/internal/notify"
	"github.com/troupe-dev/troupe/websock"
)

// backlog is what the reader has handed to a busy process, and what is still in its mailbox. When it is full, reading
// pauses until something was taken out, and TCP pushes back on the peer. Conn.mu guards it.
type backlog struct {
	messages int8 // for a moment one too few: a message may be taken out before it is counted
	controls int8
	paused   bool // the reader waits
	watched  bool // the notifier is armed for the end of the peer, while the reader waits
}

// At most this many wait.
const (
	maxMessages = 1
	maxControls = 16
)

// full tells whether one more must not be queued. c.mu is held.
func (c *Conn) full(control bool) bool {
	if control {
		return c.backlog.controls >= maxControls
	}
	return c.backlog.messages >= maxMessages
}

func (c *Conn) anyQueued() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.backlog.messages > 0 || c.backlog.controls > 0
}

// awaitRoom pauses reading until one more may be queued. False: the process takes no more.
func (c *Conn) awaitRoom(control bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life == open && c.full(control) {
		c.pause(control)
	}
	c.backlog.paused = false
	if c.backlog.watched {
		c.backlog.watched = false
		c.group.notifier.Disarm(&c.sleeper, c.wire.Transport())
	}
	return c.life == open
}

// pause waits for room, after it has flushed what is to be written to the peer, such as a pong. c.mu is held, except
// meanwhile.
func (c *Conn) pause(control bool) {
	c.backlog.paused = true
	c.mu.Unlock()
	if c.wire.Pending() {
		c.flush()
	}
	if c.port.Callback() >= longCallback { // else the watch does it once a callback has run for that long
		c.watchPeer(notify.HalfClosed)
	}
	c.mu.Lock()
	for c.life == open && c.full(control) {
		c.await()
	}
}

// await waits until tell is called, which is after each change of life or backlog that somebody may wait for. c.mu is held.
func (c *Conn) await() {
	if c.changed == nil {
		c.changed = sync.NewCond(&c.mu)
	}
	c.changed.Wait()
}

func (c *Conn) tell() {
	if c.changed != nil { // else nobody has waited yet
		c.changed.Broadcast()
	}
}

// counted counts a frame: n is 1 when it is put into the mailbox, and -1 when it is taken out.
func (c *Conn) counted(f *frame, n int8) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if op := f.msg.Opcode; op == websock.OpPing || op == websock.OpPong {
		c.backlog.controls += n
	} else {
		c.backlog.messages += n
	}
	if n < 0 && c.backlog.paused {
		c.tell()
	}
}

// watchPeer arms the notifier for the end of the peer while reading is paused, where that is supported. want is HalfClosed,
// and after that has happened, Gone.
func (c *Conn) watchPeer(want notify.Event) {
	c.mu.Lock()
	var already notify.Event
	if c.life == open && c.backlog.paused && (want == notify.Gone || !c.backlog.watched) {
		if c.backlog.watched {
			c.group.notifier.Disarm(&c.sleeper, c.wire.Transport()) // still armed, if the Wake came late
		}
		var err error
		already, err = c.group.notifier.Arm(&c.sleeper, c.wire.Transport(), c, want)
		c.backlog.watched = err == nil && already == 0
	}
	c.mu.Unlock()
	if already != 0 {
		c.peerEnded(already)
	}
}

// peerEnded is called when the peer has ended TCP while reading is paused. A peer that has ended only its own direction may
// have sent messages and a Close before. The reader gets them when the process makes room for more: each callback until then
// may take AbandonAfter.
func (c *Conn) peerEnded(how notify.Event) {
	switch how {
	case notify.HalfClosed:
		left := &lostError{op: "read", err: io.EOF}
		c.ends(func(e *end) { e.left = left })
		c.port.Leaving(left)
		c.watchPeer(notify.Gone)
	case notify.Gone:
		c.loseInRead(io.ErrUnexpectedEOF)
	}
}
