package registry

import (
	"sync"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

// entries is what a registry knows of one process: all its registrations, from the first one until the process ends.
// There is one exit hook for all of them.
//
// mu is held while a registration is made, changed or taken out, so that these happen one at a time, and none after the
// end of the process. It is taken before the locks of the tables and groups. No lock is held while anything is sent or
// code of a user runs: a Send may end in a log line, and whoever writes that may use the registry.
type entries struct {
	pid  actor.PID
	ref  host.Ref
	seat uint32 // says in which part of a large group it is

	mu    sync.Mutex
	gone  bool // the process has ended
	list  []registration
	index host.Map[registrationKey, registration] // of list, when that is long
}

// registration is a name held or watched, a group joined or watched, or a key tracked.
type registration interface {
	key() registrationKey
	slot() *int32 // where it stands in entries.list
	// vacate takes it out of its table. The entries of its process are locked; the caller delivers what is returned after
	// unlocking them.
	vacate(r *Registry) news
}

type registrationKey struct {
	kind      RegistrationKind
	name, key string
}

// unindexed is how many registrations are searched one by one.
const unindexed = 16

func (e *entries) find(k registrationKey) registration {
	if e.index.Len() > 0 {
		return e.index.Get(k)
	}
	for _, reg := range e.list {
		if reg.key() == k {
			return reg
		}
	}
	return nil
}

func (e *entries) add(reg registration) {
	*reg.slot() = int32(len(e.list))
	e.list = append(e.list, reg)
	switch {
	case e.index.Len() > 0:
		e.index.Put(reg.key(), reg)
	case len(e.list) > unindexed:
		for _, reg := range e.list {
			e.index.Put(reg.key(), reg)
		}
	}
}

// replace puts reg where old is; both have the same key.
func (e *entries) replace(old, reg registration) {
	i := *old.slot()
	*reg.slot() = i
	e.list[i] = reg
	if e.index.Len() > 0 {
		e.index.Put(reg.key(), reg)
	}
}

// remove does nothing when reg has been taken out or replaced.
func (e *entries) remove(reg registration) {
	i, last := int(*reg.slot()), len(e.list)-1
	if i > last || e.list[i] != reg {
		return
	}
	e.list[i] = e.list[last]
	*e.list[i].slot() = int32(i)
	e.list[last] = nil
	e.list = host.Shrink(e.list[:last])
	if e.index.Len() > 0 {
		e.index.Delete(reg.key())
	}
}

// entriesOf returns the entries of a living process, locked, and makes them if there are none; nil when pid is no
// process.
func (r *Registry) entriesOf(pid actor.PID) *entries {
	if e := r.known(pid); e != nil {
		return e
	}
	if !r.sys.Owns(pid) {
		return nil
	}
	ref, ok := host.RefOf(pid)
	if !ok {
		return nil
	}
	e := &entries{pid: pid, ref: ref, seat: r.seats.Add(1)}
	e.mu.Lock()
	s, num := r.procShard(pid)
	s.mu.Lock()
	other := s.m.Get(num)
	if other == nil {
		s.m.Put(num, e)
	}
	s.mu.Unlock()
	if other != nil {
		return other.lock()
	}
	// Whoever finds e meanwhile waits for its lock, and so for the hook.
	if _, ok := pid.OnExit(func(error) { r.exited(e) }); !ok {
		e.gone = true
		r.forget(e)
		e.mu.Unlock()
		return nil
	}
	return e
}

// known returns the entries of a process, locked; nil when there are none.
func (r *Registry) known(pid actor.PID) *entries {
	s, num := r.procShard(pid)
	s.mu.RLock()
	e := s.m.Get(num)
	s.mu.RUnlock()
	if e == nil || e.pid != pid {
		return nil
	}
	return e.lock()
}

// lock returns e, locked, or nil when its process has ended.
func (e *entries) lock() *entries {
	e.mu.Lock()
	if e.gone {
		e.mu.Unlock()
		return nil
	}
	return e
}

// forget removes e, which is gone and locked, from the table of processes.
func (r *Registry) forget(e *entries) {
	s, num := r.procShard(e.pid)
	s.mu.Lock()
	s.m.Delete(num)
	s.mu.Unlock()
}

// exited is the exit hook: the process leaves everything. A Leave at the same time waits for its lock.
func (r *Registry) exited(e *entries) {
	e.mu.Lock()
	e.gone = true
	list := e.list
	e.list, e.index = nil, host.Map[registrationKey, registration]{}
	var all []news
	for _, reg := range list {
		if n := reg.vacate(r); !n.empty() {
			all = append(all, n)
		}
	}
	r.forget(e)
	e.mu.Unlock()
	r.deliverAll(all)
}

// vacate takes one entry of a process out.
func (r *Registry) vacate(k registrationKey, pid actor.PID) {
	e := r.known(pid)
	if e == nil {
		return
	}
	var n news
	if reg := e.find(k); reg != nil {
		e.remove(reg)
		n = reg.vacate(r)
	}
	e.mu.Unlock()
	r.deliver(n)
}
