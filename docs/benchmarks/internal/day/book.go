package day

import (
	"fmt"
	"slices"
)

// A book is what one page has been told and, from that, what it must be told next. Its owner locks it.
type book struct {
	ledger *ledger
	faults *faults
	page   int
	name   string

	here   stay           // where it is
	asked  string         // for a join that is not answered
	again  bool           // that join is to go on where the last connection ended
	list   map[string]int // of rooms, with their number of people
	unsaid []saying       // said and neither shown nor refused, oldest first
	count  counts
}

// counts are figures, not a verdict.
type counts struct {
	shown   int // messages
	news    int // of people and rooms
	refused int // sayings
}

// A stay is one page in one life of a room.
type stay struct {
	room, life string
	last       int64
	missing    []int64 // of the numbers below last
	overlap    int64   // the next number that may come although the history had it, up to last; 0: any that the history had
	history    int64   // the last number of the history; 0 when a later one has come
	people     map[string]bool
}

func (b *book) who() string { return fmt.Sprintf("page %d of %s", b.page, b.name) }

// connects begins a connection. What was not told on the last one will not be told any more.
func (b *book) connects() {
	b.gone(&b.here)
	b.asked, b.list = "", nil
}

// gone is the end of a stay: what is missing will not come any more.
func (b *book) gone(s *stay) {
	for _, id := range s.missing {
		b.faults.add(NothingLost, "%s in %s: message %d did not come, but later ones up to %d", b.who(), s.room, id, s.last)
	}
	s.missing = nil
}

// asks notes the request to join a room: to go back to it, or to begin anew.
func (b *book) asks(room string) request {
	b.asked, b.again = room, room == b.here.room
	r := request{Type: "join", Room: room, Ref: "join"}
	if b.again {
		r.Life, r.After = b.here.life, b.here.last
	}
	return r
}

// got takes what the server says, except errors.
func (b *book) got(a answer) {
	switch a.Type {
	case "welcome":
		b.list = map[string]int{}
		b.rooms(a.Rooms)
	case "rooms":
		b.count.news++
		if a.All && b.list != nil {
			b.list = map[string]int{}
		}
		b.rooms(a.Rooms)
	case "presence":
		b.count.news++
		b.presence(a)
	case "joined":
		b.joined(a)
	case "message":
		b.message(a)
	default:
		b.faults.add(NothingChanged, "%s: the server said something of type %.40q", b.who(), a.Type)
	}
}

func (b *book) rooms(rooms []answer) {
	if b.list == nil {
		b.faults.add(NothingReordered, "%s: news of rooms before the welcome", b.who())
		return
	}
	for _, r := range rooms {
		n, err := r.number()
		if err != nil {
			b.faults.add(NothingChanged, "%s: room %q with people %s", b.who(), r.Room, r.People)
		}
		if n == 0 {
			delete(b.list, r.Room)
		} else {
			b.list[r.Room] = n
		}
	}
}

func (b *book) presence(a answer) {
	switch a.Room {
	case b.here.room:
		for _, name := range a.Joined {
			b.here.people[name] = true
		}
		for _, name := range a.Left {
			delete(b.here.people, name)
		}
	default:
		b.faults.add(NothingMisdirected, "%s in %q: people of %q", b.who(), b.here.room, a.Room)
	}
}

func (b *book) joined(a answer) {
	names, err := a.names()
	if err != nil || a.Life == "" || a.Room != b.asked {
		b.faults.add(NothingMisdirected, "%s asked to join %q and was told that it is in %q, life %q, with people %s", b.who(), b.asked, a.Room, a.Life, a.People)
		return
	}
	b.ledger.lives(a.Room, a.Life)
	same := b.again && a.Life == b.here.life
	next := stay{room: a.Room, life: a.Life, people: map[string]bool{}}
	for _, name := range names {
		next.people[name] = true
	}
	if same {
		next.last = b.here.last
	}
	switch full := len(a.Messages) >= historyKept; {
	case len(a.Messages) == 0:
	case same && a.Gap, !same && full: // what there was before is forgotten
		if first := a.Messages[0].ID; !full || first <= next.last+1 {
			b.faults.add(NothingLost, "%s comes back to %s after message %d, gets %d messages from %d on, and is told of a gap", b.who(), a.Room, next.last, len(a.Messages), first)
		}
		next.last = a.Messages[0].ID - 1
	}
	if gap := b.again && !same; gap != a.Gap && !same {
		b.faults.add(NothingLost, "%s joins %s, another life %t, and is told of a gap: %t", b.who(), a.Room, gap, a.Gap)
	}
	b.gone(&b.here)
	b.here, b.asked = next, ""
	for _, m := range a.Messages {
		b.message(m)
	}
	b.gone(&b.here) // a history has no holes that are filled later
	b.here.history, b.here.overlap = b.here.last, 0
}

func (b *book) message(m answer) {
	s := &b.here
	if m.Room != b.here.room {
		b.faults.add(NothingMisdirected, "%s in %q, asking for %q: message %d of %q", b.who(), b.here.room, b.asked, m.ID, m.Room)
		return
	}
	b.count.shown++
	switch i := slices.Index(s.missing, m.ID); {
	case i >= 0:
		b.faults.add(NothingReordered, "%s in %s: message %d came after %d", b.who(), s.room, m.ID, s.last)
		s.missing = slices.Delete(s.missing, i, i+1)
	case s.again(m.ID): // was said while the page became a member
	case m.ID <= s.last:
		b.faults.add(NothingDoubled, "%s in %s: message %d came again, after %d", b.who(), s.room, m.ID, s.last)
	default:
		for id := max(s.last+1, m.ID-historyKept); id < m.ID; id++ {
			s.missing = append(s.missing, id)
		}
		s.last, s.history = m.ID, 0
	}
	b.ledger.seen(s.room, s.life, m)
	if said, ok := parseRef(m.Ref); ok && said.page == b.page {
		b.answered(said)
	}
}

// again says whether the history had this message and it may come once more, since a page becomes a member before it
// gets the history. Messages that come again do so at once, in order, and up to the history's last.
func (s *stay) again(id int64) bool {
	if id > s.history || s.overlap > 0 && id != s.overlap {
		return false
	}
	s.overlap = id + 1
	return true
}

// answered says that a saying was shown, or refused.
func (b *book) answered(s saying) {
	if i := slices.Index(b.unsaid, s); i >= 0 {
		b.unsaid = slices.Delete(b.unsaid, i, i+1)
	}
}

// settled returns what is wrong when everybody has been silent for a while; "" when nothing is.
func (b *book) settled(room string, people map[string]bool, rooms map[string]int) (Promise, string) {
	switch {
	case b.asked != "" || b.here.room != room || b.list == nil:
		return NobodyStuck, fmt.Sprintf("%s wants to be in %s, is in %q and has asked for %q", b.who(), room, b.here.room, b.asked)
	case len(b.unsaid) > 0:
		return NothingLost, fmt.Sprintf("%s in %s: %d sayings from %s on were not shown", b.who(), room, len(b.unsaid), b.unsaid[0].ref())
	case len(b.here.missing) > 0:
		return NothingLost, fmt.Sprintf("%s in %s: message %d did not come, but later ones up to %d", b.who(), room, b.here.missing[0], b.here.last)
	}
	if odd := differ(b.here.people, people); odd != "" {
		return PresenceRight, fmt.Sprintf("%s in %s: %s", b.who(), room, odd)
	}
	if odd := differ(b.list, rooms); odd != "" {
		return RoomsRight, fmt.Sprintf("%s: %s", b.who(), odd)
	}
	return "", ""
}

// differ says in which key two maps differ, or "".
func differ[V comparable](got, want map[string]V) string {
	for k, v := range got {
		if w, ok := want[k]; !ok {
			return fmt.Sprintf("%s is there (%v), and should not", k, v)
		} else if v != w {
			return fmt.Sprintf("%s has %v, and should have %v", k, v, w)
		}
	}
	for k, w := range want {
		if _, ok := got[k]; !ok {
			return fmt.Sprintf("%s is not there, and should (%v)", k, w)
		}
	}
	return ""
}
