package registry

import "github.com/troupe-dev/troupe/actor"

// Records counts what the registry keeps: of processes, of names, and of groups.
func (r *Registry) Records() (processes, names, groups int) {
	for i := range shards {
		r.procs[i].mu.RLock()
		processes += len(r.procs[i].m)
		r.procs[i].mu.RUnlock()
		r.names[i].mu.RLock()
		names += len(r.names[i].m) + len(r.names[i].attempts.m)
		r.names[i].mu.RUnlock()
		r.groups[i].mu.RLock()
		groups += len(r.groups[i].m)
		r.groups[i].mu.RUnlock()
	}
	return processes, names, groups
}

// Extras tells whether a group has more than its members.
func (r *Registry) Extras(group string) bool {
	t := r.groupShard(group)
	t.mu.RLock()
	defer t.mu.RUnlock()
	g := t.get(group)
	return g != nil && g.more != nil
}

// Kept is for how many names there is memory, and how many tables have any.
func (r *Registry) Kept() (names, tables int) {
	for i := range shards {
		r.names[i].mu.RLock()
		names += r.names[i].peak
		for _, some := range []bool{r.names[i].m != nil, r.procs[i].m != nil, r.groups[i].m != nil, r.names[i].attempts.m != nil} {
			if some {
				tables++
			}
		}
		r.names[i].mu.RUnlock()
	}
	return names, tables
}

// Places counts what the registry has noted for a process.
func (r *Registry) Places(pid actor.PID) int {
	p := r.known(pid)
	if p == nil {
		return 0
	}
	defer p.mu.Unlock()
	return len(p.places)
}

// Holder is who holds the name, also one that is ending.
func (r *Registry) Holder(name string) actor.PID {
	s := r.nameShard(name)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if h := s.get(name); h != nil {
		return h.who.pid
	}
	return actor.PID{}
}
