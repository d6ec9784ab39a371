package supervisor

import (
	"maps"
	"sync"
)

// Stats are the numbers of a [Supervisor] or a [Dynamic]. Those that count have counted since New or NewDynamic, however often
// it was served, and never become less.
type Stats struct {
	Name     string // Config.Name
	Children int    // that there are, those that wait for a start or have stopped included
	// Restarts counts the restarts by the ID of the child. Only children of New have a key of their own: those of StartChild,
	// and all of a Dynamic, come and go, and are counted together, under "". It has each of these keys from the start.
	Restarts map[string]uint64
	// GaveUp is how often the supervisor itself has given up, or a Dynamic a child of its.
	GaveUp uint64
	// Abandoned is how many children have not returned within their shutdown time.
	Abandoned uint64
}

// counts is what a supervisor has counted. One mutex is enough: none of it happens often. Starts and ends of the children of a
// Dynamic, which may, do not take it.
type counts struct {
	mu        sync.Mutex
	restarts  map[string]uint64 // by each key that there will ever be
	gaveUp    uint64
	abandoned uint64
}

// note counts what happened to a child; id is "" for one that has no key of its own.
func (c *counts) note(kind EventKind, id string) {
	switch kind {
	case EventRestarted, EventGaveUp, EventAbandoned:
	default:
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch kind {
	case EventRestarted:
		c.restarts[id]++
	case EventGaveUp:
		c.gaveUp++
	case EventAbandoned:
		c.abandoned++
	}
}

func (c *counts) stats(name string, children int) Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Stats{Name: name, Children: children, Restarts: maps.Clone(c.restarts), GaveUp: c.gaveUp, Abandoned: c.abandoned}
}

// Stats returns the numbers of the Supervisor. It does not wait for what its children do.
func (s *Supervisor) Stats() Stats {
	n := len(s.specs)
	if t := s.running(); t != nil {
		t.mu.Lock()
		n = len(t.children)
		t.mu.Unlock()
	}
	return s.rep.counts.stats(s.rep.name, n)
}

// Stats returns the numbers of the Dynamic. It takes no longer when there are more children.
func (d *Dynamic) Stats() Stats { return d.rep.counts.stats(d.rep.name, d.Count()) }
