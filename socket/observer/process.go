package observer

import (
	"context"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
)

// How much of one process is shown.
const (
	mostRegistrations = 200
	mostPIDs          = 100 // children
)

// processDetailJSON is one process.
type processDetailJSON struct {
	At       time.Time    `json:"at"`
	PID      actor.PID    `json:"pid"`
	Alive    bool         `json:"alive"`
	Label    string       `json:"label"`
	Actor    string       `json:"actor"`
	Since    time.Time    `json:"since"`
	Mailbox  int          `json:"mailbox"`
	Oldest   float64      `json:"oldest_ms"`
	Handled  uint64       `json:"handled"`
	Dropped  uint64       `json:"dropped"`
	Ending   bool         `json:"ending"`
	Parent   *actor.PID   `json:"parent"`
	Children []*actor.PID `json:"children"`
	Total    int          `json:"children_total"`
	Handling string       `json:"handling"`
	For      float64      `json:"for_ms"`

	Socket             *socketDetailJSON  `json:"socket"`
	Registrations      []registrationJSON `json:"registrations"`
	RegistrationsTotal int                `json:"registrations_total"`
	State              *valueJSON         `json:"state"`
	StateError         string             `json:"state_error"`
	Events             []eventJSON        `json:"events"`
}

type socketDetailJSON struct {
	socketJSON
	Frames struct {
		Read    framesJSON `json:"read"`
		Written framesJSON `json:"written"`
	} `json:"frames"`
}

type registrationJSON struct {
	Kind string     `json:"kind"`
	Name string     `json:"name"`
	ID   *string    `json:"id,omitempty"`
	Key  string     `json:"key"`
	Meta *valueJSON `json:"meta"`
}

// endedJSON is a process that has ended, of which something is still known.
type endedJSON struct {
	At    time.Time `json:"at"`
	PID   actor.PID `json:"pid"`
	Alive bool      `json:"alive"`
	Exit  exitJSON  `json:"exit"`
}

// pid reads the text of a PID of Config.System, or of the System of one of the servers: each may have its own.
func (o *Observer) pid(s string) (actor.PID, error) {
	for _, srv := range o.servers {
		if pid, err := srv.System().ParsePID(s); err == nil && srv.System().Owns(pid) {
			return pid, nil
		}
	}
	pid, err := o.sys.ParsePID(s)
	if err != nil {
		return pid, failed(400, "bad_request", "%s", errorText(err))
	}
	if pid != (actor.PID{}) && pid.Node() != o.node {
		return pid, failed(404, "elsewhere", "%v is a process of the node %s; this is %s: ask the observer there", pid, pid.Node(), o.node)
	}
	return pid, nil
}

func gone(pid actor.PID) *failure {
	return failed(404, "gone", "there is no process %v: it has ended, and is not among the last exits that are kept", pid)
}

// process describes one process. It asks nothing of the process but what its handler says of itself.
func (o *Observer) process(ctx context.Context, of string) (any, error) {
	pid, err := o.pid(of)
	if err != nil {
		return nil, err
	}
	info, err := actor.Inspect(pid)
	if err != nil {
		for _, e := range o.lastExits() {
			if e.pid() == pid {
				return endedJSON{At: time.Now(), PID: pid, Exit: e.json()}, nil
			}
		}
		return nil, gone(pid)
	}
	v := processDetailJSON{
		At: time.Now(), PID: pid, Alive: true, Label: text(info.Label, mostName), Actor: text(info.Actor, mostName), Since: info.Since,
		Mailbox: info.Mailbox, Oldest: ms(info.Oldest), Handled: info.Handled, Dropped: info.Dropped, Ending: info.Ending,
		Parent: pidOf(info.Parent), Children: []*actor.PID{}, Total: len(info.Children),
		Handling: text(info.Handling, mostName), For: ms(info.For), Registrations: []registrationJSON{},
	}
	for i := range info.Children[:min(len(info.Children), mostPIDs)] {
		v.Children = append(v.Children, &info.Children[i])
	}
	o.registrations(pid, &v)
	if s, conn := o.serverOf(pid); s != nil {
		row := socketRow{ConnInfo: conn, server: s.name}
		v.Socket = &socketDetailJSON{socketJSON: row.json()}
		v.Socket.Frames.Read, v.Socket.Frames.Written = framesOf(conn.Read), framesOf(conn.Written)
		v.State, v.StateError = o.states.of(ctx, s, pid, &info)
		record, _ := s.Recorded(pid) // nil when it has ended meanwhile
		v.Events = eventsOf(record)
	}
	return v, nil
}

// eventJSON is one of the last things that have happened to a socket.
type eventJSON struct {
	At      float64 `json:"at_ms"`
	Sent    bool    `json:"sent"`
	What    string  `json:"what"`
	Size    int     `json:"size"`
	Took    float64 `json:"took_ms"`
	Waiting int     `json:"waiting"`
}

// eventsOf is nil when nothing is recorded.
func eventsOf(record []socket.Recorded) []eventJSON {
	if record == nil {
		return nil
	}
	events := make([]eventJSON, len(record))
	for i, r := range record {
		events[i] = eventJSON{At: ms(r.At), Sent: r.Sent, What: text(r.What, mostName), Size: r.Size, Took: ms(r.Took), Waiting: r.Waiting}
		if r.Took < 0 {
			events[i].Took = -1
		}
	}
	return events
}

func (o *Observer) registrations(pid actor.PID, v *processDetailJSON) {
	if o.cfg.Registry == nil {
		return
	}
	for r := range o.cfg.Registry.Of(pid) {
		v.RegistrationsTotal++
		if len(v.Registrations) < mostRegistrations {
			v.Registrations = append(v.Registrations, registrationJSON{
				Kind: r.Kind.String(), Name: text(r.Name, mostName), ID: idOf(r.Name), Key: text(r.Key, mostName), Meta: valueOf(r.Meta, mostMeta),
			})
		}
	}
}
