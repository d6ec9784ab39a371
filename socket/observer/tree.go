package observer

import (
	"fmt"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/supervisor"
)

// How much of a tree is shown.
const (
	mostNodes    = 2000
	mostChildren = 200 // of one Dynamic, and of one process
	mostDepth    = 32
)

type treeJSON struct {
	At    time.Time  `json:"at"`
	Took  float64    `json:"took_ms"`
	Nodes int        `json:"nodes"`
	Cut   bool       `json:"cut"`
	Roots []nodeJSON `json:"roots"`
}

// nodeJSON is one node of the tree: what the parent says of it, and what it says itself.
type nodeJSON struct {
	ID       string     `json:"id"`
	Kind     string     `json:"kind"`
	Type     string     `json:"type,omitempty"`
	Name     string     `json:"name"`
	Strategy string     `json:"strategy,omitempty"`
	State    string     `json:"state,omitempty"`
	Restart  string     `json:"restart,omitempty"`
	Restarts int        `json:"restarts"`
	Shutdown float64    `json:"shutdown_ms"`
	Since    *time.Time `json:"since"`
	Last     string     `json:"last,omitempty"`
	LastKind string     `json:"last_kind,omitempty"`
	LastAt   *time.Time `json:"last_at,omitempty"`
	PID      *actor.PID `json:"pid,omitempty"`
	Label    string     `json:"label,omitempty"`
	Mailbox  *int       `json:"mailbox,omitempty"`
	Handling string     `json:"handling,omitempty"`
	For      float64    `json:"for_ms,omitempty"`
	Open     *int       `json:"open,omitempty"`
	Children []nodeJSON `json:"children,omitempty"`
	More     int        `json:"more,omitempty"`
}

// treeWalk is one walk over the tree.
type treeWalk struct {
	o     *Observer
	clock clock
}

func (o *Observer) tree(b budget) (any, error) {
	b.most = min(b.most, mostNodes)
	w := treeWalk{o: o, clock: b.slowClock()}
	roots := make([]nodeJSON, 0, len(o.cfg.Supervisors))
	for _, s := range o.cfg.Supervisors {
		if w.clock.over() {
			break
		}
		n := nodeJSON{Shutdown: shutdownMS(supervisor.Infinity)}
		w.service(&n, s, 0)
		n.ID = n.Name
		roots = append(roots, n)
	}
	return treeJSON{At: w.clock.begin, Took: ms(time.Since(w.clock.begin)), Nodes: w.clock.n, Cut: w.clock.cut, Roots: roots}, nil
}

// service says what a service is, and walks on below it.
func (w *treeWalk) service(n *nodeJSON, s supervisor.Service, depth int) {
	if s == nil {
		return
	}
	n.Type = fmt.Sprintf("%T", s)
	if named, ok := s.(fmt.Stringer); ok {
		n.Name = text(named.String(), mostName)
	}
	switch s := s.(type) {
	case *supervisor.Supervisor:
		n.Kind, n.Strategy = "supervisor", s.Strategy().String()
		children := s.Children()
		for i := range children {
			if depth >= mostDepth || w.clock.over() {
				n.More = len(children) - i
				return
			}
			n.Children = append(n.Children, w.child(&children[i], depth+1))
		}
	case *supervisor.Dynamic:
		n.Kind = "dynamic"
		for c := range s.Children() {
			if len(n.Children) >= mostChildren || depth >= mostDepth || w.clock.over() {
				n.More = max(s.Count()-len(n.Children), 1)
				return
			}
			n.Children = append(n.Children, w.child(&c, depth+1))
		}
	case *socket.Server:
		n.Kind, n.Open = "server", new(s.Count())
		if named := w.o.named(s); named != nil {
			n.Name = named.name
		}
	case *actor.System:
		n.Kind, n.Open = "system", new(s.Stats().Processes)
	case *socket.Dialer:
		n.Kind = "dialer"
		if pid, ok := s.PID(); ok {
			w.process(n, pid, depth)
		}
	}
}

// child is what a supervisor knows of a child, and what the child says itself.
func (w *treeWalk) child(c *supervisor.ChildInfo, depth int) nodeJSON {
	n := nodeJSON{
		ID: text(c.ID, mostName), Kind: c.Kind.String(), State: c.State.String(), Restart: c.Restart.String(),
		Restarts: c.Restarts, Shutdown: shutdownMS(c.Shutdown), Since: timeOf(c.Since), LastAt: timeOf(c.LastAt),
	}
	if c.Last != nil {
		n.Last, n.LastKind = errorText(c.Last), kindText(c.Last)
	}
	w.service(&n, c.Service, depth)
	switch c.Kind { // whose own types are nobody's business
	case supervisor.KindActor:
		n.Type = ""
	case supervisor.KindHTTP:
		n.Type = "*http.Server"
	}
	if c.PID != (actor.PID{}) {
		w.process(&n, c.PID, depth)
	}
	return n
}

// process says what a process is, and walks on to those that it has spawned.
func (w *treeWalk) process(n *nodeJSON, pid actor.PID, depth int) {
	n.PID = &pid
	info, err := actor.Inspect(pid)
	if err != nil {
		return
	}
	n.Type, n.Label = info.Actor, text(info.Label, mostName)
	n.Mailbox, n.Handling, n.For = &info.Mailbox, text(info.Handling, mostName), ms(info.For)
	for i, child := range info.Children {
		if i >= mostChildren || depth >= mostDepth || w.clock.over() {
			n.More = len(info.Children) - i
			return
		}
		c := nodeJSON{Kind: "process"}
		w.process(&c, child, depth+1)
		if c.Mailbox == nil {
			continue // it has ended meanwhile
		}
		c.ID = c.Label
		n.Children = append(n.Children, c)
	}
}

// shutdownMS is a shutdown time; -1: without limit, -2: none.
func shutdownMS(d time.Duration) float64 {
	switch d {
	case supervisor.Infinity:
		return -1
	case supervisor.Kill:
		return -2
	}
	return ms(d)
}

// named is how a Server is shown; nil when it is not one of Config.Servers.
func (o *Observer) named(s *socket.Server) *server {
	for _, n := range o.servers {
		if n.Server == s {
			return n
		}
	}
	return nil
}
