package observer

import (
	"cmp"
	"net"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
)

// server is one of Config.Servers, under the name by which it is shown.
type server struct {
	*socket.Server
	name string
}

// socketAsk is a question about all sockets.
type socketAsk struct {
	query
	server  string // "": all
	top     top[socketRow]
	matched int
	clock   clock
	of      int
}

// socketRow is one socket as a sweep has seen it.
type socketRow struct {
	socket.ConnInfo
	server string // by which it is shown
}

var socketSorts = []string{"lag", "bytes", "mailbox", "age", "rtt", "read", "written", "idle"}

func newSocketAsk(q query, server string) *socketAsk {
	a := &socketAsk{query: q, server: server}
	a.top = top[socketRow]{limit: q.limit, better: ordered(q, socketOrder(q.sort))}
	return a
}

// socketOrder is the order by sort; the older socket comes first among equals, so that rows do not jump.
func socketOrder(sort string) func(a, b *socketRow) bool {
	var by func(a, b *socketRow) int
	switch sort {
	case "lag":
		by = func(a, b *socketRow) int {
			return cmp.Or(cmp.Compare(a.Lag.Age, b.Lag.Age), cmp.Compare(a.Lag.Messages, b.Lag.Messages), cmp.Compare(a.Lag.Bytes, b.Lag.Bytes))
		}
	case "bytes":
		by = func(a, b *socketRow) int {
			return cmp.Compare(total(a.Read).Bytes+total(a.Written).Bytes, total(b.Read).Bytes+total(b.Written).Bytes)
		}
	case "mailbox":
		by = func(a, b *socketRow) int { return cmp.Compare(a.Mailbox, b.Mailbox) }
	case "age":
		by = func(a, b *socketRow) int { return b.Since.Compare(a.Since) }
	case "rtt":
		by = func(a, b *socketRow) int { return cmp.Compare(a.RTT, b.RTT) }
	case "read":
		by = func(a, b *socketRow) int { return cmp.Compare(total(a.Read).Bytes, total(b.Read).Bytes) }
	case "written":
		by = func(a, b *socketRow) int { return cmp.Compare(total(a.Written).Bytes, total(b.Written).Bytes) }
	case "idle":
		by = func(a, b *socketRow) int { return b.LastRead.Compare(a.LastRead) }
	}
	return func(a, b *socketRow) bool { return cmp.Or(by(a, b), b.Since.Compare(a.Since)) > 0 }
}

// see shows the question a socket.
func (a *socketAsk) see(r *socketRow) {
	if a.server != "" && a.server != r.server {
		return
	}
	if a.q != "" && !a.query.finds(r.Label, r.Subject, r.Subprotocol, addrText(r.RemoteAddr)) && !a.findsPID(r.PID) {
		return
	}
	a.matched++
	a.top.add(r)
}

// lookAtSockets shows all sockets to those who ask, as far as the budget goes. The sockets of a Server come in the order of a
// table by a hash, so that what it stops at is a sample by chance.
func (o *Observer) lookAtSockets(b budget, asks []*socketAsk) {
	if len(asks) == 0 {
		return
	}
	c, of := b.clock(), 0
	for _, s := range o.servers {
		of += s.Count()
	}
	left := len(o.servers)
	for _, s := range o.servers {
		share := c // each server has its part of what is left, so that a large one does not hide the others
		share.most = c.n + (c.most-c.n)/left
		share.until = time.Now().Add(time.Until(c.until) / time.Duration(left))
		left--
		row := socketRow{server: s.name}
		for _, info := range s.Sockets() {
			if share.over() {
				break
			}
			row.ConnInfo = info
			for _, a := range asks {
				a.see(&row)
			}
		}
		c.n, c.cut = share.n, c.cut || share.cut
	}
	for _, a := range asks {
		a.clock, a.of = c, of
	}
}

func (a *socketAsk) list() any {
	rows := a.top.best()
	shown := make([]socketJSON, len(rows))
	for i := range rows {
		shown[i] = rows[i].json()
	}
	return a.clock.list(a.of, a.matched, shown)
}

type countJSON struct {
	Frames int64 `json:"frames"`
	Bytes  int64 `json:"bytes"`
}

type lagJSON struct {
	Messages int     `json:"messages"`
	Bytes    int64   `json:"bytes"`
	Age      float64 `json:"age_ms"`
	LeftOut  uint64  `json:"left_out"`
}

// socketJSON is a socket in a list.
type socketJSON struct {
	PID         actor.PID  `json:"pid"`
	Server      string     `json:"server"`
	Label       string     `json:"label"`
	Subject     string     `json:"subject"`
	Address     string     `json:"address"`
	Subprotocol string     `json:"subprotocol"`
	Compressed  bool       `json:"compressed"`
	Asleep      bool       `json:"asleep"`
	Since       time.Time  `json:"since"`
	LastRead    *time.Time `json:"last_read"`
	LastWrite   *time.Time `json:"last_write"`
	RTT         float64    `json:"rtt_ms"`
	Mailbox     int        `json:"mailbox"`
	Lag         lagJSON    `json:"lag"`
	Read        countJSON  `json:"read"`
	Written     countJSON  `json:"written"`
}

func (r *socketRow) json() socketJSON {
	return socketJSON{
		PID: r.PID, Server: r.server, Label: text(r.Label, mostName), Subject: text(r.Subject, mostName),
		Address: text(addrText(r.RemoteAddr), mostName), Subprotocol: text(r.Subprotocol, mostName),
		Compressed: r.Compressed, Asleep: r.Hibernated, Since: r.Since, LastRead: timeOf(r.LastRead), LastWrite: timeOf(r.LastWrite),
		RTT: ms(r.RTT), Mailbox: r.Mailbox, Lag: lagJSON{Messages: r.Lag.Messages, Bytes: r.Lag.Bytes, Age: ms(r.Lag.Age), LeftOut: r.Lag.LeftOut},
		Read: total(r.Read), Written: total(r.Written),
	}
}

// framesJSON are the counts by the kind of frame.
type framesJSON struct {
	Text         countJSON `json:"text"`
	Binary       countJSON `json:"binary"`
	Continuation countJSON `json:"continuation"`
	Ping         countJSON `json:"ping"`
	Pong         countJSON `json:"pong"`
	Close        countJSON `json:"close"`
}

func framesOf(c socket.Counts) framesJSON {
	return framesJSON{countJSON(c.Text), countJSON(c.Binary), countJSON(c.Continuation), countJSON(c.Ping), countJSON(c.Pong), countJSON(c.Close)}
}

func total(c socket.Counts) (n countJSON) {
	for _, f := range [...]*socket.FrameCount{&c.Text, &c.Binary, &c.Continuation, &c.Ping, &c.Pong, &c.Close} {
		n.Frames += f.Frames
		n.Bytes += f.Bytes
	}
	return n
}

func addrText(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

// timeOf is nil for no time.
func timeOf(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// serverOf is the server of which pid is a socket; nil: of none. That of the live connections is one, too.
func (o *Observer) serverOf(pid actor.PID) (*server, socket.ConnInfo) {
	for _, s := range o.all {
		if info, err := s.Info(pid); err == nil {
			return s, info
		}
	}
	return nil, socket.ConnInfo{}
}
