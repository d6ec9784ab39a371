package peer

import "sync"

// A hub is the connections of a peer that has no groups of its own: all of them, or those of each room.
type hub[C comparable] struct {
	options Options
	all     *set[C]

	mu    sync.Mutex
	rooms map[string]*set[C]
}

func newHub[C comparable](o Options) *hub[C] {
	h := &hub[C]{options: o, rooms: map[string]*set[C]{}}
	if o.Group {
		h.all = newSet[C]()
	}
	return h
}

// of is where a connection belongs; nil: nowhere.
func (h *hub[C]) of(room string) *set[C] {
	if !h.options.Rooms {
		return h.all
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.rooms[room] == nil {
		h.rooms[room] = newSet[C]()
	}
	return h.rooms[room]
}

// A set is connections.
type set[C comparable] struct {
	mu  sync.Mutex
	all map[C]struct{}
}

func newSet[C comparable]() *set[C] { return &set[C]{all: map[C]struct{}{}} }

// add puts c in. A nil set ignores it.
func (s *set[C]) add(c C) {
	if s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all[c] = struct{}{}
	}
}

func (s *set[C]) remove(c C) {
	if s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.all, c)
	}
}

// each calls f for all, up to the first error.
func (s *set[C]) each(f func(C) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.all {
		if err := f(c); err != nil {
			return err
		}
	}
	return nil
}
