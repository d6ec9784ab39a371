package conn

import (
	"context"
	"net"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// Info describes a connection at one moment; see socket.ConnInfo.
type Info struct {
	PID                        actor.PID
	Label                      string
	RemoteAddr                 net.Addr
	Subprotocol                string
	Compressed, Asleep         bool
	Since, LastRead, LastWrite time.Time
	RTT                        time.Duration
	Mailbox                    int
	Counts                     wire.Counts
}

// End is how a connection ended; see socket.Closed.
type End struct {
	Info
	Reason         error
	Lost           bool // the reason is that this connection's transport has failed
	Sent, Received *websock.CloseDetail
	Dropped        uint64
}

// Of is the connection whose callback runs with ctx, or a context derived from it; nil when there is none.
func Of(ctx context.Context) *Conn {
	c, _ := host.ActorOf(ctx).(*Conn)
	return c
}

// Since is when the process was made. It is for comparing connections of one Group.
func (c *Conn) Since() time.Duration { return c.since }

// Info describes the connection.
func (c *Conn) Info() Info {
	i := c.info()
	if p, err := actor.Inspect(i.PID); err == nil {
		i.Label, i.Mailbox = p.Label, p.Mailbox
	}
	return i
}

// info is Info without what only the process knows.
func (c *Conn) info() Info {
	a := c.wire.Activity()
	i := Info{
		PID:         c.PID(),
		RemoteAddr:  c.wire.RemoteAddr(),
		Subprotocol: c.wire.Subprotocol(),
		Compressed:  c.wire.Compressed(),
		Since:       c.group.time(c.since),
		LastRead:    a.LastRead,
		LastWrite:   a.LastWrite,
		Counts:      c.wire.Counts(),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	i.Asleep = c.reading == asleep
	i.RTT = c.ping.rtt
	if c.end != nil {
		i.Label = c.end.label
	}
	return i
}

// End describes a connection that has ended. It is for Options.Closed.
func (c *Conn) End() End {
	e := End{Info: c.info()}
	e.Sent, e.Received = c.wire.CloseFrames()
	c.mu.Lock()
	defer c.mu.Unlock()
	e.Reason, e.Dropped = c.end.reason, c.end.dropped
	e.Lost = e.Reason == error(c.lost.Load()) || e.Reason == error(c.end.left)
	if c.end.refused != nil {
		e.Reason = c.end.refused
	}
	return e
}
