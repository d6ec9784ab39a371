package actor

import (
	"context"
	"fmt"

	"github.com/troupe-dev/troupe/actor/internal/hook"
)

// SendWait is [Send], but when there is no room it waits: until there is, until ctx is done, or until the process has ended
// or its end is decided. It is for whoever produces more than the receiver may be able to take: the answer of a language
// model, a file, the tail of a log, for a socket whose client reads slowly. The producer goes on at the receiver's pace, and
// nothing is lost.
//
//	for token := range answer {
//		if err := actor.SendWait(ctx, client, websock.Text(token)); err != nil {
//			return err // the client has gone, or ctx is done
//		}
//	}
//
// The error is
//   - nil: msg is in the mailbox, as after a Send that has returned true
//   - [context.Cause] of ctx: then msg is not in the mailbox, and will not be
//   - ErrNoProcess, when there is no such process, or it takes no more messages: see [PID.Alive]
//   - one that comes at once, when ctx is that of a callback of the process itself: nobody could make room. An [Async] of the
//     process may wait for it, and so may any goroutine whose ctx is not that of the process
//
// There is room while less than half of SpawnOptions.MailboxLimit waits, or nothing does, and in a socket less than half of its
// Config.MailboxBytes. The other half is left to those who do not wait. So SendWait never has a mailbox go over its limit, and
// a producer does not fill it up for others: a socket, which ends with ErrOverload when one more comes than may wait, has as
// much left for broadcasts, ticks and the rest. In a socket that leaves messages out instead, see socket.Config.Overflow, the
// halves are of what SendWait has sent alone, and others are left out for it. Who waits longest is let in first, as soon as there
// is room, ahead of whoever calls SendWait later. Messages of one goroutine keep their order, whether it waits or not.
//
// In a callback of another process SendWait holds up that process. Two that wait for each other wait until one of their
// ctx is done: give it a deadline, or use an Async.
//
// To a process of another node, SendWait waits for room there, one trip of the network for each message, and while the
// window of the link is full. The error is ErrNodeDown, which is an ErrNoProcess, too, when that node is not connected, or is
// lost before it has said that msg is in the mailbox. Then nobody knows, and neither does anybody when ctx is done.
// When msg cannot be encoded for that node, or decoded there, the error says so, and msg is in no mailbox.
func SendWait(ctx context.Context, to PID, msg any) error {
	if to != (PID{}) && Self(ctx) == to && ctx.Value(asyncKey{}) == nil {
		return fmt.Errorf("actor: a wait for room in the mailbox of %v by itself would last for ever", to)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if p := to.find(); p != nil {
		return p.sendWait(ctx, p.sys.wrap(ctx, msg))
	}
	if r := to.elsewhere(); r != nil {
		return to.sys.sendWaitAway(ctx, r, to, msg)
	}
	if to.sys != nil {
		to.sys.undelivered(to, msg)
	}
	return noProcess(to)
}

// sendWait is SendWait for a process of this System.
func (p *process) sendWait(ctx context.Context, msg any) error {
	p.mu.Lock()
	it := p.paced(msg)
	switch {
	case p.shut:
		p.mu.Unlock()
		return p.shutOut(it)
	case !p.waitsForRoom() && p.admit(it):
		p.wakeAndUnlock()
		return nil
	}
	w := &sender{it: it, done: p.sys.slot()}
	p.rel().senders.add(w)
	p.mu.Unlock()
	in := false
	select {
	case in = <-w.done:
	case <-ctx.Done():
		if p.givesUp(w) {
			p.sys.slots.Put(w.done)
			return context.Cause(ctx)
		}
		in = <-w.done
	}
	p.sys.slots.Put(w.done)
	if !in {
		return p.shutOut(it)
	}
	return nil
}

// givesUp takes w out of those who wait. False: it was told something at the same moment.
func (p *process) givesUp(w *sender) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !w.waits {
		return false
	}
	p.relation.senders.remove(w) // there are relations: whoever waits when the end begins is told then
	p.letIn()                    // there may be room for a smaller one
	return true
}

// shutOut is for an item that has waited for a process that takes no more messages, or has come too late to wait.
func (p *process) shutOut(it item) error {
	p.dropped.Add(1)
	p.sys.undelivered(p.pid(), it.content())
	return noProcess(p.pid())
}

// waitsForRoom tells whether somebody waits. Then those who come later do, too. p.mu is held.
func (p *process) waitsForRoom() bool { return p.relation != nil && p.relation.senders.first != nil }

// paced is what SendWait sends. p.mu is held.
func (p *process) paced(msg any) item {
	it := item{kind: kindPaced, msg: msg}
	if o := p.options; o != nil && o.ClassOf != nil {
		_, size := o.ClassOf(it.content())
		it.load = loadOf(size)
	}
	return it
}

// admit puts what SendWait sends into the mailbox. False: there is no room. Its bytes count; nothing else may become of it than being
// handled. p.mu is held.
func (p *process) admit(it item) bool {
	o, q := p.options, &p.queue
	if o != nil && o.Overflow != hook.Exit {
		return p.admitAmong(it)
	}
	if q.limit >= 0 && q.counted >= q.room() || o != nil && o.MailboxBytes > 0 && q.items.Sum() >= p.roomBytes() {
		return false
	}
	p.push(it)
	return true
}

// admitAmong is admit where messages may be left out. They may fill the mailbox for ever, so room is only what others who use
// SendWait leave, and a message that yields is left out for one of theirs.
func (p *process) admitAmong(it item) bool {
	q, in := &p.queue, &p.rel().senders
	if q.limit >= 0 && in.inside >= q.room() || p.options.MailboxBytes > 0 && in.bytes >= p.roomBytes() {
		return false
	}
	bytes := it.load.bytes()
	if p.tooMuch(1, bytes) != nil && !p.canMakeRoom(bytes) {
		return false
	}
	if _, why := p.makeRoom(&it, 1, bytes); why != nil {
		return false
	}
	if q.len() == 0 { // it will stand in no segment
		bytes = 0
	}
	in.inside++
	in.bytes += bytes
	p.push(it)
	return true
}

// canMakeRoom tells whether there is room for a message of so many bytes once all that yields is left out. p.mu is held.
func (p *process) canMakeRoom(bytes int64) bool {
	yield, sum := int32(0), p.queue.items.Sum()
	for it := range p.queue.items.All() {
		if it.load.yields() {
			yield++
			sum -= it.load.bytes()
		}
	}
	q, limit := &p.queue, p.options.MailboxBytes
	return (q.limit < 0 || q.counted-yield < q.limit) && (limit <= 0 || sum == 0 || sum+bytes <= limit)
}

// room is for how many of those who use SendWait there is room; without a limit it says nothing.
func (q *queue) room() int32 { return q.limit - q.limit>>1 }

// letIn puts messages into the mailbox that have waited longest for room, as long as there is some. It is called after each message
// that was taken out, under the same lock: so whenever somebody waits there is no room, and nobody gets in between. p.mu is held.
func (p *process) letIn() {
	if p.relation == nil {
		return
	}
	for w := p.relation.senders.first; w != nil && p.admit(w.it); w = p.relation.senders.first {
		p.relation.senders.remove(w)
		w.tell(true)
	}
}

// letInAfter is letIn after it was taken out of the mailbox. p.mu is held.
func (p *process) letInAfter(it *item) {
	if in := &p.relation.senders; it.kind == kindPaced && in.inside > 0 {
		in.inside--
		in.bytes -= it.load.bytes()
	}
	p.letIn()
}

// shuts has the process take no more messages, and tells those who wait for room. p.mu is held.
func (p *process) shuts() {
	p.shut = true
	if p.relation == nil {
		return
	}
	for w := p.relation.senders.first; w != nil; w = p.relation.senders.first {
		p.relation.senders.remove(w)
		w.tell(false)
	}
}

// sender is a SendWait that waits. The mu of the process guards it, until done has a value.
type sender struct {
	it         item
	waits      bool        // it is in the list
	done       chan bool   // gets a value, for which it has room, when w is taken out: whether the message is in the mailbox
	away       *awaySender // of another node: then there is no done
	prev, next *sender
}

// tell says whether the message is in the mailbox. The mu of the process is held.
func (w *sender) tell(in bool) {
	if w.away == nil {
		w.done <- in
		return
	}
	w.away.in = in
	w.away.p.sys.pool.Go(w)
}

// senders are those who wait for room in one mailbox, whoever has waited longest first.
type senders struct {
	first, last *sender
	// What SendWait has sent and waits in the mailbox, where messages may be left out; else 0.
	inside int32
	bytes  int64
}

// concerned tells whether an item that is taken out of the mailbox matters to them.
func (l *senders) concerned() bool { return l.first != nil || l.inside != 0 }

func (l *senders) add(w *sender) {
	w.waits, w.prev = true, l.last
	if l.last == nil {
		l.first = w
	} else {
		l.last.next = w
	}
	l.last = w
}

func (l *senders) remove(w *sender) {
	if w.prev == nil {
		l.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		l.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.waits, w.prev, w.next = false, nil, nil
}
