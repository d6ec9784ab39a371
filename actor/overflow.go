package actor

import (
	"fmt"

	"github.com/troupe-dev/troupe/actor/internal/hook"
)

// The limits of a mailbox besides how many messages wait are those that its host sets: how many bytes for its client wait, and for
// how long a message has waited. What exceeds one of them ends the process, as one message too many does, or is left out,
// as hook.Options.Overflow says. All of it is for what comes while the process is not at rest: what finds it at rest does not wait.

// The exit reasons of those limits. They are ErrOverload; their texts, for the log, say which setting it was.
var (
	errTooManyBytes = fmt.Errorf("%w: more bytes for the client than Config.MailboxBytes", ErrOverload)
	errTooLate      = fmt.Errorf("%w: a message has waited for longer than Config.MaxLag", ErrOverload)
)

// classify notes in it what the limits must know, and returns what the host says of it. p.mu is held.
func (p *process) classify(it *item) (c *hook.Class) {
	o := p.options
	if o == nil {
		return nil
	}
	if o.ClassOf != nil && (it.kind == kindUser || it.kind == kindDeferred) {
		var size int
		c, size = o.ClassOf(it.content())
		it.load = loadOf(size)
		if c == nil && size >= 0 && o.Overflow != hook.Exit {
			it.load |= yields
		}
	}
	if o.MaxLag > 0 && it.kind.counts() {
		it.at = p.tick()
	}
	return c
}

// loadOf is the load of a message for the client that has so many bytes: at least 1. It is 0 for one that is not for the client.
func loadOf(size int) load {
	if size < 0 {
		return 0
	}
	return load(min(max(size, 1), 1<<30))
}

// postBusy is post of what counts, to a hosted process that is not at rest. It unlocks p.mu.
func (p *process) postBusy(it item) postResult {
	if c := p.classify(&it); c != nil {
		return p.hold(it, c) // unlocks
	}
	if it.at == 0 && p.tooMuch(1, it.load.bytes()) == nil {
		p.push(it)
		p.wakeAndUnlock()
		return posted
	}
	out, why := p.makeRoom(&it, 1, it.load.bytes())
	switch {
	case why != nil:
		return p.refuse(why) // unlocks
	case out:
		p.leaveOut()
	default:
		p.push(it)
	}
	p.letIn() // others were left out, so there may be more room than for one
	p.wakeAndUnlock()
	return posted
}

// makeRoom sees to it that a message can be put into the mailbox that adds count to the messages and bytes to the bytes that wait.
// out: it is to be left out. why: it cannot, and this is the reason for which the process is to end. p.mu is held.
func (p *process) makeRoom(it *item, count int32, bytes int64) (out bool, why error) {
	if out, why = p.makeYoung(it); out || why != nil {
		return out, why
	}
	if p.tooMuch(count, bytes) == nil {
		return false, nil
	}
	p.purge()
	why = p.tooMuch(count, bytes)
	if why == nil || p.options == nil || p.options.Overflow == hook.Exit {
		return false, why
	}
	if p.options.Overflow == hook.LeaveOutNewest {
		if it.load.yields() {
			return true, nil
		}
		p.leaveOutNewest(count, bytes)
		why = p.tooMuch(count, bytes)
	}
	for why != nil && p.leaveOutOldest() {
		why = p.tooMuch(count, bytes)
	}
	if why != nil && it.load.yields() { // all that waits must be handled
		return true, nil
	}
	return false, why
}

// makeYoung is makeRoom for messages that are late, if it has a time. One that is not to be left out may be late: it has its turn. So
// may what has no time: frames of the client, what SendWait has sent, notices.
func (p *process) makeYoung(it *item) (out bool, why error) {
	if it.at == 0 {
		return false, nil
	}
	items := &p.queue.items
	switch p.options.Overflow {
	case hook.Exit:
		if p.isLate(items.First(hasTime)) {
			return false, errTooLate
		}
	case hook.LeaveOutNewest:
		return it.load.yields() && p.isLate(items.First(hasTime)), nil
	case hook.LeaveOutOldest:
		for p.isLate(items.First(doesYield)) {
			p.leaveOutOldest()
		}
	}
	return false, nil
}

// hasTime finds the one that has come first: not one that has been renewed, whose own turn finds out whether it is late.
func hasTime(it *item) bool {
	if it.kind == kindHeld && it.msg.(*held).renewed {
		return false
	}
	return it.time() != 0
}

func doesYield(it *item) bool { return it.load.yields() }

// tooMuch is what the process would end for if so much were added to what waits; nil: there is room. A message has room, however
// large it is, when no other bytes wait. p.mu is held.
func (p *process) tooMuch(count int32, bytes int64) error {
	if count > 0 && p.full() {
		return ErrOverload
	}
	if bytes <= 0 || p.options == nil || p.options.MailboxBytes <= 0 {
		return nil
	}
	if waits := p.queue.items.Sum(); waits > 0 && waits+bytes > p.options.MailboxBytes {
		return errTooManyBytes
	}
	return nil
}

// leaveOutOldest leaves out the oldest of those that wait and yield. False: there is none. p.mu is held.
func (p *process) leaveOutOldest() bool {
	it, ok := p.queue.items.RemoveFirst(&segments, doesYield)
	if !ok {
		return false
	}
	p.queue.taken(&it)
	p.leaveOut()
	return true
}

// leaveOutNewest leaves out as many of those that wait and yield, from the newest on, as make room for one that adds count to the
// messages and bytes to the bytes; or all of them. It goes through the mailbox twice, however many they are. p.mu is held.
func (p *process) leaveOutNewest(count int32, bytes int64) {
	q, limit := &p.queue, p.options.MailboxBytes
	stay, sum := q.counted, q.items.Sum() // without those that yield
	for it := range q.items.All() {
		if it.load.yields() {
			stay--
			sum -= it.load.bytes()
		}
	}
	fits, gone, less := true, int32(0), int64(0) // fits: so far
	q.items.Filter(&segments, func(it *item) bool {
		if !it.load.yields() {
			return true
		}
		n, b := stay+1, sum+it.load.bytes()
		fits = fits && (q.limit < 0 || n+count <= q.limit) && (limit <= 0 || bytes <= 0 || b == 0 || b+bytes <= limit)
		if fits {
			stay, sum = n, b
		} else {
			gone++
			less += it.load.bytes()
		}
		return fits
	})
	q.counted -= gone
	q.items.Add(-less)
	for range gone {
		p.leaveOut()
	}
}

// purge leaves out the messages that have expired while they waited. It goes through the mailbox only when there can be one. p.mu
// is held.
func (p *process) purge() {
	if p.relation == nil || p.relation.leftOut == nil {
		return
	}
	l := p.relation.leftOut
	if now := p.sys.now(); l.purges != 0 && now > l.purges {
		p.purgeAt(l, now)
	}
}

// purgeAt is purge, for now.
func (p *process) purgeAt(l *leftOut, now int64) {
	l.purges = 0
	expired, bytes := 0, int64(0)
	p.queue.items.Filter(&segments, func(it *item) bool {
		if it.kind != kindHeld {
			return true
		}
		h := it.msg.(*held)
		switch {
		case h.gone:
		case h.expires == 0 || now <= h.expires:
			l.expiresAt(h.expires)
			return true
		default:
			p.forgetKey(h)
			expired++
			bytes += it.bytes()
		}
		p.queue.counted--
		return false
	})
	p.queue.items.Add(-bytes)
	for range expired {
		p.leaveOut()
	}
}

// roomBytes is for how many bytes there is room for those who use SendWait, as queue.room is for how many messages.
func (p *process) roomBytes() int64 { return max(p.options.MailboxBytes/2, 1) }

// dueNow is for a message that was taken out of the mailbox, and was noted something in by classify. False: it is not to be
// handled, and p.mu is unlocked. p.mu is held.
func (p *process) dueNow(it *item) bool {
	if !p.isLate(it) {
		return true
	}
	if p.options.Overflow == hook.Exit {
		if p.shut { // its end is decided, and waits its turn: it has its own time
			return true
		}
		p.overflows(errTooLate) // unlocks
		p.drop(*it)
		return false
	}
	if it.load.yields() && p.options.Overflow == hook.LeaveOutOldest {
		p.leaveOut()
		p.mu.Unlock()
		return false
	}
	return true
}

// A message has the time at which it came only where there is a MaxLag, and in two bytes: as a count of sixty-fourths of MaxLag,
// which begins again after a thousand times MaxLag. So what is late is found when it is late by 1/64 at most, and what has waited
// a thousand times too long without anybody noticing, because nothing has come and nothing was taken out, may pass.
const (
	ticksOfMaxLag = 64
	ticks         = 1<<16 - 1 // 0 is no time
)

// tick is the time now. p.options.MaxLag is positive.
func (p *process) tick() uint16 {
	return uint16(p.sys.now()/(int64(p.options.MaxLag)/ticksOfMaxLag+1)%ticks) + 1
}

// isLate tells whether it has waited for longer than MaxLag. nil is not late. p.mu is held.
func (p *process) isLate(it *item) bool {
	if it == nil {
		return false
	}
	at := it.time()
	return at != 0 && (int(p.tick())-int(at)+ticks)%ticks > ticksOfMaxLag
}
