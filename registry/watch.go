package registry

import (
	"slices"
	"sync/atomic"

	"github.com/troupe-dev/troupe/actor"
)

// Joined tells a watcher that PID is a member of Group now, with this Meta: it was there when the watch began, it has
// joined, or, if the watcher knows it already, it has got new meta.
type Joined struct {
	Group string
	PID   actor.PID
	Meta  any
}

// Left tells a watcher that PID, which it knows from a [Joined], is no member of Group any more. Meta is its last.
type Left struct {
	Group string
	PID   actor.PID
	Meta  any
}

// watcher is a process that watches a group.
type watcher struct {
	pid     actor.PID
	group   *group
	in      int32 // in process.places
	at      int32 // in feed.watchers, under its lock
	stopped atomic.Bool
	lines   atomic.Uint64 // those that it has been shown: it gets the news of these
}

func (w *watcher) key() placeKey { return placeKey{kind: kindWatch, name: w.group.name} }
func (w *watcher) slot() *int32  { return &w.in }

func (w *watcher) send(msg any) {
	if !w.stopped.Load() {
		w.pid.Send(msg)
	}
}

// Watch tells pid, by messages, who is in the group: a [Joined] for each member that is there, then a Joined or [Left]
// for each change, and likewise a [PresenceDiff] with the keys that are present under that name (of a large topic: several),
// then one for each change; see [Registry.Track]. There is no gap and nothing twice between the two, and the messages
// about one member, or one key, come in the order of what happened; those about different ones may overtake each other.
// pid need not be a member, the group need not exist, and a second Watch changes nothing. Watch does nothing when pid
// is no process; a watcher that ends watches no more.
//
// The messages are sent by [actor.PID.Send], by the goroutine that makes a change, or by one that has made another change
// just before; so they may arrive a little after the Join, the Leave or the end that they tell of. A watcher whose
// mailbox is full does not get them, like everything else that is sent to it: its MailboxLimit must have room for a
// message for each member that is there, or its Overflow must end it. All watchers share what they get: a Meta is read
// only.
func (r *Registry) Watch(group string, pid actor.PID) {
	p := r.process(pid)
	if p == nil {
		return
	}
	if p.find(placeKey{kind: kindWatch, name: group}) != nil {
		p.mu.Unlock()
		return
	}
	t := r.groupShard(group)
	t.mu.Lock()
	g := t.group(group)
	n := news{group: g, feed: r.feed(g)}
	g.more.watchers++
	w := &watcher{pid: pid, group: g}
	n.feed.enroll(w)
	parts := g.parts()
	if parts == nil {
		n.showSmall(w)
	}
	t.mu.Unlock()
	if parts != nil { // g remains as it is as long as w is there
		for i := range parts {
			n.showPart(w, &parts[i].part, i)
		}
	}
	p.add(w)
	p.mu.Unlock()
	r.deliver(n)
}

// showSmall shows w a small group: all of it at once when nothing is on its way to other watchers, else line by line.
func (n *news) showSmall(w *watcher) {
	pt, f := &n.group.first, n.feed
	pt.mu.Lock()
	defer pt.mu.Unlock()
	members, present := slices.Clone(pt.members), pt.present()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.lines) == 0 && !f.held {
		f.held = true
		n.show = func() {
			w.lines.Store(1<<listenerLine - 1)
			w.show(members, present)
		}
		return
	}
	var membersOf [partCount][]*member
	for _, m := range members {
		i := m.seat % partCount
		membersOf[i] = append(membersOf[i], m)
	}
	var presentOf [partCount]map[string][]any
	for key, metas := range present {
		i := pt.persons.get(key).line - keyLine
		if presentOf[i] == nil {
			presentOf[i] = make(map[string][]any)
		}
		presentOf[i][key] = metas
	}
	for i := range partCount {
		n.showLine(w, processLine+i, membersOf[i], nil)
		n.showLine(w, keyLine+i, nil, presentOf[i])
	}
}

// showPart shows w one part of a large group.
func (n *news) showPart(w *watcher, pt *part, i int) {
	pt.mu.Lock()
	defer pt.mu.Unlock()
	members, present := slices.Clone(pt.members), pt.present()
	n.feed.mu.Lock()
	defer n.feed.mu.Unlock()
	n.showLine(w, processLine+i, members, nil)
	n.showLine(w, keyLine+i, nil, present)
}

// showLine shows w, and w alone, what there is in one line, behind what waits there. What is added to the line later is
// told to w, too. The feed is locked.
func (n *news) showLine(w *watcher, number int, members []*member, present map[string][]any) {
	if len(members) == 0 && len(present) == 0 && n.feed.line(number) == nil {
		w.lines.Or(1 << number)
		return
	}
	n.feed.addLocked(number, func() {
		w.lines.Or(1 << number)
		w.show(members, present)
	})
	n.lines |= 1 << number
}

func (w *watcher) show(members []*member, present map[string][]any) {
	for _, m := range members {
		w.send(Joined{Group: w.group.name, PID: m.who.pid, Meta: m.meta})
	}
	if len(present) > 0 {
		w.send(PresenceDiff{Topic: w.group.name, Joined: present})
	}
}

// Unwatch ends a Watch. When it has returned, nothing that happens then is told to pid. It does nothing when pid does not
// watch the group.
func (r *Registry) Unwatch(group string, pid actor.PID) {
	r.vacate(placeKey{kind: kindWatch, name: group}, pid)
}

func (w *watcher) vacate(r *Registry) news {
	w.stopped.Store(true)
	g := w.group
	t := r.groupShard(g.name)
	t.mu.Lock()
	defer t.mu.Unlock()
	g.more.watchers--
	g.more.feed.dismiss(w)
	t.tidy(g) // or who delivers the feed does it
	return news{}
}

// joined tells the watchers that m is a member; its part is locked.
func (g *group) joined(m *member) news {
	if !g.watched() {
		return news{}
	}
	return g.tell(lineOf(m.seat), Joined{Group: g.name, PID: m.who.pid, Meta: m.meta})
}

// left tells the watchers that m is no member any more; its part is locked.
func (g *group) left(m *member) news {
	if !g.watched() {
		return news{}
	}
	return g.tell(lineOf(m.seat), Left{Group: g.name, PID: m.who.pid, Meta: m.meta})
}
