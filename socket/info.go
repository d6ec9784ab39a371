package socket

import (
	"context"
	"net"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket/internal/conn"
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// ConnInfo describes one socket, at one moment.
type ConnInfo struct {
	PID         actor.PID
	Server      string // Config.Name
	Label       string // see actor.SetLabel
	Subject     string // what Config.Subject has returned
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
	Lag     websock.Lag // how far it is behind
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

func (s *Server) infoOf(i conn.Info) ConnInfo {
	return ConnInfo{
		PID: i.PID, Server: s.cfg.Name, Label: i.Label, Subject: i.Subject, RemoteAddr: i.RemoteAddr, Subprotocol: i.Subprotocol, Compressed: i.Compressed,
		Hibernated: i.Asleep, Since: i.Since, LastRead: i.LastRead, LastWrite: i.LastWrite, RTT: i.RTT, Mailbox: i.Mailbox, Lag: i.Lag,
		Read: countsOf(i.Counts.In), Written: countsOf(i.Counts.Out),
	}
}

// Info describes the socket whose callback runs with ctx, or a context derived from it. It panics when ctx is not that of
// a socket's process.
func Info(ctx context.Context) ConnInfo {
	c := conn.Of(ctx)
	if c == nil {
		panic("socket: Info: ctx is not that of a socket's callback")
	}
	return c.Owner().(*Server).infoOf(c.Info())
}
