package fifo

import (
	"math/rand/v2"
	"slices"
	"testing"
)

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

// TestQueue_marks: the mark of the oldest item is that of its segment, whatever the segment was used for before.
func TestQueue_marks(t *testing.T) {
	var segments Segments[int]
	var q Queue[int]
	for round := range 3 {
		marks := map[int]int64{} // by item, from the second on
		for i := range 5 * segmentLen {
			if begins := q.Push(&segments, i); begins != (i%segmentLen == 1) {
				t.Fatalf("round %d: Push of item %d says %t", round, i, begins)
			} else if begins {
				q.Mark(int64(1000*round + i))
			}
			marks[i] = int64(1000*round + (i-1)/segmentLen*segmentLen + 1)
		}
		for i := range 5 * segmentLen {
			mark, ok := q.Oldest()
			if i == 0 && ok || i > 0 && (!ok || mark != marks[i]) {
				t.Fatalf("round %d, item %d: Oldest() = %d, %t; want %d, %t", round, i, mark, ok, marks[i], i > 0)
			}
			q.Pop(&segments)
		}
	}
	if mark, ok := q.Oldest(); ok {
		t.Errorf("an empty queue has a mark, %d", mark)
	}
}

func TestQueue_All(t *testing.T) {
	var segments Segments[int]
	var q Queue[int]
	in, out := 0, 0
	for _, step := range []struct{ push, pop int }{{1, 0}, {1, 0}, {1, 1}, {0, 2}, {3 * segmentLen, 0}, {0, segmentLen + 3}, {2, 0}, {0, 2*segmentLen - 1}, {5, 5}} {
		for range step.push {
			q.Push(&segments, in)
			in++
		}
		for range step.pop {
			q.Pop(&segments)
			out++
		}
		want := out
		for v := range q.All() {
			if v != want {
				t.Fatalf("after %d in, %d out: All yields %d, want %d", in, out, v, want)
			}
			want++
		}
		if want != in {
			t.Errorf("after %d in, %d out: All has yielded up to %d", in, out, want)
		}
		for range q.All() {
			break
		}
	}
}

// TestQueue_random: random pushes, pops, removals and filters, against a slice. The mark of the oldest is that of an item that came no
// later than it, and the number that Add keeps is that of the items in segments.
func TestQueue_random(t *testing.T) {
	type thing struct{ n, counted int }
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 0))
		var segments Segments[thing]
		var q Queue[thing]
		var model []thing
		next, sum := 0, 0
		for step := range 2000 {
			switch k := random.IntN(100); {
			case k < 60:
				next++
				v := thing{n: next}
				if q.Len() > 0 {
					v.counted = random.IntN(3)
				}
				if q.Push(&segments, v) {
					q.Mark(int64(next))
				}
				q.Add(int64(v.counted))
				sum += v.counted
				model = append(model, v)
			case k < 75:
				v, ok := q.Pop(&segments)
				if ok != (len(model) > 0) || ok && v != model[0] {
					t.Fatalf("seed %d, step %d: Pop() = %v, %t; want the first of %v", seed, step, v, ok, model)
				}
				if ok {
					q.Add(-int64(v.counted))
					sum -= v.counted
					model = model[1:]
				}
			case k < 97:
				odd := func(v *thing) bool { return v.n%5 == step%5 }
				i := slices.IndexFunc(model, func(v thing) bool { return odd(&v) })
				if v := q.First(odd); (v != nil) != (i >= 0) || v != nil && *v != model[i] {
					t.Fatalf("seed %d, step %d: First(n %% 5 = %d) = %v of %v", seed, step, step%5, v, model)
				}
				v, ok := q.RemoveFirst(&segments, odd)
				if ok != (i >= 0) || ok && v != model[i] {
					t.Fatalf("seed %d, step %d: took out %v, %t, n %% 5 = %d, of %v", seed, step, v, ok, step%5, model)
				}
				if ok {
					q.Add(-int64(v.counted))
					sum -= v.counted
					model = slices.Delete(model, i, i+1)
				}
			default:
				odds := random.IntN(101)
				var kept []thing
				asked, less := 0, 0
				q.Filter(&segments, func(v *thing) bool {
					if *v != model[asked] {
						t.Fatalf("seed %d, step %d: asked for %v, want %v", seed, step, *v, model[asked])
					}
					asked++
					if random.IntN(100) < odds {
						less += v.counted
						return false
					}
					kept = append(kept, *v)
					return true
				})
				if asked != len(model) {
					t.Fatalf("seed %d, step %d: asked for %d items of %d", seed, step, asked, len(model))
				}
				q.Add(-int64(less))
				sum -= less
				model = kept
			}
			if q.Len() != len(model) || !slices.Equal(slices.Collect(q.All()), model) {
				t.Fatalf("seed %d, step %d: %d items %v, want %v", seed, step, q.Len(), slices.Collect(q.All()), model)
			}
			if q.Sum() != int64(sum) {
				t.Fatalf("seed %d, step %d: Sum() = %d, want %d", seed, step, q.Sum(), sum)
			}
			if mark, ok := q.Oldest(); ok && (int(mark) > model[0].n || q.head.mark != mark) {
				t.Fatalf("seed %d, step %d: the oldest, %d, has the mark of %d, which came after it", seed, step, model[0].n, mark)
			}
		}
		q.Filter(&segments, func(*thing) bool { return false })
		if q.Len() != 0 || q.head != nil || q.tail != nil || q.alone {
			t.Fatalf("seed %d: an empty queue holds %+v", seed, q)
		}
		for range 100 { // what is in the pool holds nothing
			if seg := segments.get(); seg.sum != 0 || seg.next != nil || seg.items != [segmentLen]thing{} {
				t.Fatalf("seed %d: a segment in the pool holds %+v", seed, seg)
			}
		}
	}
}
