package registry

import (
	"slices"
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
//
// A million sockets may each be in one group, so the size counts: 64 bytes are a size class. Most processes have no more than one
// name and one group.
type entries struct {
	hook host.ExitHook
	ref  host.Ref // never changes

	mu     sync.Mutex
	name   *holding // one of its names
	member *member  // one of its groups
	more   *more    // the rest; nil: there is none; over: the process has ended
}

// more is the registrations of a process that have no place of their own in its entries.
type more struct {
	list  []registration
	index host.Map[registrationKey, int] // where each stands in list, when that is long
}

// over is entries.more of a process that has ended. It is empty and stays so.
var over = &more{}

func (e *entries) pid() actor.PID { return e.ref.PID() }

func (e *entries) gone() bool { return e.more == over }

// registration is a name held or watched, a group joined or watched, or a key tracked.
type registration interface {
	key() registrationKey
	// vacate takes it out of its table. ended says that this is because its process has ended. The entries of the process are
	// locked; the caller delivers what is returned after unlocking them.
	vacate(r *Registry, ended bool) news
}

type registrationKey struct {
	kind      RegistrationKind
	name, key string
}

// unindexed is how many registrations of more are searched one by one.
const unindexed = 16

func (e *entries) find(k registrationKey) registration {
	switch {
	case k.kind == RegisteredName && e.name != nil && e.name.name == k.name:
		return e.name
	case k.kind == RegisteredMember && e.member != nil && e.member.group.name == k.name:
		return e.member
	}
	if i := e.more.find(k); i >= 0 {
		return e.more.list[i]
	}
	return nil
}

// all returns the registrations, in no order, in a slice of the caller's.
func (e *entries) all() []registration {
	list := make([]registration, 0, 2)
	if e.more != nil {
		list = append(list, e.more.list...)
	}
	if e.name != nil {
		list = append(list, e.name)
	}
	if e.member != nil {
		list = append(list, e.member)
	}
	return list
}

func (e *entries) add(reg registration) {
	switch reg := reg.(type) {
	case *holding:
		if e.name == nil {
			e.name = reg
			return
		}
	case *member:
		if e.member == nil {
			e.member = reg
			return
		}
	}
	if e.more == nil {
		e.more = &more{}
	}
	e.more.add(reg)
}

// replace puts reg where old is; both have the same key.
func (e *entries) replace(old, reg registration) {
	switch old {
	case e.name:
		e.name = reg.(*holding)
	case e.member:
		e.member = reg.(*member)
	default:
		e.more.list[e.more.find(old.key())] = reg
	}
}

// remove does nothing when reg has been taken out or replaced.
func (e *entries) remove(reg registration) {
	switch reg {
	case e.name:
		e.name = nil
	case e.member:
		e.member = nil
	default:
		if i := e.more.find(reg.key()); i >= 0 && e.more.list[i] == reg {
			if e.more.remove(i); len(e.more.list) == 0 {
				e.more = nil
			}
		}
	}
}

// find returns where the registration of that key stands in the list; -1: nowhere.
func (m *more) find(k registrationKey) int {
	if m == nil {
		return -1
	}
	if m.index.Len() > 0 {
		if !m.index.Has(k) {
			return -1
		}
		return m.index.Get(k)
	}
	return slices.IndexFunc(m.list, func(reg registration) bool { return reg.key() == k })
}

func (m *more) add(reg registration) {
	m.list = append(m.list, reg)
	switch n := len(m.list); {
	case m.index.Len() > 0:
		m.index.Put(reg.key(), n-1)
	case n > unindexed:
		for i, reg := range m.list {
			m.index.Put(reg.key(), i)
		}
	}
}

// remove takes the one at i out.
func (m *more) remove(i int) {
	indexed, last := m.index.Len() > 0, len(m.list)-1
	if indexed {
		m.index.Delete(m.list[i].key())
	}
	if i < last {
		m.list[i] = m.list[last]
		if indexed {
			m.index.Put(m.list[i].key(), i)
		}
	}
	m.list[last] = nil
	m.list = host.Shrink(m.list[:last])
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
	e := &entries{ref: ref}
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
	if !ref.OnExit(&e.hook, r.onExit) {
		e.more = over
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
	if e == nil || !r.sys.Owns(pid) {
		return nil
	}
	return e.lock()
}

// lock returns e, locked, or nil when its process has ended.
func (e *entries) lock() *entries {
	e.mu.Lock()
	if e.gone() {
		e.mu.Unlock()
		return nil
	}
	return e
}

// forget removes e, which is gone and locked, from the table of processes.
func (r *Registry) forget(e *entries) {
	s, num := r.procShard(e.pid())
	s.mu.Lock()
	s.m.Delete(num)
	s.mu.Unlock()
}

// exited is the exit hook: the process leaves everything. A Leave at the same time waits for its lock.
func (r *Registry) exited(pid actor.PID, _ error) {
	e := r.known(pid) // nobody but this hook takes it out of the table
	list := e.all()
	e.name, e.member, e.more = nil, nil, over
	var all []news
	for _, reg := range list {
		if n := reg.vacate(r, true); !n.empty() {
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
		n = reg.vacate(r, false)
	}
	e.mu.Unlock()
	r.deliver(n)
}
