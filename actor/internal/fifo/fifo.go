// Package fifo is a queue that costs nothing while it is empty, and little while it is short.
package fifo

import (
	"iter"
	"sync"
)

const segmentLen = 32

type segment[T any] struct {
	next  *segment[T]
	mark  int64 // see Queue.Mark
	sum   int64 // in the head; see Queue.Add
	items [segmentLen]T
}

// Segments is the memory that Queues of one kind share. The zero value works.
type Segments[T any] struct{ pool sync.Pool }

func (s *Segments[T]) get() *segment[T] {
	if seg, ok := s.pool.Get().(*segment[T]); ok {
		return seg
	}
	return new(segment[T])
}

// put takes seg back, and those that follow it. They must hold nothing.
func (s *Segments[T]) put(seg *segment[T]) {
	for seg != nil {
		next := seg.next
		seg.next, seg.sum = nil, 0
		s.pool.Put(seg)
		seg = next
	}
}

// Queue is a FIFO. An item that is put into an empty Queue is kept in the Queue itself, those that come after it in
// segments. An empty Queue holds no segment, so a burst costs nothing afterwards; a Queue that grows copies nothing. The
// zero value is empty. Its owner locks it, and always gives it the same Segments.
type Queue[T any] struct {
	n           uint32
	first, last uint8 // index of the oldest item in head, and after the newest in tail
	alone       bool  // one is the oldest item; those in the segments came after it
	one         T
	head, tail  *segment[T]
}

// Len is the number of items.
func (q *Queue[T]) Len() int { return int(q.n) }

// Push adds v at the end. It returns true when v begins a segment, which the caller can Mark then.
func (q *Queue[T]) Push(s *Segments[T], v T) (begins bool) {
	q.n++
	if q.n == 1 {
		q.one, q.alone = v, true
		return false
	}
	if q.tail == nil {
		q.head = s.get()
		q.tail, q.first, q.last = q.head, 0, 0
		begins = true
	} else if q.last == segmentLen {
		seg := s.get()
		q.tail.next, q.tail, q.last = seg, seg, 0
		begins = true
	}
	q.tail.items[q.last] = v
	q.last++
	return begins
}

// Mark notes something about the item that was pushed last, which has begun a segment: a time from before it came.
func (q *Queue[T]) Mark(mark int64) { q.tail.mark = mark }

// Oldest is the mark of the segment that the oldest item is in; false: it is the one that was put into an empty Queue, which
// has none, or there is no item.
func (q *Queue[T]) Oldest() (mark int64, ok bool) {
	if q.n == 0 || q.alone {
		return 0, false
	}
	return q.head.mark, true
}

// Add adds n to a number that the owner keeps of the items in segments. It is in a segment, since an empty Queue must be small: so
// it is 0 while there is no segment, and Add does nothing then.
func (q *Queue[T]) Add(n int64) {
	if q.head != nil {
		q.head.sum += n
	}
}

// Sum is what Add has added up.
func (q *Queue[T]) Sum() int64 {
	if q.head == nil {
		return 0
	}
	return q.head.sum
}

// First is the oldest item that match says yes to; nil: there is none. It is valid until the Queue changes.
func (q *Queue[T]) First(match func(*T) bool) *T {
	if q.alone && match(&q.one) {
		return &q.one
	}
	if seg, i := q.find(match); seg != nil {
		return &seg.items[i]
	}
	return nil
}

// find is where First is, if it is in a segment.
func (q *Queue[T]) find(match func(*T) bool) (seg *segment[T], i uint8) {
	i = q.first
	for seg = q.head; seg != nil; seg, i = seg.next, 0 {
		for last := q.end(seg); i < last; i++ {
			if match(&seg.items[i]) {
				return seg, i
			}
		}
	}
	return nil, 0
}

// end is the index after the last item of seg.
func (q *Queue[T]) end(seg *segment[T]) uint8 {
	if seg == q.tail {
		return q.last
	}
	return segmentLen
}

// RemoveFirst takes out the oldest item that match says yes to; false: there is none. It looks at that one and those before it. When
// those are in an earlier segment, what is left of the segment of that one has the mark of an older one from then on.
func (q *Queue[T]) RemoveFirst(s *Segments[T], match func(*T) bool) (v T, ok bool) {
	if q.alone && match(&q.one) {
		return q.Pop(s)
	}
	found, at := q.find(match)
	if found == nil {
		return v, false
	}
	// Those before it move one place towards the end, and it comes to the head.
	carried, mark := found.items[at], q.head.mark
	for seg, i := q.head, q.first; ; seg, i = seg.next, 0 {
		seg.mark, mark = mark, seg.mark
		last := uint8(segmentLen)
		if seg == found {
			last = at + 1
		}
		for ; i < last; i++ {
			carried, seg.items[i] = seg.items[i], carried
		}
		if seg == found {
			break
		}
	}
	if !q.alone {
		return q.Pop(s)
	}
	q.alone = false // the oldest of all stays
	q.n--
	v, ok = q.Pop(s)
	q.alone = true
	q.n++
	return v, ok
}

// Filter keeps the items of which keep, which is called for each, the oldest first, says so. It goes through all of them. A mark
// stays with the item that has begun a segment then, so Oldest is as exact as before.
func (q *Queue[T]) Filter(s *Segments[T], keep func(*T) bool) {
	var zero T
	if q.alone && !keep(&q.one) {
		q.one, q.alone = zero, false
		q.n--
	}
	if q.head == nil {
		return
	}
	to, at, empty := q.head, q.first, true // where the next one that is kept goes; it is the first one there
	for seg, first := q.head, q.first; seg != nil; seg, first = seg.next, 0 {
		last := q.end(seg)
		for i := first; i < last; i++ {
			v := &seg.items[i]
			if !keep(v) {
				*v = zero
				q.n--
				continue
			}
			if at == segmentLen {
				to, at, empty = to.next, 0, true
			}
			if empty {
				to.mark, empty = seg.mark, false
			}
			if place := &to.items[at]; place != v {
				*place, *v = *v, zero
			}
			at++
		}
	}
	if q.n == 0 || q.alone && q.n == 1 {
		s.put(q.head)
		q.head, q.tail = nil, nil
		return
	}
	rest := to.next
	to.next, q.tail, q.last = nil, to, at
	s.put(rest)
}

// All yields the items, the oldest first. The Queue must not change meanwhile.
func (q *Queue[T]) All() iter.Seq[T] {
	return func(yield func(T) bool) {
		if q.alone && !yield(q.one) {
			return
		}
		first := q.first
		for seg := q.head; seg != nil; seg = seg.next {
			for _, v := range seg.items[first:q.end(seg)] {
				if !yield(v) {
					return
				}
			}
			first = 0
		}
	}
}

// Pop takes the oldest item; false: there is none.
func (q *Queue[T]) Pop(s *Segments[T]) (v T, ok bool) {
	var zero T
	if q.n == 0 {
		return zero, false
	}
	q.n--
	if q.alone {
		v, q.one, q.alone = q.one, zero, false
		return v, true
	}
	v, q.head.items[q.first] = q.head.items[q.first], zero
	q.first++
	if q.n == 0 {
		q.head.sum = 0
		s.pool.Put(q.head)
		q.head, q.tail = nil, nil
	} else if q.first == segmentLen {
		seg := q.head
		q.head, q.first = seg.next, 0
		q.head.sum, seg.sum = seg.sum, 0
		seg.next = nil
		s.pool.Put(seg)
	}
	return v, true
}
