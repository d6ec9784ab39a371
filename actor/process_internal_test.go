package actor

import (
	"context"
	"io"
	"log/slog"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// The tests of package actor that need to see its books. All others are in package actor_test.

type nop struct{}

func (nop) Receive(context.Context, any) error { return nil }

func quietSystem(t testing.TB, cfg Config) *System {
	t.Helper()
	cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	s, err := NewSystem(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if live, n, abandoned := s.live.Load(), s.goroutines.Load(), s.abandoned.Load(); live != 0 || n != 0 || abandoned != 0 {
			t.Errorf("after Shutdown: %d processes, %d goroutines, %d abandoned; want 0, 0, 0", live, n, abandoned)
		}
		if n := s.trespasses.Load(); n != 0 {
			t.Errorf("%d trespasses", n)
		}
	})
	return s
}

// TestProcess_size: a million may rest.
func TestProcess_size(t *testing.T) {
	if got, want := unsafe.Sizeof(process{}), uintptr(256); got > want && strconv.IntSize == 64 {
		t.Errorf("a process has %d bytes; more than %d are 288 on the heap", got, want)
	}
	if got, want := unsafe.Sizeof(plain{}), uintptr(352); got > want && strconv.IntSize == 64 {
		t.Errorf("a process that nobody hosts has %d bytes; more than %d are 384 on the heap", got, want)
	}
}

// TestItem_size: a mailbox that is full holds a thousand, and the compiler keeps one in registers while it has four fields.
func TestItem_size(t *testing.T) {
	if got, want := unsafe.Sizeof(item{}), uintptr(24); got > want && strconv.IntSize == 64 {
		t.Errorf("an item has %d bytes, want %d", got, want)
	}
	if got, want := reflect.TypeFor[item]().NumField(), 4; got > want {
		t.Errorf("an item has %d fields, want %d at most", got, want)
	}
}

// heap is what lives, after the pools have been emptied and what earlier tests have left has been freed.
func heap() uint64 {
	var m runtime.MemStats
	for before := uint64(0); ; before = m.HeapAlloc {
		for range 3 {
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		if before != 0 && m.HeapAlloc+16<<10 > before {
			return m.HeapAlloc
		}
	}
}

// cycle spawns a process with a child, a monitor, timers, a Call and an Async, and ends all of it.
func cycle(t *testing.T, s *System, watcher context.Context, kill bool) {
	pid, err := s.Spawn(context.Background(), &full{}, SpawnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	Monitor(watcher, pid)
	if _, err := Call[any](context.Background(), pid, "hi"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	Wait(ctx, pid)
	if kill {
		pid.Exit(ErrKilled)
	} else {
		pid.Exit(ErrNormal)
	}
	Wait(context.Background(), pid)
}

type full struct{}

func (f *full) Init(ctx context.Context) error {
	SendAfter(ctx, time.Hour, 1)
	SendEvery(ctx, time.Hour, 1)
	Async(ctx, func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, nil })
	_, err := Spawn(ctx, nop{}, SpawnOptions{})
	return err
}

func (f *full) Receive(ctx context.Context, msg any) error {
	if msg == "hi" {
		Reply(ctx, nil)
	}
	return nil
}

func TestProcess_cyclesLeaveNothingBehind(t *testing.T) {
	s := quietSystem(t, Config{})
	var watcher context.Context
	w, err := s.Spawn(context.Background(), &hook1{init: func(ctx context.Context) { watcher = ctx }}, SpawnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	settle := func() {
		for begun := time.Now(); s.live.Load() > 1 || s.goroutines.Load() > 0; runtime.Gosched() {
			if time.Since(begun) > time.Minute { // or a process that nobody ends would be waited for without end
				live, n := s.live.Load()-1, s.goroutines.Load()
				for p := range s.table.all() {
					p.kill(ErrKilled)
				}
				t.Fatalf("%d processes and %d goroutines are left by cycles that are over, want none", live, n)
			}
		}
	}
	run := func(n int) {
		for i := range n {
			cycle(t, s, watcher, i%2 == 0)
		}
		settle()
	}
	// The engine's registry has 512 small maps, each of which is made when it is first needed. All of them are used here
	// before anything is measured.
	for range 10_000 {
		p := s.newProcess(nop{}, &SpawnOptions{}, nil)
		s.table.put(p)
		if err := p.enterEngine(); err != nil {
			t.Fatal(err)
		}
		s.remove(p)
	}
	run(1_000)
	goroutines, before := runtime.NumGoroutine(), heap()
	run(10_000)
	if got := heap(); got > before+1<<20 /* 100 bytes a cycle; a process has a thousand */ {
		t.Errorf("10000 cycles: the heap grew from %d to %d bytes", before, got)
	}
	for runtime.NumGoroutine() > goroutines { // those that have taken themselves off the books are on their way out
		runtime.Gosched()
	}
	n := 0
	for range s.table.all() {
		n++
	}
	if n != 1 {
		t.Errorf("%d processes in the table, want the watcher only", n)
	}
	if p := w.find(); p.relation != nil && p.relation.watching.Len()+p.relation.watchers.Len()+p.relation.timers.Len()+
		p.relation.calls.Len()+p.relation.children.Len() != 0 {
		t.Errorf("relations left with the watcher: %+v", p.relation)
	}
}

type hook1 struct {
	nop
	init func(ctx context.Context)
}

func (h *hook1) Init(ctx context.Context) error { h.init(ctx); return nil }

// TestSystem_trespassIsLogged: the helpers of all tests look for this record.
func TestSystem_trespassIsLogged(t *testing.T) {
	var log strings.Builder
	s, err := NewSystem(Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	s.trespass("system message *actor.Stop")
	if err := s.Shutdown(t.Context()); err != nil { // which waits for the log
		t.Error(err)
	}
	if got := log.String(); !strings.Contains(got, "level=ERROR") || s.trespasses.Load() != 1 ||
		!strings.Contains(got, `msg="a path of the actor engine was reached that is never used" what="system message *actor.Stop"`) {
		t.Errorf("%d trespasses, log %q", s.trespasses.Load(), got)
	}
}
