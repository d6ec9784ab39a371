package fifo

import "testing"

func TestQueue_isAFIFOThatHoldsNothingWhenItIsEmpty(t *testing.T) {
	var segments Segments[int]
	var q Queue[int]
	next, want := 0, 0
	for round := range 100 {
		for range round * 7 {
			q.Push(&segments, next)
			next++
		}
		if q.Len() != next-want {
			t.Fatalf("Len() = %d, want %d", q.Len(), next-want)
		}
		for range q.Len() * round % 13 {
			v, ok := q.Pop(&segments)
			if !ok && q.Len() == 0 {
				break
			}
			if v != want {
				t.Fatalf("Pop() = %d, %t; want %d", v, ok, want)
			}
			want++
		}
	}
	for q.Len() > 0 {
		if v, _ := q.Pop(&segments); v != want {
			t.Fatalf("Pop() = %d, want %d", v, want)
		}
		want++
	}
	if want != next {
		t.Errorf("%d items came out, want %d", want, next)
	}
	if _, ok := q.Pop(&segments); ok || q.head != nil || q.tail != nil {
		t.Errorf("an empty queue gave something, or holds %+v", q)
	}
}

// TestQueue_forgetsWhatItGave: a segment that goes back to the pool must not keep messages alive.
func TestQueue_forgetsWhatItGave(t *testing.T) {
	var segments Segments[*int]
	var q Queue[*int]
	for range segmentLen + 2 { // one stands in the Queue itself
		q.Push(&segments, new(int))
	}
	first, last := q.head, q.tail
	if first == last {
		t.Fatal("all items are in one segment")
	}
	for range segmentLen + 2 {
		q.Pop(&segments)
	}
	if q != (Queue[*int]{first: q.first, last: q.last}) {
		t.Errorf("an empty queue holds %+v", q)
	}
	for _, seg := range []*segment[*int]{first, last} {
		if seg.next != nil {
			t.Errorf("a segment that is free has a next one")
		}
		for i, v := range seg.items {
			if v != nil {
				t.Errorf("item %d is kept", i)
			}
		}
	}
}

// TestQueue_ofOneItem: most mailboxes never hold more than one.
func TestQueue_ofOneItem(t *testing.T) {
	var segments Segments[int]
	var q Queue[int]
	for want := range 3 {
		q.Push(&segments, want)
		if q.head != nil {
			t.Errorf("the only item is in a segment")
		}
		if got, ok := q.Pop(&segments); got != want || !ok {
			t.Errorf("Pop() = %d, %t; want %d, true", got, ok, want)
		}
	}
}

func BenchmarkQueue(b *testing.B) {
	var segments Segments[any]
	var q Queue[any]
	v := any("message")
	b.ReportAllocs()
	for b.Loop() {
		q.Push(&segments, v)
		q.Pop(&segments)
	}
}
