package deadline_test

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/troupe-dev/troupe/socket/internal/deadline"
)

// due is a Target made of a func.
type due func(now time.Time)

func (f due) Due(now time.Time) { f(now) }

// slack is how late what was set for d may be called.
func slack(d time.Duration) time.Duration { return max(d/32, time.Millisecond) }

func TestQueue_callsOnceAndInTime(t *testing.T) {
	for _, d := range []time.Duration{
		-time.Second, 0, 1, time.Microsecond, time.Millisecond, 1234567, 31 * time.Millisecond, 32 * time.Millisecond,
		33 * time.Millisecond, time.Second, 15 * time.Second, time.Minute, time.Hour, 24 * time.Hour, 10000 * time.Hour,
	} {
		t.Run(d.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var q deadline.Queue
				var e deadline.Entry
				var calls []time.Duration
				begin := time.Now()
				q.Set(&e, due(func(now time.Time) {
					if !now.Equal(time.Now()) {
						t.Errorf("Due was told %v, want the present %v", now, time.Now())
					}
					calls = append(calls, time.Since(begin))
				}), begin, d)
				time.Sleep(3*max(d, 0) + time.Second)
				synctest.Wait()
				if len(calls) != 1 {
					t.Fatalf("%d calls, want 1", len(calls))
				}
				if late := calls[0] - max(d, 0); late < 0 || late > slack(d) {
					t.Errorf("called after %v, %v late, want at most %v", calls[0], late, slack(d))
				}
				if q.Stop(&e) {
					t.Error("Stop after the call: got true, want false")
				}
			})
		})
	}
}

func TestQueue_cutsTheLongestTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q deadline.Queue
		var e deadline.Entry
		q.Set(&e, due(func(time.Time) { t.Error("called") }), time.Now(), 1<<63-1)
		time.Sleep(50 * 365 * 24 * time.Hour)
		if !q.Stop(&e) {
			t.Error("Stop after 50 years: got false, want true")
		}
	})
}

func TestQueue_Stop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q deadline.Queue
		var e deadline.Entry
		if q.Stop(&e) {
			t.Error("Stop of what was never set: got true, want false")
		}
		q.Set(&e, due(func(time.Time) { t.Error("called after Stop") }), time.Now(), time.Second)
		if !q.Stop(&e) {
			t.Error("Stop: got false, want true")
		}
		if q.Stop(&e) {
			t.Error("second Stop: got true, want false")
		}
		time.Sleep(time.Minute)
	})
}

func TestQueue_SetReplaces(t *testing.T) {
	for _, tt := range []struct {
		name        string
		first, then time.Duration
	}{
		{"later", time.Second, time.Minute},
		{"earlier", time.Minute, time.Second},
		{"the same", time.Minute, time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var q deadline.Queue
				var e deadline.Entry
				begin := time.Now()
				calls := 0
				q.Set(&e, due(func(time.Time) { t.Error("the replaced Target was called") }), begin, tt.first)
				q.Set(&e, due(func(time.Time) {
					calls++
					if got := time.Since(begin); got < tt.then || got > tt.then+slack(tt.then) {
						t.Errorf("called after %v, want %v", got, tt.then)
					}
				}), begin, tt.then)
				time.Sleep(time.Hour)
				synctest.Wait()
				if calls != 1 {
					t.Errorf("%d calls, want 1", calls)
				}
			})
		})
	}
}

func TestQueue_SetInDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q deadline.Queue
		var e deadline.Entry
		calls, last := 0, time.Now()
		var again due
		again = func(now time.Time) {
			if calls++; calls == 1000 {
				return
			}
			if d := time.Since(last); d < 10*time.Millisecond || d > 10*time.Millisecond+slack(0) {
				t.Errorf("call %d came after %v, want 10ms", calls, d)
			}
			last = now
			q.Set(&e, again, now, 10*time.Millisecond)
		}
		q.Set(&e, again, last, 10*time.Millisecond)
		time.Sleep(time.Minute)
		synctest.Wait()
		if calls != 1000 {
			t.Errorf("%d calls, want 1000", calls)
		}
	})
}

func TestQueue_entriesOfTheBucketThatIsFired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q deadline.Queue
		const again = 100 // added to the number of what was set again
		entries := make([]deadline.Entry, 9)
		var mu sync.Mutex
		var called []int
		now := time.Now()
		var target func(i int) due
		target = func(i int) due {
			return func(now time.Time) {
				mu.Lock()
				defer mu.Unlock()
				called = append(called, i)
				if len(called) > 1 {
					return
				}
				// The first: of the others, which are due as well, some are stopped and some are
				// set again.
				for j := range entries {
					switch {
					case j == i:
						if q.Stop(&entries[j]) {
							t.Error("Stop of the entry that is called: got true, want false")
						}
					case j%3 == 0:
						if !q.Stop(&entries[j]) {
							t.Errorf("Stop of entry %d, which is due: got false, want true", j)
						}
					case j%3 == 1:
						q.Set(&entries[j], target(j+again), now, time.Minute)
					}
				}
			}
		}
		for i := range entries {
			q.Set(&entries[i], target(i), now, time.Second)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		mu.Lock()
		first := called[0]
		var want []int
		for j := range entries {
			if j == first || j%3 == 2 {
				want = append(want, j)
			}
		}
		slices.Sort(called)
		if !slices.Equal(called, want) {
			t.Errorf("the first time: called %v, want %v", called, want)
		}
		mu.Unlock()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		for j := range entries {
			if j != first && j%3 == 1 {
				want = append(want, j+again)
			}
		}
		slices.Sort(called)
		slices.Sort(want)
		if !slices.Equal(called, want) {
			t.Errorf("a minute later: called %v, want %v", called, want)
		}
	})
}

func TestQueue_StopEmptiesTheBucketThatIsFired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q deadline.Queue
		var entries [2]deadline.Entry
		calls := make(chan int, 10)
		now := time.Now()
		for i := range entries {
			other := &entries[1-i]
			q.Set(&entries[i], due(func(time.Time) {
				calls <- i
				if !q.Stop(other) {
					t.Error("Stop of the other, which is due: got false, want true")
				}
				// Due in the past, at the very instant that is being fired.
				q.Set(other, due(func(time.Time) { calls <- 1 - i }), now, time.Second)
			}), now, time.Second)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(calls) != 2 || <-calls+<-calls != 1 {
			t.Error("want one call for each")
		}
		if got := deadline.Buckets(&q); got != 0 {
			t.Errorf("%d buckets are left, want 0", got)
		}
	})
}

func TestQueue_callsOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q deadline.Queue
		var first, second deadline.Entry
		calls := make(chan string, 10)
		now := time.Now()
		q.Set(&first, due(func(time.Time) {
			calls <- "begin"
			q.Set(&second, due(func(time.Time) { calls <- "begin"; calls <- "end" }), now, 0) // due at once
			deadline.Fire(&q)                                                                 // the timer fires again
			calls <- "end"
		}), now, time.Second)
		time.Sleep(time.Minute)
		synctest.Wait()
		for _, want := range []string{"begin", "end", "begin", "end"} {
			if got := <-calls; got != want {
				t.Fatalf("got the %s of a call, want its %s", got, want)
			}
		}
	})
}

// model is an entry and what must happen to it.
type model struct {
	entry deadline.Entry
	set   bool
	at    time.Time // not before
	by    time.Time // not after
}

func TestQueue_againstAModel(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			var q deadline.Queue
			entries := make([]model, 200)
			var mu sync.Mutex // of rnd and the models
			calls, sets, stops := 0, 0, 0
			var set func(m *model)
			set = func(m *model) {
				d := time.Duration(rnd.Int64N(int64(1) << rnd.IntN(43)))
				now := time.Now()
				m.set, m.at, m.by = true, now.Add(d), now.Add(d+slack(d))
				sets++
				q.Set(&m.entry, due(func(now time.Time) {
					mu.Lock()
					defer mu.Unlock()
					calls++
					switch {
					case !m.set:
						t.Error("called without Set, a second time or after Stop")
					case now.Before(m.at):
						t.Errorf("called %v early", m.at.Sub(now))
					case now.After(m.by):
						t.Errorf("called %v late", now.Sub(m.by))
					}
					m.set = false
					if rnd.IntN(3) == 0 {
						set(m)
					}
				}), now, d)
			}
			for range 5000 {
				mu.Lock()
				m := &entries[rnd.IntN(len(entries))]
				if rnd.IntN(3) > 0 {
					if m.set {
						stops++ // replaced
					}
					set(m)
				} else {
					if got := q.Stop(&m.entry); got != m.set {
						t.Errorf("Stop: got %v, want %v", got, m.set)
					}
					if m.set {
						stops++
					}
					m.set = false
				}
				pause := time.Duration(rnd.IntN(2)) * time.Duration(rnd.Int64N(int64(1)<<rnd.IntN(38)))
				mu.Unlock()
				if pause > 0 {
					time.Sleep(pause)
					synctest.Wait() // what is due at this very instant has been called
				}
			}
			for range 20 { // some calls set again
				time.Sleep(5 * time.Hour)
				synctest.Wait()
			}
			mu.Lock()
			defer mu.Unlock()
			for i := range entries {
				if entries[i].set && q.Stop(&entries[i].entry) {
					stops++
				}
			}
			if calls+stops != sets || calls < 1000 {
				t.Errorf("seed %d: %d sets, %d calls and %d stops", seed, sets, calls, stops)
			}
		})
	}
}

// TestQueue_concurrent is on the real clock, for the race detector: a Stop
// that returned true means no call, everything else exactly one.
func TestQueue_concurrent(t *testing.T) {
	const workers, rounds = 4, 3000
	var q deadline.Queue
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(i), 2))
			var e deadline.Entry
			called := make(chan struct{}, 2)
			target := due(func(time.Time) { called <- struct{}{} })
			for range rounds {
				q.Set(&e, target, time.Now(), time.Duration(rnd.IntN(int(500*time.Microsecond))))
				for range rnd.IntN(200) {
					_ = rnd.Uint64()
				}
				if rnd.IntN(20) == 0 {
					time.Sleep(time.Duration(rnd.IntN(int(time.Millisecond))))
				}
				if !q.Stop(&e) {
					<-called
				}
				if len(called) > 0 {
					t.Error("called after Stop, or twice")
				}
			}
		})
	}
	wg.Wait()
}

func TestQueue_leavesNoTimer(t *testing.T) {
	// A bubble whose timers have all fired or are stopped, and whose goroutines wait
	// for a channel, is a deadlock: so time that stands still shows that no timer runs.
	synctest.Test(t, func(t *testing.T) {
		var q deadline.Queue
		entries := make([]deadline.Entry, 100)
		for i := range entries {
			q.Set(&entries[i], due(func(time.Time) { t.Error("called") }), time.Now(), time.Duration(i)*time.Second+time.Hour)
		}
		for i := range entries {
			if !q.Stop(&entries[i]) {
				t.Errorf("Stop of entry %d: got false, want true", i)
			}
		}
		if deadline.Ticking(&q) {
			t.Error("the timer runs while nothing is set")
		}
		q.Set(&entries[0], due(func(time.Time) {}), time.Now(), time.Second)
		if !deadline.Ticking(&q) {
			t.Error("the timer does not run while something is set")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if deadline.Ticking(&q) {
			t.Error("the timer runs after the last call")
		}
	})
}

func TestQueue_hasFewBuckets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q deadline.Queue
		entries := make([]deadline.Entry, 10_000)
		begin := time.Now()
		for i := range entries {
			q.Set(&entries[i], due(func(time.Time) {}), begin.Add(time.Duration(i)*6*time.Millisecond), time.Minute)
		}
		if got := deadline.Buckets(&q); got > 65 {
			t.Errorf("%d buckets for times of one length, want at most 65", got)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := deadline.Buckets(&q); got != 0 {
			t.Errorf("%d buckets after all calls, want 0", got)
		}
	})
}

func TestEntry_isSmall(t *testing.T) {
	if got := unsafe.Sizeof(deadline.Entry{}); got > 48 {
		t.Errorf("an Entry has %d bytes, want at most 48", got)
	}
}
