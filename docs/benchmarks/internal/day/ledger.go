package day

import (
	"maps"
	"slices"
	"sync"
)

// A ledger is what all pages together have seen. One number in one life of a room is one message, for everybody.
type ledger struct {
	faults *faults

	mu      sync.Mutex
	started int // servers so far
	rooms   map[string]*lives
	names   []string // of the pages
	said    []int    // by each page
}

// lives are those of one room.
type lives struct {
	all    map[string]*life
	latest *life
}

// A life is one life of a room: its numbers count from 1.
type life struct {
	server  int // in which one
	sayings map[int64]saying
	texts   map[int64]string // of the latest: most messages are seen by many
}

// textsKept is how many of the latest texts are kept. Older ones are made again.
const textsKept = 1000

func newLedger(f *faults) *ledger { return &ledger{faults: f, rooms: map[string]*lives{}} }

// page enters a page of that name.
func (l *ledger) page(name string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.names, l.said = append(l.names, name), append(l.said, 0)
	return len(l.names) - 1
}

// start notes that another server runs: rooms may have another life.
func (l *ledger) start() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.started++
}

// says returns the next saying of a page.
func (l *ledger) says(page int) saying {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said[page]++
	return saying{page, l.said[page]}
}

// lives notes that a page was told this life of the room. A room that always has people in it may have only one life in
// one server.
func (l *ledger) lives(room, name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.life(room, name)
}

func (l *ledger) life(room, name string) *life {
	r := l.rooms[room]
	if r == nil {
		r = &lives{all: map[string]*life{}}
		l.rooms[room] = r
	}
	one := r.all[name]
	if one == nil {
		one = &life{server: l.started, sayings: map[int64]saying{}, texts: map[int64]string{}}
		r.all[name] = one
		if r.latest != nil && r.latest.server == one.server {
			l.faults.add(NothingLost, "%s has begun another life, %s, although the server is the same", room, name)
		}
		r.latest = one
	}
	return one
}

// seen enters a message that somebody was shown.
func (l *ledger) seen(room, lifeName string, m answer) {
	s, ok := parseRef(m.Ref)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !ok || s.page < 0 || s.page >= len(l.said) || s.n < 1 || s.n > l.said[s.page] {
		l.faults.add(NothingChanged, "%s, message %d: nobody has said it: ref %.80q, text %.80q", room, m.ID, m.Ref, m.Text)
		return
	}
	one := l.life(room, lifeName)
	old, known := one.sayings[m.ID]
	if known && old == s && m.Name == l.names[s.page] && m.Text == one.texts[m.ID] {
		return
	}
	if m.Name != l.names[s.page] || m.Text != s.text(room) {
		p := NothingChanged
		if other := roomOf(m.Text); other != room && m.Text == s.text(other) {
			p = NothingMisdirected
		}
		l.faults.add(p, "%s, message %d of %s: got %.80q of %q, want %.80q of %q", room, m.ID, s.ref(), m.Text, m.Name, s.text(room), l.names[s.page])
		return
	}
	if known && old != s {
		l.faults.add(NothingChanged, "%s, message %d: one was shown %s, another one %s", room, m.ID, old.ref(), s.ref())
		return
	}
	one.sayings[m.ID], one.texts[m.ID] = s, m.Text
	delete(one.texts, m.ID-textsKept)
}

// audit compares each life of each room with what its people have said: each saying must be there once, and those of
// one page in their order. What a page says again after a reconnect is recognised as long as the room remembers it, and
// counts as new after that.
func (l *ledger) audit() (sayings int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, r := range l.rooms {
		for _, one := range r.all {
			first := map[saying]int64{}
			last := map[int]int{} // of each page
			for _, id := range slices.Sorted(maps.Keys(one.sayings)) {
				s := one.sayings[id]
				sayings++
				if before, ok := first[s]; ok {
					if id-before <= historyKept {
						l.faults.add(NothingDoubled, "%s: %s is message %d and message %d", name, s.ref(), before, id)
					}
				} else if s.n < last[s.page] {
					l.faults.add(NothingReordered, "%s: %s is message %d, after the page's saying %d", name, s.ref(), id, last[s.page])
				}
				first[s] = id
				last[s.page] = max(last[s.page], s.n)
			}
		}
	}
	return sayings
}
