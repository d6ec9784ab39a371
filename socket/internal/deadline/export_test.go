package deadline

// Ticking reports whether the timer of q is running. It stops it.
func Ticking(q *Queue) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.timer == nil || !q.timer.Stop() {
		return false
	}
	q.timer.Reset(0) // it looks when the next bucket is due
	return true
}

// Buckets is how many buckets q has.
func Buckets(q *Queue) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.buckets.heap)
}

// Fire is what the timer calls.
func Fire(q *Queue) { q.fire() }
