package report_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor/internal/report"
)

// sink is a slog.Handler that keeps messages, and does on the way what the test says.
type sink struct {
	mu    sync.Mutex
	lines []string
	on    func(message string)
}

func (s *sink) Enabled(context.Context, slog.Level) bool { return true }
func (s *sink) WithAttrs([]slog.Attr) slog.Handler       { return s }
func (s *sink) WithGroup(string) slog.Handler            { return s }
func (s *sink) Handle(_ context.Context, r slog.Record) error {
	if s.on != nil {
		s.on(r.Message)
	}
	line := r.Message
	r.Attrs(func(a slog.Attr) bool {
		if a.Key != "stack" {
			line += fmt.Sprintf(" %s=%v", a.Key, a.Value)
		}
		return true
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, line)
	return nil
}

func (s *sink) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := s.lines
	s.lines = nil
	return lines
}

// says fails the test unless the lines are these, and the Log is at rest: no goroutine of it is left in the bubble.
func (s *sink) says(t *testing.T, when string, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := s.take(); !slices.Equal(got, want) {
		t.Errorf("%s: %d lines %q, want %d: %q", when, len(got), short(got), len(want), short(want))
	}
}

func short(lines []string) []string {
	if len(lines) > 8 {
		return append(slices.Clone(lines[:4]), lines[len(lines)-4:]...)
	}
	return lines
}

func numbers(from, to int) (lines []string) {
	for i := from; i < to; i++ {
		lines = append(lines, fmt.Sprintf("line n=%d", i))
	}
	return lines
}

func TestLog_order(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		log := report.NewLog(slog.New(s))
		for i := range 3000 {
			log.Info("line", "n", i)
		}
		if !log.Wait(t.Context()) {
			t.Error("Wait says that lines are left")
		}
		s.says(t, "in order", numbers(0, 3000)...)
		if !log.Wait(t.Context()) {
			t.Error("Wait of a Log at rest says that lines are left")
		}
	})
}

// A Logger that is stuck costs one goroutine and 1,024 lines, after the moment in which it may be only slow. The others are
// counted, and the count is said first when it moves again.
func TestLog_stuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, free := &sink{}, make(chan struct{})
		var inside, most atomic.Int32
		s.on = func(string) {
			most.Store(max(most.Load(), inside.Add(1)))
			<-free
			inside.Add(-1)
		}
		log := report.NewLog(slog.New(s))
		log.Info("line", "n", 0)
		synctest.Wait()
		time.Sleep(time.Second)
		for i := 1; i < 3000; i++ {
			log.Info("line", "n", i)
		}
		synctest.Wait()
		if n := most.Load(); n != 1 {
			t.Errorf("%d goroutines are in a Logger that is stuck, want 1", n)
		}
		start := time.Now()
		if log.Wait(t.Context()) || time.Since(start) != 0 {
			t.Errorf("Wait for a Logger that was stuck before took %v, or says that all is written", time.Since(start))
		}
		close(free)
		s.says(t, "it moves again", append(numbers(0, 1025), "log lines were dropped, which the Logger did not take in time dropped=1975")...)
		log.Info("line", "n", 7)
		s.says(t, "afterwards", "line n=7")
	})
}

// While it moves, there is room for much more: all processes of a System may end in one moment.
func TestLog_room(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, free := &sink{}, make(chan struct{})
		s.on = func(string) { <-free }
		log := report.NewLog(slog.New(s))
		log.Info("line", "n", 0)
		synctest.Wait()
		for i := 1; i < 1<<16+11; i++ {
			log.Info("line", "n", i)
		}
		close(free)
		s.says(t, "a burst", append(numbers(0, 1<<16+1), "log lines were dropped, which the Logger did not take in time dropped=10")...)
	})
}

func TestLog_wait(t *testing.T) {
	for name, tt := range map[string]struct {
		each  time.Duration // of 40 lines
		limit time.Duration // of ctx
		took  time.Duration
		ok    bool
	}{
		"it is slow":              {100 * time.Millisecond, time.Minute, 4 * time.Second, true},
		"it is too slow":          {200 * time.Millisecond, time.Minute, 5 * time.Second, false},
		"it is stuck":             {time.Minute, time.Minute, 300 * time.Millisecond, false},
		"ctx is done meanwhile":   {100 * time.Millisecond, time.Second, time.Second, false},
		"ctx is done before":      {10 * time.Millisecond, 0, 300 * time.Millisecond, false},
		"ctx is done, it is fast": {time.Millisecond, 0, 40 * time.Millisecond, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &sink{on: func(string) { time.Sleep(tt.each) }}
				log := report.NewLog(slog.New(s))
				for i := range 40 {
					log.Info("line", "n", i)
				}
				ctx, cancel := context.WithTimeout(t.Context(), tt.limit)
				defer cancel()
				start := time.Now()
				ok := log.Wait(ctx)
				if took := time.Since(start); took != tt.took || ok != tt.ok {
					t.Errorf("Wait says %v after %v, want %v after %v", ok, took, tt.ok, tt.took)
				}
				time.Sleep(time.Hour)
				s.says(t, "in the end", numbers(0, 40)...)
			})
		})
	}
}

// A Logger may panic, or leave its goroutine, wherever it likes.
func TestLog_panics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{on: func(m string) {
			switch m {
			case "panic":
				panic("as asked")
			case "goexit":
				runtime.Goexit()
			}
		}}
		log := report.NewLog(slog.New(s))
		for _, m := range []string{"a", "panic", "goexit", "b"} {
			log.Info(m)
		}
		if !log.Wait(t.Context()) {
			t.Error("Wait says that lines are left")
		}
		s.says(t, "panic and Goexit", "a", "panic while a line was logged panic=as asked", "b")
	})
}

// One that always panics stops nothing and keeps no goroutine busy.
func TestLog_panicsAlways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, quiet := 0, false
		s := &sink{on: func(string) {
			n++
			if !quiet {
				panic("always")
			}
		}}
		log := report.NewLog(slog.New(s))
		for range 5 {
			log.Info("line")
		}
		if !log.Wait(t.Context()) {
			t.Error("Wait says that lines are left")
		}
		synctest.Wait()
		if n > 30 {
			t.Errorf("the Logger was called %d times for 5 lines", n)
		}
		quiet = true
		log.Info("line", "n", 1)
		s.says(t, "it works again", "log lines were dropped, which the Logger did not take in time dropped=5", "line n=1")
	})
}

// One that panics, and leaves the goroutine when it is told of that, goes on with the next line.
func TestLog_leavesWhenToldOfItsPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{on: func(message string) {
			switch message {
			case "bad":
				panic("as asked")
			case "panic while a line was logged":
				runtime.Goexit()
			}
		}}
		log := report.NewLog(slog.New(s))
		log.Info("bad")
		log.Info("line", "n", 0)
		if !log.Wait(t.Context()) {
			t.Error("Wait says that lines are left")
		}
		s.says(t, "after a panic and a Goexit", "line n=0", "log lines were dropped, which the Logger did not take in time dropped=1")
	})
}

type panicky struct{ sink }

func (*panicky) Enabled(context.Context, slog.Level) bool { panic("Enabled") }
func (*panicky) WithAttrs([]slog.Attr) slog.Handler       { panic("WithAttrs") }
func (*panicky) WithGroup(string) slog.Handler            { panic("WithGroup") }

func TestLog_panicsOnTheCaller(t *testing.T) {
	log := report.NewLog(slog.New(&panicky{}))
	log.With("a", 1).WithGroup("b").Error("line")
}

// Calls of a callback: a panic is logged, and what is dropped, at once and in the end.
func TestCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, free := &sink{}, make(chan struct{})
		log := report.NewLog(slog.New(s))
		calls := report.NewCalls("OnClose", log)
		var got []int
		calls.Do(func() { panic("as asked") })
		calls.Do(func() { runtime.Goexit() })
		calls.Do(func() { got = append(got, 0) })
		s.says(t, "a panic", "panic in a callback callback=OnClose panic=as asked")
		calls.Do(func() { <-free })
		synctest.Wait()
		time.Sleep(time.Second)
		for i := 1; i <= 2000; i++ {
			calls.Do(func() { got = append(got, i) })
		}
		s.says(t, "it is stuck", "a callback does not return, or is too slow; calls of it are dropped callback=OnClose")
		close(free)
		synctest.Wait()
		if !calls.Wait(t.Context()) {
			t.Error("Wait says that calls are left")
		}
		s.says(t, "it has returned", "calls of a callback were dropped callback=OnClose dropped=976")
		if !slices.IsSorted(got) || len(got) != 1025 {
			t.Errorf("%d calls, in order: %v; want 1025 in order", len(got), slices.IsSorted(got))
		}
	})
}

// Room is how many may wait while the callback is not stuck, when that is more than usual.
func TestCalls_room(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := report.NewCalls("OnClose", report.NewLog(slog.New(&sink{})))
		calls.Room(100_000)
		free, n := make(chan struct{}), 0
		calls.Do(func() { <-free })
		synctest.Wait()
		for range 100_000 {
			calls.Do(func() { n++ })
		}
		close(free)
		synctest.Wait()
		if n != 100_000 {
			t.Errorf("%d calls, want 100000", n)
		}
	})
}

// Minor ones take no room from the others, whether the callback is stuck or not; and however many are dropped, one line says so.
func TestCalls_minor(t *testing.T) {
	for name, tt := range map[string]struct {
		stuck                  time.Duration
		minor, others, others2 int // that are reported, and how many of the others get through
		says                   []string
	}{
		"stuck": {time.Second, 5000, 1000, 1000, []string{"calls of a callback were dropped callback=OnEvent dropped=3976"}},
		"stuck, too many of all": {time.Second, 5000, 2000, 1023, []string{ // one place is that of the line about the minor ones
			"a callback does not return, or is too slow; calls of it are dropped callback=OnEvent",
			"calls of a callback were dropped callback=OnEvent dropped=3976",
			"calls of a callback were dropped callback=OnEvent dropped=977"}},
		"slow": {0, 100_000, 65_000, 65_000, []string{"calls of a callback were dropped callback=OnEvent dropped=98976"}},
		"few":  {0, 1024, 10, 10, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, free := &sink{}, make(chan struct{})
				calls := report.NewCalls("OnEvent", report.NewLog(slog.New(s)))
				calls.Do(func() { <-free })
				synctest.Wait()
				time.Sleep(tt.stuck)
				minor, others := 0, 0
				for range tt.minor {
					calls.DoMinor(func() { minor++ })
				}
				for range tt.others {
					calls.Do(func() { others++ })
				}
				close(free)
				synctest.Wait()
				if minor != 1024 || others != tt.others2 {
					t.Errorf("%d minor and %d other calls of %d and %d; want 1024 and %d", minor, others, tt.minor, tt.others, tt.others2)
				}
				s.says(t, "in the end", tt.says...)
				for range 1024 { // there is room again
					calls.DoMinor(func() { minor++ })
				}
				synctest.Wait()
				if minor != 2048 {
					t.Errorf("%d minor calls afterwards, want 1024", minor-1024)
				}
			})
		})
	}
}

// What several goroutines report at once is written once each, the lines of one in order.
func TestLog_race(t *testing.T) {
	s := &sink{}
	log := report.NewLog(slog.New(s))
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				log.Info(fmt.Sprintf("%d %03d", g, i))
			}
		})
	}
	wg.Wait()
	for tries := 0; !log.Wait(t.Context()); tries++ { // it gives up when a line takes long by the clock
		if tries == 100 {
			t.Fatal("Wait says that lines are left")
		}
	}
	for g := range 8 {
		var mine []string
		for _, l := range s.lines {
			if strings.HasPrefix(l, fmt.Sprint(g)) {
				mine = append(mine, l)
			}
		}
		if len(mine) != 200 || !slices.IsSorted(mine) {
			t.Errorf("goroutine %d: %d lines, in order %v, want 200 in order", g, len(mine), slices.IsSorted(mine))
		}
	}
}
