package actor

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestLapse: what was asked for is over once its time is, and nothing runs after that.
func TestLapse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lapse
		l.init()
		want := func(when string, over uint32) {
			t.Helper()
			synctest.Wait()
			if got := l.over.Load(); got != over {
				t.Errorf("%s: over %d times, want %d", when, got, over)
			}
		}
		time.Sleep(time.Hour)
		want("never asked for", 0)
		for i := range uint32(3) {
			if got := l.begin(); got != i {
				t.Errorf("begin returns %d, want %d", got, i)
			}
			time.Sleep(lapseTime / 2)
			if got := l.begin(); got != i { // for another process: it gets what is left of the time
				t.Errorf("begin returns %d before it is over, want %d", got, i)
			}
			want("before its time", i)
			time.Sleep(lapseTime / 2)
			want("after its time", i+1)
			time.Sleep(time.Hour)
			want("an hour later", i+1)
		}
	})
}

// TestLapse_isNeverLost: whoever begins while the timer of another one fires sees that this is over, or starts the timer again.
func TestLapse_isNeverLost(t *testing.T) {
	var l lapse
	l.init()
	for i := range 100_000 {
		l.runs.Store(true)
		fired := make(chan struct{})
		go func() { defer close(fired); l.end() }()
		for spins := 0; l.runs.Load() && spins < i%500; spins++ {
		}
		over := l.begin()
		<-fired
		if l.timer.Stop() { // else it has fired meanwhile, or was not started
			l.runs.Store(true)
		}
		if l.over.Load() == over && !l.runs.Load() {
			t.Fatalf("try %d: it is not over, and no timer runs", i)
		}
	}
}
