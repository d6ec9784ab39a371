package actor

import (
	"fmt"

	"github.com/troupe-dev/troupe/actor/internal/fifo"
)

// itemKind says how an item counts and what handling it means.
type itemKind uint8

const (
	kindUser     itemKind = iota // from Send; counts against MailboxLimit
	kindPaced                    // from SendWait; counts
	kindCall                     // msg is a *call; counts
	kindDeferred                 // msg is a deferred; counts
	kindHeld                     // msg is a *held; counts
	kindFrame                    // from Port.Hand at rest: what the host's reader handed over; it is in no queue
	kindHanded                   // from Port.Hand or Port.Queue: likewise, but it has waited
	kindExit                     // msg is the exit reason
	kindDown                     // msg is a Down
	kindTimer                    // msg is a *timer
	kindTask                     // msg is a Done[T]
	kindNotice                   // msg is a deferred, from Ref.Notify: at most one of a sender waits
)

// counts tells whether MailboxLimit holds for items of this kind. The number of others is bounded by what the process has
// asked for itself, or by its host; and an Exit must not be lost.
func (k itemKind) counts() bool { return k <= kindHeld }

type item struct {
	kind itemKind
	at   uint16 // when it came, by process.tick; 0: that is not noted
	load load
	msg  any
}

// load is what the limits of a mailbox must know of a message for the client: its bytes, and whether it yields. It is one field, since
// the compiler keeps an item in registers only while it has no more than four.
type load uint32

const yields load = 1 << 31

// bytes is what the message adds to the Sum of the queue.
func (l load) bytes() int64 { return int64(l &^ yields) }

// yields tells whether it may be left out for others; see makeRoom.
func (l load) yields() bool { return l&yields != 0 }

// apart is l of a message whose bytes are in no Sum.
func (l load) apart() load { return l & yields }

// bytes is what it adds to the Sum of the queue. That of a held one may have become another since it came.
func (it *item) bytes() int64 {
	if it.kind == kindHeld {
		return it.msg.(*held).it.load.bytes()
	}
	return it.load.bytes()
}

// time is when it came, by process.tick; 0: that is not noted.
func (it *item) time() uint16 {
	if it.kind == kindHeld {
		return it.msg.(*held).it.at
	}
	return it.at
}

// deferred is host.Deferred.
type deferred interface {
	Due(to PID) (msg any, ok bool)
	Content() any
}

// content is the message as the actor sees it; for a deferred one, what can be said of it before its turn.
func (it item) content() any { return bare(it.raw()) }

// raw is content with what it carries.
func (it item) raw() any {
	switch it.kind {
	case kindCall:
		return it.msg.(*call).req
	case kindTimer:
		return it.msg.(*timer).msg
	case kindDeferred, kindNotice:
		return it.msg.(deferred).Content()
	case kindHeld:
		return it.msg.(*held).it.raw()
	}
	return it.msg
}

// namer is host.Namer.
type namer interface{ NameOf(msg any) string }

// nameOf is the type of the message, or how the host calls it; p.mu is held.
func (p *process) nameOf(it item) string {
	msg := it.content()
	if h, ok := p.host.(namer); ok {
		if name := h.NameOf(msg); name != "" {
			return name
		}
	}
	return fmt.Sprintf("%T", msg)
}

// queue is a mailbox. Its owner locks it.
type queue struct {
	counted int32
	limit   int32 // of counted; negative: none. push does not look at it
	items   fifo.Queue[item]
}

var segments fifo.Segments[item]

func (q *queue) len() int { return q.items.Len() }

// push returns true when the item begins a segment, which process.mark has to mark then.
func (q *queue) push(it item) (begins bool) {
	if it.kind.counts() {
		q.counted++
	}
	return q.items.Push(&segments, it)
}

func (q *queue) pop() (item, bool) {
	it, ok := q.items.Pop(&segments)
	if ok {
		q.taken(&it)
	}
	return it, ok
}

// taken is for an item that was taken out of items.
func (q *queue) taken(it *item) {
	if it.kind.counts() {
		q.counted--
	}
	if it.load != 0 {
		q.items.Add(-it.bytes())
	}
}
