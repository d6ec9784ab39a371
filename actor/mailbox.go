package actor

import (
	"fmt"
	"sync"
)

// itemKind says how an item counts and what handling it means.
type itemKind uint8

const (
	kindUser  itemKind = iota // from Send; counts against MailboxLimit
	kindCall                  // msg is a *call; counts
	kindFrame                 // from Port.Deliver: what the host's reader handed over
	kindExit                  // msg is the exit reason
	kindDown                  // msg is a Down
	kindTimer                 // msg is a *timer
	kindTask                  // msg is a Done[T]
)

// counts tells whether items of this kind are refused by MailboxLimit. The others are bounded by what the process asked
// for itself, by its reader's single slot, or must not be lost.
func (k itemKind) counts() bool { return k <= kindCall }

type item struct {
	kind itemKind
	msg  any
}

// content is the message as the actor sees it.
func (it item) content() any {
	switch m := it.msg.(type) {
	case *call:
		return m.req
	case *timer:
		return m.msg
	}
	return it.msg
}

// name says what the item is: the type of the message, or how a frame of a host calls itself.
func (it item) name() string {
	if s, ok := it.msg.(fmt.Stringer); ok && it.kind == kindFrame {
		return s.String()
	}
	return fmt.Sprintf("%T", it.content())
}

const segmentItems = 32

type segment struct {
	next  *segment
	items [segmentItems]item
}

var segments = sync.Pool{New: func() any { return new(segment) }}

// queue is a FIFO of items in segments of a shared pool. An empty queue holds no memory, so a burst costs nothing
// afterwards. Its owner locks it.
type queue struct {
	head, tail *segment
	first      int // index of the oldest item in head
	last       int // index behind the newest item in tail
	n          int
	counted    int
}

func (q *queue) push(it item) {
	if q.tail == nil {
		q.head = segments.Get().(*segment)
		q.tail, q.first, q.last = q.head, 0, 0
	} else if q.last == segmentItems {
		s := segments.Get().(*segment)
		q.tail.next, q.tail, q.last = s, s, 0
	}
	q.tail.items[q.last] = it
	q.last++
	q.n++
	if it.kind.counts() {
		q.counted++
	}
}

func (q *queue) pop() (item, bool) {
	if q.n == 0 {
		return item{}, false
	}
	it := q.head.items[q.first]
	q.head.items[q.first] = item{}
	q.first++
	q.n--
	if it.kind.counts() {
		q.counted--
	}
	if q.n == 0 {
		segments.Put(q.head)
		q.head, q.tail = nil, nil
	} else if q.first == segmentItems {
		s := q.head
		q.head, q.first = s.next, 0
		s.next = nil
		segments.Put(s)
	}
	return it, true
}
