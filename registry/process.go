package registry

import (
	"sync"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

// process is what a registry knows of one process, from its first entry until its end. It holds the one exit hook.
//
// mu is held while an entry of the process is made, changed or taken out, so that these come one after the other, and
// none after the end. It is taken before the locks of the tables and groups. No lock is held while anything is sent or
// code of a user runs: a Send may end in a log line, and whoever writes that may use the registry.
type process struct {
	pid  actor.PID
	ref  host.Ref
	seat uint32 // its place in large groups

	mu     sync.Mutex
	gone   bool
	places []place
	index  host.Map[placeKey, place] // of places, when they are many
}

// place is one entry: a name held or watched, a group joined or watched, a key tracked.
type place interface {
	key() placeKey
	slot() *int32 // where it stands in process.places
	// vacate takes the entry out of its table. The process is locked; the caller does what is returned when it is not.
	vacate(r *Registry) news
}

type placeKey struct {
	kind      placeKind
	name, key string
}

type placeKind uint8

const (
	kindName placeKind = iota
	kindMember
	kindWatch
	kindTrack
	kindNameWatch
)

// manyPlaces is how many places are searched one by one.
const manyPlaces = 16

func (p *process) find(k placeKey) place {
	if p.index.Len() > 0 {
		return p.index.Get(k)
	}
	for _, pl := range p.places {
		if pl.key() == k {
			return pl
		}
	}
	return nil
}

func (p *process) add(pl place) {
	*pl.slot() = int32(len(p.places))
	p.places = append(p.places, pl)
	switch {
	case p.index.Len() > 0:
		p.index.Put(pl.key(), pl)
	case len(p.places) > manyPlaces:
		for _, pl := range p.places {
			p.index.Put(pl.key(), pl)
		}
	}
}

// replace puts pl where old stands; both have the same key.
func (p *process) replace(old, pl place) {
	i := *old.slot()
	*pl.slot() = i
	p.places[i] = pl
	if p.index.Len() > 0 {
		p.index.Put(pl.key(), pl)
	}
}

// remove does nothing when pl has been taken out or replaced.
func (p *process) remove(pl place) {
	i, last := int(*pl.slot()), len(p.places)-1
	if i > last || p.places[i] != pl {
		return
	}
	p.places[i] = p.places[last]
	*p.places[i].slot() = int32(i)
	p.places[last] = nil
	p.places = host.Shrink(p.places[:last])
	if p.index.Len() > 0 {
		p.index.Delete(pl.key())
	}
}

// process returns the record of a living process, locked, and makes it if there is none; nil when pid is no process.
func (r *Registry) process(pid actor.PID) *process {
	if p := r.known(pid); p != nil {
		return p
	}
	if !r.sys.Owns(pid) {
		return nil
	}
	ref, ok := host.Reach(pid)
	if !ok {
		return nil
	}
	p := &process{pid: pid, ref: ref, seat: r.seats.Add(1)}
	p.mu.Lock()
	s := r.procShard(pid)
	s.mu.Lock()
	other := s.m.Get(pid)
	if other == nil {
		s.m.Put(pid, p)
	}
	s.mu.Unlock()
	if other != nil {
		return other.lock()
	}
	// Whoever finds p meanwhile waits for its lock, and so for the hook.
	if _, ok := host.OnExit(pid, func(error) { r.exited(p) }); !ok {
		p.gone = true
		r.strike(p)
		p.mu.Unlock()
		return nil
	}
	return p
}

// known returns the record of a process, locked; nil when there is none.
func (r *Registry) known(pid actor.PID) *process {
	s := r.procShard(pid)
	s.mu.RLock()
	p := s.m.Get(pid)
	s.mu.RUnlock()
	if p == nil {
		return nil
	}
	return p.lock()
}

// lock returns p, locked, or nil when its process is gone.
func (p *process) lock() *process {
	p.mu.Lock()
	if p.gone {
		p.mu.Unlock()
		return nil
	}
	return p
}

// strike takes p, which is gone and locked, off the books.
func (r *Registry) strike(p *process) {
	s := r.procShard(p.pid)
	s.mu.Lock()
	s.m.Delete(p.pid)
	s.mu.Unlock()
}

// exited is the exit hook: the process leaves everything. A Leave at the same time waits for its lock.
func (r *Registry) exited(p *process) {
	p.mu.Lock()
	p.gone = true
	places := p.places
	p.places, p.index = nil, host.Map[placeKey, place]{}
	var all []news
	for _, pl := range places {
		switch w := pl.(type) { // it need not be told of its own end
		case *watcher:
			w.stopped.Store(true)
		case *nameWatcher:
			w.stopped.Store(true)
		}
	}
	for _, pl := range places {
		if n := pl.vacate(r); !n.empty() {
			all = append(all, n)
		}
	}
	r.strike(p)
	p.mu.Unlock()
	r.deliverAll(all)
}
