package registry

// news is what a change leaves to do once its caller holds no lock any more.
type news struct {
	readers       []*reader      // to be told
	names         []*nameWatcher // to be told
	announcements *announcements // to be delivered; nil: none
	group         *group         // of the announcements
}

func (n news) empty() bool {
	return n.announcements == nil && len(n.readers) == 0 && len(n.names) == 0
}

// deliver does what n says. No lock is held.
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

// settle has tidy called for g, unless g is watched and so needs all it has. No lock is held.
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

// tell sends each reader its message. No lock is held.
func tell(readers []*reader) {
	for _, r := range readers {
		r.ref.Notify(r)
	}
}
