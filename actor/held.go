package actor

import (
	"time"

	"github.com/troupe-dev/troupe/actor/internal/hook"
)

// held is a message in a mailbox of which something else may become while it waits than being handled. Only one that the host
// says so of, and that comes when the process is not at rest, is held; all others wait as they are. The mu of the process guards
// it.
type held struct {
	it      item
	key     string
	expires int64 // by System.now; 0: never
	gone    bool  // it is left out when its turn comes
	renewed bool  // it has taken the place of an older one, so what stands after it may have come before it
}

// leftOut is what a process knows of the messages that it has held, and of those that were left out. It has none before there
// is one. The mu of the process guards it.
type leftOut struct {
	keys   map[string]*held // those that wait; nil: none does
	n      uint64           // how many were left out
	told   uint64           // of how many of them CaughtUp has told
	notice noticeState
	purges int64 // when the first of those that wait expires, or before that; 0: none does
}

// noticeState says what the host knows of what was left out.
type noticeState uint8

const (
	noticeNone  noticeState = iota
	noticeDue               // it is to get a catchUp when nothing waits any more
	noticeGiven             // it has got it, and has not called CaughtUp yet: it may not want to know
)

// expiresAt notes that one expires then, by System.now; 0: never.
func (l *leftOut) expiresAt(t int64) {
	if t != 0 && (l.purges == 0 || t < l.purges) {
		l.purges = t
	}
}

// busy is how long a callback runs before a message that is Volatile is left out for it.
const busy = int64(time.Millisecond)

// hold is post of a message with a class. A message whose key is that of one which waits takes the place of that one. (At the
// end, a key that changes faster than messages are taken out would never have its turn.) It unlocks p.mu.
func (p *process) hold(it item, c *hook.Class) postResult {
	l := p.books()
	if c.Volatile && (p.queue.len() > 0 || p.holder != atRest && p.sys.now()-p.began >= busy) {
		if _, why := p.makeYoung(&it); why != nil {
			return p.refuse(why) // unlocks
		}
		p.leaveOut()
		p.mu.Unlock()
		return posted
	}
	h := &held{it: it, key: c.Key}
	if c.Expires > 0 {
		h.expires = after(p.sys.now(), c.Expires)
	}
	if old := l.keys[c.Key]; old != nil && c.Key != "" {
		return p.replace(old, h) // unlocks
	}
	if _, why := p.makeRoom(&h.it, 1, h.it.load.bytes()); why != nil { // it is never left out: it does not yield
		return p.refuse(why) // unlocks
	}
	if c.Key != "" {
		if l.keys == nil {
			l.keys = make(map[string]*held)
		}
		l.keys[c.Key] = h
	}
	l.expiresAt(h.expires)
	p.push(item{kind: kindHeld, load: h.it.load, msg: h})
	p.letIn() // when others were left out, there may be more room than for one
	p.wakeAndUnlock()
	return posted
}

// replace is hold of a message whose key is that of old, which waits. When it is larger, others may have to be left out for it. It
// unlocks p.mu.
func (p *process) replace(old, h *held) postResult {
	was := old.it.load.bytes()
	if was == 0 { // that one stands in no segment
		h.it.load = h.it.load.apart()
	}
	*old = *h
	old.renewed = true
	p.leaveOut()
	p.relation.leftOut.expiresAt(h.expires)
	bytes := h.it.load.bytes()
	p.queue.items.Add(-was)
	if _, why := p.makeRoom(&h.it, 0, bytes); why != nil {
		p.overflows(why) // unlocks
		return posted
	}
	p.queue.items.Add(bytes)
	p.letIn()
	p.mu.Unlock()
	return posted
}

// books returns the leftOut, and makes it if there is none; p.mu is held.
func (p *process) books() *leftOut {
	r := p.rel()
	if r.leftOut == nil {
		r.leftOut = &leftOut{}
	}
	return r.leftOut
}

// release puts the message that was held in the place of it, which was taken out of the mailbox. False: it is left out. p.mu is
// held.
func (p *process) release(it *item) bool {
	h := it.msg.(*held)
	if h.gone {
		return false
	}
	p.forgetKey(h)
	if h.expires != 0 && p.sys.now() > h.expires {
		p.leaveOut()
		return false
	}
	*it = h.it
	return true
}

// forgetKey takes h, which has not gone, out of those with a key. p.mu is held.
func (p *process) forgetKey(h *held) {
	if h.key == "" {
		return
	}
	l := p.relation.leftOut
	if delete(l.keys, h.key); len(l.keys) == 0 {
		l.keys = nil
	}
}

// leaveOut counts a message that is left out. The first one since the process has last caught up has the host told when nothing
// waits any more. It is a state, and no item of the mailbox: that would stand between the messages that are to be left out. p.mu
// is held, and the process is not at rest.
func (p *process) leaveOut() {
	l := p.books()
	l.n++
	if o := p.options; o != nil && o.LeftOut != nil {
		o.LeftOut()
	}
	if l.notice == noticeNone {
		l.notice = noticeDue
	}
}

// LeaveOut is host.Port.LeaveOut.
func (p *process) LeaveOut(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state >= stateEnding { // nothing waits any more. Before, an Exit may wait, and what waits before it is still handled
		return
	}
	if key == "" {
		p.leaveOut()
		return
	}
	if p.relation == nil || p.relation.leftOut == nil {
		return
	}
	l := p.relation.leftOut
	h := l.keys[key]
	if h == nil {
		return
	}
	p.forgetKey(h)
	p.queue.items.Add(-h.it.load.bytes())
	*h = held{gone: true} // the message need not stay in memory
	l.expiresAt(1)        // the next purge finds it
	p.leaveOut()
	p.letIn()
}

// CatchUp is host.Port.CatchUp.
func (p *process) CatchUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state < stateEnding {
		p.books().notice = noticeDue
	}
}

// catchesUp is called when nothing waits. True: the host is to get a catchUp. p.mu is held.
func (p *process) catchesUp() bool {
	if p.relation == nil || p.relation.leftOut == nil || p.relation.leftOut.notice != noticeDue || p.shut {
		return false
	}
	p.relation.leftOut.notice = noticeGiven
	return true
}

// CaughtUp is host.Port.CaughtUp.
func (p *process) CaughtUp() (n uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.relation == nil || p.relation.leftOut == nil {
		return 0
	}
	l := p.relation.leftOut
	n, l.told, l.notice = l.n-l.told, l.n, noticeNone
	return n
}

// leftOutSum is [ProcessInfo].LeftOut. p.mu is held.
func (p *process) leftOutSum() uint64 {
	if p.relation == nil || p.relation.leftOut == nil {
		return 0
	}
	return p.relation.leftOut.n
}

// catchUp is the notice after messages were left out.
type catchUp struct{}

func (catchUp) Due(PID) (msg any, ok bool) { return hook.CatchUp{}, true }
func (catchUp) Content() any               { return hook.CatchUp{} }
