package wheel

// Ticking reports whether the timer of w is running. It stops it.
func Ticking(w *Wheel) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer == nil || !w.timer.Stop() {
		return false
	}
	w.timer.Reset(0) // it looks when the next bucket is due
	return true
}

// Buckets is how many buckets w has.
func Buckets(w *Wheel) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.buckets.heap)
}

// Fire is what the timer calls.
func Fire(w *Wheel) { w.fire() }
