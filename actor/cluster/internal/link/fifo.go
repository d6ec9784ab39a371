package link

// fifo is a queue in one slice. The zero value is empty.
type fifo[T any] struct {
	s    []T
	head int
}

func (q *fifo[T]) len() int { return len(q.s) - q.head }

// at returns the i-th item from the oldest.
func (q *fifo[T]) at(i int) *T { return &q.s[q.head+i] }

func (q *fifo[T]) push(v T) {
	if q.head > 0 && len(q.s) == cap(q.s) && q.head >= len(q.s)/2 {
		n := copy(q.s, q.s[q.head:])
		clear(q.s[n:])
		q.s, q.head = q.s[:n], 0
	}
	q.s = append(q.s, v)
}

// pop takes the oldest item. An empty queue keeps little memory.
func (q *fifo[T]) pop() T {
	const keep = 64
	var zero T
	v := q.s[q.head]
	q.s[q.head] = zero
	q.head++
	if q.head == len(q.s) {
		q.s, q.head = q.s[:0], 0
		if cap(q.s) > keep {
			q.s = nil
		}
	}
	return v
}

// insert puts items before the oldest.
func (q *fifo[T]) insert(vs []T) {
	s := make([]T, 0, len(vs)+q.len())
	q.s, q.head = append(append(s, vs...), q.s[q.head:]...), 0
}
