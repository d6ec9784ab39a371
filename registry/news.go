package registry

// news is what a caller has to do when it no longer holds a lock.
type news struct {
	readers       []*reader      // to tell
	names         []*nameWatcher // to tell
	group         *group         // whose announcements are to be delivered
	announcements *announcements
}

func (n news) empty() bool {
	return n.announcements == nil && len(n.readers) == 0 && len(n.names) == 0
}

// deliver does what a change requires, and gives back what the group no longer needs. No lock is held.
func (r *Registry) deliver(n news) {
	tell(n.readers)
	for _, w := range n.names {
		w.ref.Notify(w)
	}
	if n.announcements == nil {
		return
	}
	n.announcements.deliver(r.log)
	r.settle(n.group)
}

func (r *Registry) deliverAll(all []news) {
	for _, n := range all {
		r.deliver(n)
	}
}

// settle gives back what g no longer needs.
func (r *Registry) settle(g *group) {
	t := r.groupShard(g.name)
	t.mu.RLock()
	watched := g.watched()
	t.mu.RUnlock()
	if watched {
		return
	}
	t.mu.Lock()
	t.tidy(g)
	t.mu.Unlock()
}

// tell sends each reader the message that it waits for. No lock is held.
func tell(readers []*reader) {
	for _, r := range readers {
		r.ref.Notify(r)
	}
}
