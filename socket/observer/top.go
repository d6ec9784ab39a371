package observer

import (
	"slices"
	"sort"
)

// top keeps the best of those that it is shown: at most limit of them.
type top[T any] struct {
	limit  int
	better func(a, b *T) bool
	heap   []T // the worst one first: nobody below is worse than the one above
}

// wants tells whether add would keep x.
func (t *top[T]) wants(x *T) bool {
	return len(t.heap) < t.limit || t.limit > 0 && t.better(x, &t.heap[0])
}

func (t *top[T]) add(x *T) {
	switch {
	case len(t.heap) < t.limit:
		t.heap = append(t.heap, *x)
		t.up(len(t.heap) - 1)
	case t.wants(x):
		t.heap[0] = *x
		t.down(0)
	}
}

func (t *top[T]) up(i int) {
	for i > 0 {
		above := (i - 1) / 2
		if !t.better(&t.heap[above], &t.heap[i]) {
			return
		}
		t.heap[above], t.heap[i] = t.heap[i], t.heap[above]
		i = above
	}
}

func (t *top[T]) down(i int) {
	for {
		worst := i
		for _, below := range [...]int{2*i + 1, 2*i + 2} {
			if below < len(t.heap) && t.better(&t.heap[worst], &t.heap[below]) {
				worst = below
			}
		}
		if worst == i {
			return
		}
		t.heap[worst], t.heap[i] = t.heap[i], t.heap[worst]
		i = worst
	}
}

// best returns what was kept, the best one first.
func (t *top[T]) best() []T {
	list := slices.Clone(t.heap)
	sort.Slice(list, func(i, j int) bool { return t.better(&list[i], &list[j]) })
	return list
}
