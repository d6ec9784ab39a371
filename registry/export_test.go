package registry

import "github.com/troupe-dev/troupe/actor"

// Records counts what the registry keeps: of processes, of names, and of groups.
func (r *Registry) Records() (processes, names, groups int) {
	for i := range shards {
		r.procs[i].mu.RLock()
		processes += r.procs[i].m.Len()
		r.procs[i].mu.RUnlock()
		r.names[i].mu.RLock()
		names += r.names[i].m.Len() + r.names[i].attempts.Len() + r.names[i].away.Len() + r.names[i].leases.Len()
		r.names[i].mu.RUnlock()
		r.groups[i].mu.RLock()
		groups += r.groups[i].m.Len()
		r.groups[i].mu.RUnlock()
	}
	return processes, names, groups
}

// Extras tells whether a group has more than its members.
func (r *Registry) Extras(group string) bool {
	t := r.groupShard(group)
	t.mu.RLock()
	defer t.mu.RUnlock()
	g := t.m.Get(group)
	return g != nil && g.more != nil
}

// Kept returns for how many names, and for how many entries of all tables, memory is kept.
func (r *Registry) Kept() (names, all int) {
	for i := range shards {
		r.names[i].mu.RLock()
		names += r.names[i].m.Room()
		all += r.names[i].m.Room() + r.names[i].attempts.Room()
		r.names[i].mu.RUnlock()
		r.procs[i].mu.RLock()
		all += r.procs[i].m.Room()
		r.procs[i].mu.RUnlock()
		r.groups[i].mu.RLock()
		all += r.groups[i].m.Room()
		r.groups[i].mu.RUnlock()
	}
	return names, all
}

// KeptPresent returns for how many persons of a topic memory is kept. Nobody else may use the topic meanwhile.
func (r *Registry) KeptPresent(topic string) (n int) {
	t := r.groupShard(topic)
	t.mu.RLock()
	defer t.mu.RUnlock()
	g := t.m.Get(topic)
	if g == nil {
		return 0
	}
	for i := range partCount {
		if ps := g.part(uint64(i)).persons; ps != nil {
			n += ps.Room()
		}
		if g.parts() == nil {
			break
		}
	}
	return n
}

// Entries counts the registrations of a process.
func (r *Registry) Entries(pid actor.PID) int {
	e := r.known(pid)
	if e == nil {
		return 0
	}
	defer e.mu.Unlock()
	return len(e.all())
}

// Holder returns the holder of the name, even one that is ending.
func (r *Registry) Holder(name string) actor.PID {
	s := r.nameShard(name)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if h := s.m.Get(name); h != nil {
		return h.who.pid()
	}
	return actor.PID{}
}

// Journal counts the changes that a group keeps for its watchers.
func (r *Registry) Journal(group string) int {
	t := r.groupShard(group)
	t.mu.RLock()
	defer t.mu.RUnlock()
	g := t.m.Get(group)
	if g == nil || !g.watched() {
		return 0
	}
	j := g.more.journal
	j.mu.RLock()
	defer j.mu.RUnlock()
	return len(j.members.list) + len(j.present.list)
}

// NameWatchers counts the names that are watched.
func (r *Registry) NameWatchers() (n int) {
	for i := range r.names {
		r.names[i].mu.RLock()
		n += r.names[i].watchers.Len()
		r.names[i].mu.RUnlock()
	}
	return n
}

// Listeners is how many functions of OnGroup the shards have, each as many.
func (r *Registry) Listeners() int {
	n := -1
	for i := range shards {
		r.groups[i].mu.RLock()
		if l := len(r.groups[i].listeners); n < 0 || l > n {
			n = l
		}
		r.groups[i].mu.RUnlock()
	}
	return n
}

// HashOf is by what other nodes know a group.
func HashOf(group string) uint64 { return hashOf(group) }

// Interest counts the groups of other nodes that are known here, each for each node that has members.
func (r *Registry) Interest() (n int) {
	for i := range r.others.wants {
		w := &r.others.wants[i]
		w.mu.RLock()
		for _, ps := range w.m.All() {
			n += len(ps.list)
		}
		w.mu.RUnlock()
	}
	return n
}

// Leases counts what is kept of the wishes to start processes of names, of this node and of others.
func (r *Registry) Leases() (n int) {
	for i := range r.names {
		s := &r.names[i]
		s.mu.RLock()
		n += s.leases.Len()
		s.mu.RUnlock()
	}
	r.others.mu.Lock()
	defer r.others.mu.Unlock()
	return n + r.others.asks.Len()
}
