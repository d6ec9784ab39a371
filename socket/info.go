package socket

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"runtime/debug"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// ConnInfo describes one socket, at one moment.
type ConnInfo struct {
	PID         actor.PID
	Label       string // see actor.SetLabel
	RemoteAddr  net.Addr
	Subprotocol string
	Compressed  bool      // permessage-deflate was negotiated
	Hibernated  bool      // the socket sleeps; see Config.HibernateAfter
	Since       time.Time // of the upgrade
	LastRead    time.Time // when bytes last came from the peer; zero: never
	LastWrite   time.Time // when a write to the peer was last completed; zero: never
	// RTT is how long the peer took to answer our last ping; 0: not known.
	RTT time.Duration
	// Mailbox is how many messages wait for the process.
	Mailbox int
	Read    Counts
	Written Counts
}

// Counts are frames and their payload bytes in one direction, each frame of the wire once, as it was on the wire: bytes
// of compressed messages are compressed bytes. Continuation frames are counted apart from the frame that begins their
// message; we send none.
type Counts struct {
	Text, Binary, Continuation, Ping, Pong, Close FrameCount
}

// FrameCount is a number of frames and of the payload bytes in them.
type FrameCount struct {
	Frames, Bytes int64
}

func (c Counts) total() (n FrameCount) {
	for _, f := range [...]FrameCount{c.Text, c.Binary, c.Continuation, c.Ping, c.Pong, c.Close} {
		n.Frames += f.Frames
		n.Bytes += f.Bytes
	}
	return n
}

func countsOf(c wire.FrameCounts) Counts {
	return Counts{
		Text: FrameCount(c.Text), Binary: FrameCount(c.Binary), Continuation: FrameCount(c.Continuation),
		Ping: FrameCount(c.Ping), Pong: FrameCount(c.Pong), Close: FrameCount(c.Close),
	}
}

func (c *conn) info() ConnInfo {
	a, n := c.wire.Activity(), c.wire.Counts()
	info := ConnInfo{
		PID:         c.pid(),
		RemoteAddr:  c.wire.RemoteAddr(),
		Subprotocol: c.wire.Subprotocol(),
		Compressed:  c.wire.Compressed(),
		Hibernated:  c.sleep.state() == sleepAsleep,
		Since:       c.since,
		LastRead:    a.LastRead,
		LastWrite:   a.LastWrite,
		RTT:         c.pulse.lastRTT(),
		Read:        countsOf(n.In),
		Written:     countsOf(n.Out),
	}
	if p, err := actor.Inspect(c.pid()); err == nil {
		info.Label, info.Mailbox = p.Label, p.Mailbox
	} else {
		c.mu.Lock()
		info.Label = c.label
		c.mu.Unlock()
	}
	return info
}

// Closed is how a socket ended.
type Closed struct {
	ConnInfo
	// Reason is the exit reason as Terminate got it. Monitors got the same, but for an Exit with a Close frame that cannot
	// be sent: that is a *websock.ResultError here, and what was given to Exit there.
	Reason error
	// Sent and Received are the Close frames; nil: none. An empty one has the code 1005.
	Sent, Received *websock.CloseDetail
	// Dropped is how many messages of other processes were refused by MailboxLimit, waited when the end overtook them,
	// or came after it.
	Dropped uint64
}

func (c *conn) closed() Closed {
	info := c.info()
	sent, received := c.wire.CloseFrames()
	c.mu.Lock()
	defer c.mu.Unlock()
	info.Label, info.Mailbox = c.label, 0
	return Closed{ConnInfo: info, Reason: c.exitReason(), Sent: sent, Received: received, Dropped: c.dropped}
}

// exitReason is the reason as Terminate got it; c.mu is held.
func (c *conn) exitReason() error {
	if c.refused != nil {
		return c.refused
	}
	return c.reason
}

// logLevel is the level of the line about the end, and whether the Logger wants it.
func (c *conn) logLevel() (level slog.Level, wanted bool) {
	level = slog.LevelError // for reasons that panic
	defer c.catchBadReason()
	c.mu.Lock()
	reason := c.exitReason()
	c.mu.Unlock()
	_, received := c.wire.CloseFrames()
	switch {
	case exit.KindOf(reason) == exit.Abnormal:
	case reason == error(c.lost.Load()) && received == nil: // a lost error of its own, not of another socket
		level = slog.LevelDebug
	default:
		level = slog.LevelInfo
	}
	return level, c.srv.cfg.Logger.Enabled(context.Background(), level)
}

// catchBadReason is deferred where the exit reason is looked into: it may be anybody's error, whose methods may do
// anything.
func (c *conn) catchBadReason() {
	if r := recover(); r != nil {
		c.srv.cfg.Logger.LogAttrs(context.Background(), slog.LevelError, "panic in the exit reason",
			append([]slog.Attr{slog.String("pid", c.pid().String()), slog.Any("panic", r)}, c.logAttrs()...)...)
	}
}

// log writes the line that answers "why did this user drop".
func (c *conn) log(level slog.Level, cl Closed) {
	defer c.catchBadReason()
	log := c.srv.cfg.Logger
	read, written := cl.Read.total(), cl.Written.total()
	attrs := []slog.Attr{
		slog.String("pid", cl.PID.String()),
		slog.String("label", cl.Label),
		slog.String("remote_addr", cl.RemoteAddr.String()),
		slog.String("age", time.Since(cl.Since).String()), // a Duration is a bare number in JSON
		slog.Any("exit_reason", cl.Reason),
		slog.Int64("frames_read", read.Frames),
		slog.Int64("bytes_read", read.Bytes),
		slog.Int64("frames_written", written.Frames),
		slog.Int64("bytes_written", written.Bytes),
		slog.Uint64("dropped", cl.Dropped),
	}
	attrs = appendClose(attrs, "close_sent", cl.Sent)
	attrs = appendClose(attrs, "close_received", cl.Received)
	var panicked *actor.PanicError
	if errors.As(cl.Reason, &panicked) {
		attrs = append(attrs, slog.String("stack", string(panicked.Stack)))
	}
	log.LogAttrs(context.Background(), level, "socket closed", append(attrs, c.logAttrs()...)...)
}

// appendClose logs the code alone: a close reason that the peer wrote is payload. (So [websock.RemoteCloseError] leaves it
// out of its text.)
func appendClose(attrs []slog.Attr, key string, d *websock.CloseDetail) []slog.Attr {
	if d == nil {
		return attrs
	}
	return append(attrs, slog.Int(key, int(d.Code)))
}

// callOnClose has f called when it is its turn.
func (c *conn) callOnClose(f func(Closed), cl Closed) {
	log, attrs := c.srv.cfg.Logger, c.logAttrs() // not c, which would be kept until f is called
	c.srv.closes.Do(func() {
		defer func() {
			if r := recover(); r != nil {
				log.LogAttrs(context.Background(), slog.LevelError, "panic in Config.OnClose", append([]slog.Attr{
					slog.String("pid", cl.PID.String()), slog.Any("panic", r), slog.String("stack", string(debug.Stack()))}, attrs...)...)
			}
		}()
		f(cl)
	})
}
