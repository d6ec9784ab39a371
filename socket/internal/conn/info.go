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
	Subject                    string
	Mailbox                    int
	Lag                        websock.Lag
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
	switch a := host.ActorOf(ctx).(type) {
	case *Conn:
		return a
	case *observed:
		return a.Conn
	}
	return nil
}

// Since is when the process was made. It is for comparing connections of one Group.
func (c *Conn) Since() time.Duration { return c.since }

// Info describes the connection.
func (c *Conn) Info() Info {
	i := c.info()
	if p, err := actor.Inspect(i.PID); err == nil {
		i.Label, i.Mailbox = p.Label, p.Mailbox
		i.Lag = websock.Lag{Messages: p.Mailbox, Bytes: c.port.WaitingBytes(sizeOf) + int64(c.wire.Unwritten()), Age: p.Oldest,
			LeftOut: p.LeftOut}
	}
	return i
}

// sizeOf is what a message that waits will take on the wire, at most, if it is one for the client.
func sizeOf(msg any) int {
	m, _ := msg.(websock.Message)
	return len(m.Data)
}

// long is how long a callback runs that Tally.Long counts.
const long = time.Second

// Tally is what many connections have in sum.
type Tally struct {
	Counts  wire.Counts
	Mailbox int           // of the one with the most messages
	Age     time.Duration // of the oldest message of all
	Long    int           // how many have a callback that has been running for a second or longer

	touched uint64 // says nothing; it is there so that the compiler leaves no look out
}

// Add adds the connections to t. It is for going through very many: for each it takes two locks, one after the other and
// each for a moment, and what it needs of them lies in seven cache lines, each of which is a miss. Misses that do not depend
// on each other are waited for at once, but no look past a lock begins before that is taken. So the lines of the next
// few connections are touched first, without a lock: that takes half of the time.
func (t *Tally) Add(cs []*Conn) {
	const few = 32
	touched := uint64(0)
	for len(cs) > 0 {
		next := cs[:min(few, len(cs))]
		cs = cs[len(next):]
		for _, c := range next {
			touched += uint64(c.since)
		}
		for _, c := range next {
			touched += c.wire.Touch() + c.port.Touch()
		}
		for _, c := range next {
			t.Counts.Add(c.wire.Counts())
			n, oldest, callback := c.port.Load()
			t.Mailbox, t.Age = max(t.Mailbox, n), max(t.Age, oldest)
			if callback >= long {
				t.Long++
			}
		}
	}
	t.touched += touched
}

// Asleep is how many connections of the Group sleep.
func (g *Group) Asleep() int { return int(g.asleep.Load()) }

// Brief is Info without Label, Mailbox and Lag, for which the process has to be asked.
func (c *Conn) Brief() Info { return c.info() }

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
		Subject:     c.subject(),
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

// SetTag sets Scope.Tag of a connection that has a Scope, before Open.
func (c *Conn) SetTag(v any) { c.scope.Tag = v }

// Tag is what SetTag has set; nil: nothing.
func (c *Conn) Tag() any {
	if c.scope == nil {
		return nil
	}
	return c.scope.Tag
}

func (c *Conn) subject() string {
	if c.scope == nil {
		return ""
	}
	return c.scope.Subject
}

// End describes a connection that has ended. It is for Options.Closed.
func (c *Conn) End() End {
	e := End{Info: c.info()}
	e.Sent, e.Received = c.wire.CloseFrames()
	c.mu.Lock()
	defer c.mu.Unlock()
	e.Reason, e.Dropped = c.end.reason, c.end.dropped
	e.Lag.LeftOut = c.end.leftOut
	e.Lost = e.Reason == error(c.lost.Load()) || e.Reason == error(c.end.left)
	if c.end.refused != nil {
		e.Reason = c.end.refused
	}
	return e
}
