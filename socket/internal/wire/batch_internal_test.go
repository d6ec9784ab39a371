package wire

import "testing"

// TestBatch_release: what is lent to a batch that was not written may still be read by a write of the batch before, and so
// must not be given to anybody.
func TestBatch_release(t *testing.T) {
	for _, written := range []bool{true, false} {
		again := 0
		for range 1000 { // a pool may give another one, and now and then does
			lent := newBuffer(16 << 10)[:1]
			b := new(batch)
			b.lent = append(b.lent, lent)
			b.release(written)
			if got := newBuffer(16 << 10)[:1]; &got[0] == &lent[0] {
				again++
			}
		}
		if (again > 0) != written {
			t.Errorf("release(%t): the buffer was used again in %d of 1000 cases", written, again)
		}
	}
}
