//go:build !troupe_nosyscalls

package pool

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// spin keeps the processor busy: a goroutine that sleeps would leave it.
func spin(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
	}
}

// closing closes p at the end of the test, and waits until its workers have gone: other tests count them.
func closing(t *testing.T, p *Pool) {
	before := workers()
	t.Cleanup(func() {
		p.Close()
		for end := time.Now().Add(time.Minute); workers() > before; runtime.Gosched() {
			if time.Now().After(end) {
				t.Fatalf("%d workers a minute after Close, want %d", workers(), before)
			}
		}
	})
}

// TestPool_letsOthersRun: while tasks keep the only processor busy for a tenth of a second, goroutines run whose bytes have come,
// and those that wait for their turn. It needs a real descriptor, which Go's scheduler watches, and so a real clock.
func TestPool_letsOthersRun(t *testing.T) {
	old := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(old)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	var p Pool
	closing(t, &p)
	const tasks = 1000
	var ran atomic.Int64
	var readAt, calledAt int64
	var done sync.WaitGroup
	done.Add(tasks)
	done.Go(func() {
		if _, err := r.Read(make([]byte, 1)); err != nil {
			t.Errorf("read: %v", err)
		}
		readAt = ran.Load()
	})
	runtime.Gosched() // it waits for the byte now
	for i := range tasks {
		p.Go(task(func() {
			if i == 0 {
				if _, err := w.Write([]byte("x")); err != nil {
					t.Errorf("write: %v", err)
				}
				done.Go(func() { calledAt = ran.Load() })
			}
			spin(100 * time.Microsecond)
			ran.Add(1)
			done.Done()
		}))
	}
	done.Wait()
	for what, at := range map[string]int64{"a goroutine whose byte has come": readAt, "a new goroutine": calledAt} {
		if at > tasks/2 {
			t.Errorf("of %d tasks of 100 µs %d ran before %s did, want the tasks of a few milliseconds", tasks, at, what)
		}
	}
}

// TestPool_tasksHaveHalf: goroutines that never stop, however many, do not keep tasks from running.
func TestPool_tasksHaveHalf(t *testing.T) {
	old := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(old)
	for busy, most := range map[int]int64{1: 4, 20: 16} { // the last pause may be most of it. With portions that do not grow it is ten times more
		var p Pool
		closing(t, &p)
		var over atomic.Bool
		var others, tasks sync.WaitGroup
		var turns atomic.Int64
		for range busy {
			others.Go(func() {
				for !over.Load() {
					spin(100 * time.Microsecond)
					turns.Add(1)
				}
			})
		}
		const n = 3000
		tasks.Add(n)
		for range n {
			p.Go(task(func() { spin(100 * time.Microsecond); tasks.Done() }))
		}
		tasks.Wait()
		got := turns.Load()
		over.Store(true)
		others.Wait()
		t.Logf("while %d tasks of 100 µs ran, %d other goroutines did that %d times", n, busy, got)
		if got > most*n {
			t.Errorf("want about as often, and at most %d times as often", most)
		}
	}
}

// After Close, and after Open again, tasks of a long burst run as before, and no descriptor is left.
func TestPool_closesItsPoller(t *testing.T) {
	old := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(old)
	var p Pool
	closing(t, &p)
	burst := func() {
		var done sync.WaitGroup
		const n = 100
		done.Add(n)
		for range n {
			p.Go(task(func() { spin(100 * time.Microsecond); done.Done() }))
		}
		done.Wait()
	}
	polls := func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.poller != nil
	}
	for range 2 {
		burst()
		if !polls() {
			t.Fatal("a burst of 10 ms has not let others run")
		}
		file := p.poller.file
		p.Close()
		if _, err := file.Stat(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("its descriptor after Close: %v, want that it is closed", err)
		}
		burst()
		if polls() {
			t.Error("there is a poller after Close")
		}
		p.Open()
	}
}
