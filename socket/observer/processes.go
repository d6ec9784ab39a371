package observer

import (
	"cmp"
	"time"

	"github.com/troupe-dev/troupe/actor"
)

// processAsk is a question about all processes.
type processAsk struct {
	query
	kind    processKind
	top     top[processRow]
	matched int
	clock   clock
	of      int
}

// processKind says which processes are asked for.
type processKind uint8

const (
	plainProcesses processKind = iota
	socketProcesses
	allProcesses
)

var processKinds = map[string]processKind{"": plainProcesses, "process": plainProcesses, "socket": socketProcesses, "all": allProcesses}

// processRow is one process as a sweep has seen it.
type processRow struct {
	actor.ProcessInfo
	server string // of which it is a socket
}

var processSorts = []string{"mailbox", "oldest", "running", "handled", "dropped", "age", "children"}

func newProcessAsk(q query, kind processKind) *processAsk {
	a := &processAsk{query: q, kind: kind}
	a.top = top[processRow]{limit: q.limit, better: ordered(q, processOrder(q.sort))}
	return a
}

// processOrder is the order by sort; the older process comes first among equals.
func processOrder(sort string) func(a, b *processRow) bool {
	var by func(a, b *processRow) int
	switch sort {
	case "mailbox":
		by = func(a, b *processRow) int { return cmp.Compare(a.Mailbox, b.Mailbox) }
	case "oldest":
		by = func(a, b *processRow) int { return cmp.Compare(a.Oldest, b.Oldest) }
	case "running":
		by = func(a, b *processRow) int { return cmp.Compare(a.For, b.For) }
	case "handled":
		by = func(a, b *processRow) int { return cmp.Compare(a.Handled, b.Handled) }
	case "dropped":
		by = func(a, b *processRow) int { return cmp.Compare(a.Dropped, b.Dropped) }
	case "age":
		by = func(a, b *processRow) int { return b.Since.Compare(a.Since) }
	case "children":
		by = func(a, b *processRow) int { return cmp.Compare(len(a.Children), len(b.Children)) }
	}
	return func(a, b *processRow) bool { return cmp.Or(by(a, b), b.Since.Compare(a.Since)) > 0 }
}

func (a *processAsk) see(r *processRow) {
	switch a.kind {
	case plainProcesses:
		if r.server != "" {
			return
		}
	case socketProcesses:
		if r.server == "" {
			return
		}
	}
	if a.q != "" && !a.finds(r.Label, r.Actor) && !a.findsPID(r.PID) {
		return
	}
	a.matched++
	a.top.add(r)
}

// lookAtProcesses shows all processes to those who ask, as far as the budget goes.
func (o *Observer) lookAtProcesses(b budget, asks []*processAsk) {
	if len(asks) == 0 {
		return
	}
	c := b.clock()
	for info := range o.sys.Processes() {
		if c.over() {
			break
		}
		row := processRow{ProcessInfo: info}
		if s, _ := o.serverOf(info.PID); s != nil {
			row.server = s.name
		}
		for _, a := range asks {
			a.see(&row)
		}
	}
	of := o.sys.Stats().Processes
	for _, a := range asks {
		a.clock, a.of = c, of
	}
}

func (a *processAsk) list() any {
	rows := a.top.best()
	shown := make([]processJSON, len(rows))
	for i := range rows {
		shown[i] = rows[i].json()
	}
	return a.clock.list(a.of, a.matched, shown)
}

// processJSON is a process in a list.
type processJSON struct {
	PID      actor.PID  `json:"pid"`
	Label    string     `json:"label"`
	Actor    string     `json:"actor"`
	Server   string     `json:"server,omitempty"`
	Since    time.Time  `json:"since"`
	Mailbox  int        `json:"mailbox"`
	Oldest   float64    `json:"oldest_ms"`
	Handled  uint64     `json:"handled"`
	Dropped  uint64     `json:"dropped"`
	Ending   bool       `json:"ending"`
	Parent   *actor.PID `json:"parent,omitempty"`
	Children int        `json:"children"`
	Handling string     `json:"handling"`
	For      float64    `json:"for_ms"`
}

func (r *processRow) json() processJSON {
	return processJSON{
		PID: r.PID, Label: text(r.Label, mostName), Actor: text(r.Actor, mostName), Server: r.server, Since: r.Since, Mailbox: r.Mailbox,
		Oldest: ms(r.Oldest), Handled: r.Handled, Dropped: r.Dropped, Ending: r.Ending, Parent: pidOf(r.Parent), Children: len(r.Children),
		Handling: text(r.Handling, mostName), For: ms(r.For),
	}
}

// pidOf is nil for nobody.
func pidOf(p actor.PID) *actor.PID {
	if p == (actor.PID{}) {
		return nil
	}
	return &p
}
