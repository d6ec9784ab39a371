package deadline

import "container/heap"

// bucket holds what is due at one instant.
type bucket struct {
	at       instant
	position int // in the heap; outside: its calls of Due are being made
	first    *Entry
	next     *bucket // in the list of free ones
}

// outside is the position of a bucket that is in no heap.
const outside = -1

func (b *bucket) firing() bool { return b.position == outside }

func (b *bucket) add(e *Entry) {
	e.bucket, e.prev, e.next = b, nil, b.first
	if b.first != nil {
		b.first.prev = e
	}
	b.first = e
}

// remove takes e out and forgets its target.
func (b *bucket) remove(e *Entry) {
	if e.next != nil {
		e.next.prev = e.prev
	}
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		b.first = e.next
	}
	*e = Entry{}
}

// buckets are the buckets that are not empty, by their instant and in the order of their instants.
type buckets struct {
	index map[instant]*bucket
	heap  byInstant
	free  *bucket // for reuse; never more than there were in use at one time, which are few
}

// at returns the bucket of an instant, a new one if there is none.
func (bs *buckets) at(at instant) *bucket {
	if b := bs.index[at]; b != nil {
		return b
	}
	b := bs.free
	if b == nil {
		b = new(bucket)
	} else {
		bs.free = b.next
	}
	*b = bucket{at: at}
	if bs.index == nil {
		bs.index = make(map[instant]*bucket)
	}
	bs.index[at] = b
	heap.Push(&bs.heap, b)
	return b
}

// due takes the earliest bucket out, if its instant has come.
func (bs *buckets) due(now instant) *bucket {
	if len(bs.heap) == 0 || bs.heap[0].at > now {
		return nil
	}
	b := bs.heap[0]
	bs.take(b)
	return b
}

// drop removes a bucket that has become empty.
func (bs *buckets) drop(b *bucket) {
	bs.take(b)
	bs.recycle(b)
}

func (bs *buckets) take(b *bucket) {
	heap.Remove(&bs.heap, b.position)
	delete(bs.index, b.at)
}

// recycle keeps b, which is empty and taken, for the next instant.
func (bs *buckets) recycle(b *bucket) {
	b.next = bs.free
	bs.free = b
}

// byInstant is a heap of buckets, the earliest first.
type byInstant []*bucket

func (h byInstant) Len() int           { return len(h) }
func (h byInstant) Less(i, j int) bool { return h[i].at < h[j].at }
func (h byInstant) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].position, h[j].position = i, j
}

// Push and Pop are for package heap.
func (h *byInstant) Push(x any) {
	b := x.(*bucket)
	b.position = len(*h)
	*h = append(*h, b)
}

func (h *byInstant) Pop() any {
	last := len(*h) - 1
	b := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	b.position = outside
	return b
}
