package observer

import (
	"slices"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

// exitJSON is how a socket or a process has ended.
type exitJSON struct {
	PID      actor.PID   `json:"pid"`
	Server   string      `json:"server,omitempty"`
	Label    string      `json:"label"`
	Subject  string      `json:"subject,omitempty"`
	Address  string      `json:"address,omitempty"`
	Actor    string      `json:"actor,omitempty"`
	Cause    string      `json:"cause"`
	Kind     string      `json:"kind"`
	Reason   string      `json:"reason"`
	Ended    time.Time   `json:"ended"`
	Lifetime *float64    `json:"lifetime_ms,omitempty"`
	Sent     *closeJSON  `json:"sent"`
	Received *closeJSON  `json:"received"`
	Dropped  uint64      `json:"dropped,omitempty"`
	LeftOut  uint64      `json:"left_out,omitempty"`
	Read     *countJSON  `json:"read,omitempty"`
	Written  *countJSON  `json:"written,omitempty"`
	Events   []eventJSON `json:"events"`
}

type closeJSON struct {
	Code   websock.CloseCode `json:"code"`
	Reason string            `json:"reason"`
}

func closeOf(d *websock.CloseDetail) *closeJSON {
	if d == nil {
		return nil
	}
	return &closeJSON{d.Code, text(d.Reason, mostError)}
}

// ended is one end, before it is made text of.
type ended struct {
	server string
	closed *socket.Closed // of a socket, else
	actor  *actor.Exit
}

func (e *ended) pid() actor.PID {
	if e.closed != nil {
		return e.closed.PID
	}
	return e.actor.PID
}

func (e *ended) at() time.Time {
	if e.closed != nil {
		return e.closed.Since.Add(e.closed.Lifetime)
	}
	return e.actor.At
}

func (e *ended) cause() socket.Cause {
	if e.closed != nil {
		return e.closed.Cause
	}
	return causeOf(e.actor.Reason)
}

// causeOf is socket.CauseOf a reason whose methods may panic.
func causeOf(reason error) (cause socket.Cause) {
	defer func() {
		if recover() != nil {
			cause = socket.CauseError
		}
	}()
	return socket.CauseOf(reason)
}

func (e *ended) json() exitJSON {
	v := exitJSON{PID: e.pid(), Server: e.server, Cause: e.cause().String(), Ended: e.at()}
	if x := e.actor; x != nil {
		v.Label, v.Actor, v.Kind, v.Reason = text(x.Label, mostName), text(x.Actor, mostName), kindText(x.Reason), errorText(x.Reason)
		return v
	}
	c := e.closed
	read, written := total(c.Read), total(c.Written)
	v.Label, v.Subject, v.Address = text(c.Label, mostName), text(c.Subject, mostName), text(addrText(c.RemoteAddr), mostName)
	v.Kind, v.Reason, v.Lifetime = kindText(c.Reason), errorText(c.Reason), new(ms(c.Lifetime))
	v.Dropped, v.LeftOut = c.Dropped, c.Lag.LeftOut
	v.Sent, v.Received, v.Read, v.Written = closeOf(c.Sent), closeOf(c.Received), &read, &written
	v.Events = eventsOf(c.Record)
	return v
}

// lastExits are the last ends of sockets, and the last abnormal ones of processes, in no order.
func (o *Observer) lastExits() []ended {
	var all []ended
	for _, s := range o.servers {
		last := s.LastClosed()
		for i := range last {
			all = append(all, ended{server: s.name, closed: &last[i]})
		}
	}
	last := o.sys.LastExits()
	for i := range last {
		all = append(all, ended{actor: &last[i]})
	}
	return all
}

func (o *Observer) exits(q query, cause string, b budget) (any, error) {
	c, matched := b.slowClock(), 0
	all := o.lastExits()
	slices.SortStableFunc(all, func(a, b ended) int { return b.at().Compare(a.at()) })
	if q.asc {
		slices.Reverse(all)
	}
	rows := []exitJSON{}
	for i := range all {
		if c.over() {
			break
		}
		if cause != "" && all[i].cause().String() != cause {
			continue
		}
		row := all[i].json()
		if !q.finds(row.Label, row.Subject, row.Address, row.Actor, row.Reason) && !q.findsPID(row.PID) {
			continue
		}
		matched++
		if len(rows) < q.limit {
			rows = append(rows, row)
		}
	}
	return c.list(len(all), matched, rows), nil
}
