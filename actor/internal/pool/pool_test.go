package pool

import (
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type task func()

func (f task) Run() { f() }

// TestPool_blockedTasksHoldNobodyUp: a thousand tasks that block, and one after them.
func TestPool_blockedTasksHoldNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Pool
		defer p.Close()
		release := make(chan struct{})
		var blocked atomic.Int64
		for range 1000 {
			p.Go(task(func() { blocked.Add(1); <-release }))
		}
		ran := false
		p.Go(task(func() { ran = true }))
		synctest.Wait()
		if !ran || blocked.Load() != 1000 {
			t.Errorf("with 1000 tasks that block one ran: %t; %d of them have begun", ran, blocked.Load())
		}
		close(release)
	})
}

// TestPool_tasksWaitForEachOther: each task waits for the one after it.
func TestPool_tasksWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Pool
		defer p.Close()
		const n = 1000
		var done [n + 1]chan struct{}
		for i := range done {
			done[i] = make(chan struct{})
		}
		for i := range n {
			p.Go(task(func() { <-done[i+1]; close(done[i]) }))
		}
		p.Go(task(func() { close(done[n]) }))
		<-done[0]
	})
}

func TestPool_runsInOrder(t *testing.T) {
	old := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(old)
	synctest.Test(t, func(t *testing.T) {
		var p Pool
		defer p.Close()
		var mu sync.Mutex
		for tries := 0; ; tries++ { // a worker that is preempted in its task is overtaken
			var got []int
			for i := range 100 {
				p.Go(task(func() { mu.Lock(); got = append(got, i); mu.Unlock() }))
			}
			synctest.Wait()
			if len(got) == 100 && slices.IsSorted(got) {
				return
			}
			if len(got) != 100 || tries == 10 {
				t.Fatalf("ran %v", got)
			}
		}
	})
}

// TestPool_shortTasksShareAWorker: tasks that do not block cost no goroutine each.
func TestPool_shortTasksShareAWorker(t *testing.T) {
	old := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(old)
	synctest.Test(t, func(t *testing.T) {
		var p Pool
		defer p.Close()
		var most atomic.Int64
		before := runtime.NumGoroutine()
		for range 10_000 {
			p.Go(task(func() {
				if n := int64(runtime.NumGoroutine() - before); n > most.Load() {
					most.Store(n)
				}
			}))
		}
		synctest.Wait()
		if most := most.Load(); most > 100 { // one more whenever a worker is preempted, after ten milliseconds
			t.Errorf("%d goroutines for tasks that do not block", most)
		}
	})
}

// TestPool_goroutinesFollowWhatBlocks: and they go away again, but for a few, and for these at Close.
func TestPool_goroutinesFollowWhatBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Pool
		defer p.Close()
		for range 100 {
			p.Go(task(func() { time.Sleep(time.Second) }))
		}
		synctest.Wait()
		if n := workers(); n != 100 {
			t.Errorf("%d workers for 100 tasks that block", n)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := workers(); n > idlePerProcessor*runtime.GOMAXPROCS(0) {
			t.Errorf("%d workers for nothing", n)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := workers(); n != 0 {
			t.Errorf("%d workers when nothing happens", n)
		}
		p.Go(task(func() {}))
		synctest.Wait()
		if n := workers(); n != 1 {
			t.Errorf("%d workers rest after a task, want 1", n)
		}
		p.Close()
		synctest.Wait()
		if n := workers(); n != 0 {
			t.Errorf("%d workers after Close", n)
		}
		for range 10 {
			p.Go(task(func() {}))
			synctest.Wait()
		}
		if n := workers(); n != 0 {
			t.Errorf("%d workers for nothing after Close", n)
		}
	})
}

// workers is how many there are. The runtime's own goroutines come and go, so it looks at what they are.
func workers() int {
	b := make([]byte, 4<<20)
	return strings.Count(string(b[:runtime.Stack(b, true)]), "pool.(*worker).work(")
}

// TestPool_keepsTheWorkersThatAreNeeded: a task now and then is not the start of a goroutine each time.
func TestPool_keepsTheWorkersThatAreNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Pool
		defer p.Close()
		workers := make(map[string]int)
		for range 100 {
			p.Go(task(func() {
				var buf [64]byte
				name, _, _ := strings.Cut(string(buf[:runtime.Stack(buf[:], false)]), " [")
				workers[name]++
			}))
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait()
		if len(workers) != 1 {
			t.Errorf("100 tasks, one after the other, ran on %d goroutines", len(workers))
		}
	})
}

// After Open it is as before Close: workers rest, and go when they are not needed.
func TestPool_Open(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Pool
		defer p.Close()
		for range 3 {
			for range 10 {
				p.Go(task(func() { time.Sleep(time.Millisecond) }))
			}
			time.Sleep(2 * time.Millisecond)
			synctest.Wait()
			if n := workers(); n == 0 {
				t.Error("no worker rests")
			}
			p.Close()
			synctest.Wait()
			if n := workers(); n != 0 {
				t.Errorf("%d workers after Close", n)
			}
			p.Open()
		}
		p.Go(task(func() {}))
		time.Sleep(time.Second)
		synctest.Wait()
		if n := workers(); n != 0 {
			t.Errorf("%d workers rest a second after the last task", n)
		}
	})
}

func TestPool_survivesGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Pool
		defer p.Close()
		var ran atomic.Int64
		for range 100 {
			p.Go(task(func() { ran.Add(1); runtime.Goexit() }))
		}
		synctest.Wait()
		if ran.Load() != 100 {
			t.Errorf("%d of 100 tasks ran", ran.Load())
		}
	})
}

// TestPool_losesNothing is many goroutines that give tasks, some of which block or give tasks themselves.
func TestPool_losesNothing(t *testing.T) {
	var p Pool
	defer p.Close()
	var wg sync.WaitGroup
	const givers, each = 8, 2000
	var ran atomic.Int64
	wg.Add(givers * each * 2)
	for g := range givers {
		go func() {
			for i := range each {
				p.Go(task(func() {
					if (g+i)%7 == 0 {
						time.Sleep(time.Microsecond)
					}
					p.Go(task(func() { ran.Add(1); wg.Done() }))
					ran.Add(1)
					wg.Done()
				}))
			}
		}()
	}
	wg.Wait()
	if n := ran.Load(); n != givers*each*2 {
		t.Errorf("%d tasks ran, want %d", n, givers*each*2)
	}
	p.Close()
	for workers() > 0 { // the other tests count them
		runtime.Gosched()
	}
}

// BenchmarkPool_Go_burst is a thousand tasks at once, as a broadcast gives them.
func BenchmarkPool_Go_burst(b *testing.B) {
	var p Pool
	defer p.Close()
	var wg sync.WaitGroup
	t := task(wg.Done)
	b.ReportAllocs()
	for b.Loop() {
		wg.Add(1000)
		for range 1000 {
			p.Go(t)
		}
		wg.Wait()
	}
}

// BenchmarkPool_Go_single is one task after the other.
func BenchmarkPool_Go_single(b *testing.B) {
	var p Pool
	defer p.Close()
	done := make(chan struct{}, 1)
	t := task(func() { done <- struct{}{} })
	b.ReportAllocs()
	for b.Loop() {
		p.Go(t)
		<-done
	}
}
