package actor

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/troupe-dev/troupe/actor/internal/hook"
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

func TestQueue_countsWhatTheLimitCounts(t *testing.T) {
	var q queue
	for i, kind := range []itemKind{kindUser, kindDown, kindCall, kindTimer, kindFrame} {
		q.push(item{kind, i})
	}
	for _, want := range []int32{1, 1, 0, 0, 0} { // left after each
		if _, ok := q.pop(); !ok || q.counted != want {
			t.Errorf("pop: %t, %d are counted, want %d", ok, q.counted, want)
		}
	}
	if _, ok := q.pop(); ok || q.len() != 0 || q.counted != 0 {
		t.Errorf("an empty queue gave something, or holds %+v", q)
	}
}

// TestProcess_size: a million may rest.
func TestProcess_size(t *testing.T) {
	if got, want := unsafe.Sizeof(process{}), uintptr(320); got > want && strconv.IntSize == 64 {
		t.Errorf("a process has %d bytes; more than %d are 352 on the heap", got, want)
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

func TestMailbox_givesMemoryBackAfterABurst(t *testing.T) {
	s := quietSystem(t, Config{})
	pid, err := s.Spawn(context.Background(), gate{}, SpawnOptions{MailboxLimit: -1})
	if err != nil {
		t.Fatal(err)
	}
	p, open := pid.find(), make(chan struct{})
	pid.Send(open)
	for p.Len() > 0 { // until it is being handled, and the burst waits
		runtime.Gosched()
	}
	before := heap()
	const burst = 100_000
	for range burst {
		pid.Send("hello")
	}
	during := heap()
	if grown := during - before; grown < burst*uint64(24) {
		t.Fatalf("the burst took %d bytes, which shows that it was not measured", grown)
	}
	close(open)
	for p.Len() > 0 {
		runtime.Gosched()
	}
	after := heap()
	if after > before+256<<10 {
		t.Errorf("the heap was %d bytes before a burst of %d messages, %d with it and %d after it", before, burst, during, after)
	}
}

// gate waits for the channels that it gets.
type gate struct{}

func (gate) Receive(_ context.Context, msg any) error {
	if c, ok := msg.(chan struct{}); ok {
		<-c
	}
	return nil
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
		p := &process{sys: s, num: s.numbers.Add(1)}
		s.table.put(p)
		if err := s.engine.Spawn(engineID(p.num), p, &p.cell); err != nil {
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

// TestRelations_areDissolved: what a process had to do with others leaves no trace with them.
func TestRelations_areDissolved(t *testing.T) {
	s := quietSystem(t, Config{CallTimeout: -1})
	target, err := s.Spawn(context.Background(), &keeper{}, SpawnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	w, err := s.Spawn(context.Background(), &hook1{init: func(c context.Context) { ctx = c }}, SpawnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	rel := func() *relations {
		p := target.find()
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.relation == nil {
			return &relations{}
		}
		r := *p.relation
		return &r
	}
	ref := Monitor(ctx, target)
	Monitor(ctx, target)
	if n := rel().watchers.Len(); n != 2 {
		t.Fatalf("%d watchers, want 2", n)
	}
	ref.Stop()
	if n := rel().watchers.Len(); n != 1 {
		t.Errorf("%d watchers after Stop, want 1", n)
	}
	w.Exit(ErrKilled)
	if n := rel().watchers.Len(); n != 0 {
		t.Errorf("%d watchers after the watcher's death, want 0", n)
	}

	waiting, cancel := context.WithCancel(context.Background())
	cancel()
	Wait(waiting, target)
	if n := rel().watchers.Len(); n != 0 {
		t.Errorf("%d watchers after a Wait was given up, want 0", n)
	}

	for range 10 {
		short, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		if _, err := Call[any](short, target, "kept"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Call: %v, want DeadlineExceeded", err)
		}
		cancel()
	}
	if n := rel().calls.Len(); n != 0 {
		t.Errorf("%d calls kept that were given up, want 0", n)
	}
}

// keeper never answers.
type keeper struct{}

func (*keeper) Receive(ctx context.Context, _ any) error { Caller(ctx); return nil }

// TestSpawn_killedBeforeItIsRegistered: whoever ends a process before it is in the table must not leave it there.
func TestSpawn_killedBeforeItIsRegistered(t *testing.T) {
	s := quietSystem(t, Config{})
	var parent context.Context
	pid, err := s.Spawn(context.Background(), &hook1{init: func(ctx context.Context) { parent = ctx }}, SpawnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p := &process{sys: s, num: s.numbers.Add(1), actor: nop{}, parent: pid.find()}
	s.live.Add(1)
	if !processOf(parent).addChild(p) {
		t.Fatal("addChild = false")
	}
	p.kill(ErrKilled) // by its parent, as its shutdown time may be very short
	if err := s.register(p); !errors.Is(err, ErrKilled) {
		t.Errorf("register = %v, want ErrKilled", err)
	}
	if s.table.get(p.num) != nil || s.engine.Registered(engineID(p.num)) {
		t.Errorf("a dead process was registered")
	}
}

// TestSpawn_whileShutdownSweeps: a process that was let in before Shutdown, and is known only after it has swept the
// table, is told to end all the same.
func TestSpawn_whileShutdownSweeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := quietSystem(t, Config{})
		p := s.newProcess(nop{}, &SpawnOptions{}, nil)
		if err := s.admit(p); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- s.Shutdown(context.Background()) }()
		synctest.Wait() // it has swept, and waits for p
		if err := s.enter(p); err != nil {
			t.Fatal(err)
		}
		if _, err := p.launch(context.Background()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		default:
			t.Error("Shutdown waits for a process that nobody has told to end")
			p.kill(ErrKilled)
		}
	})
}

// TestMonitor_ofAWatcherThatIsKilledMeanwhile: between the two books that a Monitor is written into its watcher may
// die, and then nobody takes it out of the other.
func TestMonitor_ofAWatcherThatIsKilledMeanwhile(t *testing.T) {
	s := quietSystem(t, Config{})
	spawn := func() *process {
		pid, err := s.Spawn(context.Background(), nop{}, SpawnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return pid.find()
	}
	watcher, target := spawn(), spawn()
	m := &monitor{watcher: watcher, target: target}
	if !watcher.watch(m) {
		t.Fatal("watch = false")
	}
	watcher.kill(ErrKilled)
	if !m.begin() {
		t.Error("begin = false for a target that lives")
	}
	target.mu.Lock()
	defer target.mu.Unlock()
	if n := target.relation.watchers.Len(); n != 0 {
		t.Errorf("%d monitors of a dead watcher stay with their target, want 0", n)
	}
}

// TestCaller_afterTheEnd: a goroutine that asks for Caller at the very end of the process is too late to keep the Call
// open: nobody would fail it.
func TestCaller_afterTheEnd(t *testing.T) {
	s := quietSystem(t, Config{})
	pid, err := s.Spawn(context.Background(), nop{}, SpawnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c := &call{callee: pid.find(), waiter: s.waiter()} // that its callback has left to Caller
	pid.Exit(ErrKilled)
	c.take()
	select {
	case v := <-c.waiter.answer:
		if f, ok := v.(failure); !ok || !errors.Is(f.err, ErrNoProcess) {
			t.Errorf("the Call got %v, want ErrNoProcess", v)
		}
	default:
		t.Error("the Call stays open, though nobody is left to answer it or to fail it")
	}
}

// TestSpawn_whileAllIsKilled: a kill between a process's coming into the table and its coming into the engine.
func TestSpawn_whileAllIsKilled(t *testing.T) {
	s := quietSystem(t, Config{})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				for p := range s.table.all() {
					p.kill(ErrKilled)
				}
			}
		}
	})
	for range 5_000 {
		if _, err := s.Spawn(context.Background(), nop{}, SpawnOptions{}); err != nil && !errors.Is(err, ErrKilled) {
			t.Errorf("Spawn: %v", err)
		}
	}
	close(stop)
	wg.Wait()
	for p := range s.table.all() {
		p.kill(ErrKilled)
	}
	for p := range s.table.all() {
		t.Errorf("%v is left in the table", p.pid())
	}
}

// TestKill_inEveryMoment kills processes that are being woken, handle a message, or give their turn back, and then looks
// whether the books are right: quietSystem does.
func TestKill_inEveryMoment(t *testing.T) {
	s := quietSystem(t, Config{})
	for i := range 5_000 {
		pid, err := s.Spawn(context.Background(), &echo{}, SpawnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 3 {
				pid.Send(nil)
				pid.Send("hi")
			}
		})
		wg.Go(func() {
			for range i % 50 {
				runtime.Gosched()
			}
			pid.Exit(ErrKilled)
		})
		wg.Wait()
	}
	for s.goroutines.Load() != 0 || s.abandoned.Load() != 0 {
		runtime.Gosched()
	}
}

// echo fails when it gets what was not sent.
type echo struct{ n int }

func (e *echo) Receive(_ context.Context, msg any) error {
	want := any(nil)
	if e.n%2 == 1 {
		want = "hi"
	}
	e.n++
	if msg != want {
		panic("wrong message")
	}
	return nil
}

// TestKill_whileATurnChangesHands: the goroutine of a Deliver that gives its turn away is not the one that is left.
func TestKill_whileATurnChangesHands(t *testing.T) {
	s := quietSystem(t, Config{})
	for range 3_000 {
		p, err := s.add(nop{}, &SpawnOptions{MailboxLimit: -1}, nil)
		if err != nil {
			t.Fatal(err)
		}
		p.Start()
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 200 {
				p.post(item{kindUser, nil})
			}
		})
		wg.Go(func() {
			for p.Deliver("frame") {
			}
		})
		runtime.Gosched()
		p.kill(ErrKilled)
		wg.Wait()
	}
	for s.goroutines.Load() != 0 || s.abandoned.Load() != 0 {
		runtime.Gosched()
	}
}

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

// hostedActor ends with the first message.
type hostedActor struct{ process hook.Process }

func newHostedActor() *hostedActor {
	h := &hostedActor{}
	h.process.Actor, h.process.Hooks = h, h
	return h
}

func (h *hostedActor) TroupeHosted() *hook.Process      { return &h.process }
func (*hostedActor) Receive(context.Context, any) error { return io.EOF }
func (*hostedActor) TurnEnd(bool)                       {}
func (*hostedActor) Overflow()                          {}
func (*hostedActor) Ending(error)                       {}

// TestKill_whileTheEndIsHandedOver: no callback runs then, so no goroutine may be taken for an abandoned one.
func TestKill_whileTheEndIsHandedOver(t *testing.T) {
	s := quietSystem(t, Config{})
	for range 500 {
		p, err := s.add(newHostedActor(), &SpawnOptions{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		p.Start()
		p.Deliver("frame")
		p.kill(ErrKilled)
	}
	s.reporter.mu.Lock()
	defer s.reporter.mu.Unlock()
	if n := len(s.reporter.notes); n > 0 {
		t.Errorf("%d of 500 kills took a goroutine for an abandoned one", n)
	}
}

func TestFindStack(t *testing.T) {
	dump := []byte("goroutine 1 [running]:\na(0x1)\n\ngoroutine 2 [select]:\nb(0x2)\n")
	if got, want := findStack(dump, "c(", "b(0x2"), "goroutine 2 [select]:\nb(0x2)\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := findStack(dump, "c("); got != "not found" {
		t.Errorf("got %q, want not found", got)
	}
}

// TestGoexit_keepsTheBooks: a callback that leaves its goroutine takes the rest of the end with it, and may be killed
// in it.
func TestGoexit_keepsTheBooks(t *testing.T) {
	for _, hosted := range []bool{false, true} {
		s := quietSystem(t, Config{})
		stuck, released := make(chan struct{}), make(chan struct{})
		p, err := s.add(&leaver{stuck, released}, &SpawnOptions{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if hosted {
			go func() {
				p.Start()
				p.Deliver("goexit")
			}()
		} else {
			if _, err := p.launch(context.Background()); err != nil {
				t.Fatal(err)
			}
			p.pid().Send("goexit")
		}
		<-stuck
		p.kill(ErrKilled)
		if got := s.abandoned.Load(); got != 1 {
			t.Errorf("hosted %t: %d goroutines abandoned, want 1", hosted, got)
		}
		close(released)
		for s.abandoned.Load() != 0 {
			runtime.Gosched()
		}
	}
}

type leaver struct{ stuck, released chan struct{} }

func (*leaver) Receive(context.Context, any) error { runtime.Goexit(); return nil }
func (l *leaver) Terminate(context.Context, error) { close(l.stuck); <-l.released }

type counting struct{ n atomic.Int64 }

func (c *counting) Receive(context.Context, any) error { c.n.Add(1); return nil }

// TestPost_toAProcessAtRest: what a worker was hired for waits like all else until the worker comes, and is handled, or
// dropped and counted, like all else.
func TestPost_toAProcessAtRest(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // so that the worker comes when this goroutine lets it
	s := quietSystem(t, Config{})
	for name, end := range map[string]func(p *process){
		"nothing":        func(*process) {},
		"kill":           func(p *process) { p.kill(ErrKilled) },
		"overtaken":      func(p *process) { p.Fail(errors.New("peer lost")) },
		"an Exit behind": func(p *process) { p.exit(ErrNormal) },
		"over the limit": func(p *process) {
			if got := p.post(item{kindUser, nil}); got != postFull {
				t.Errorf("post beyond the limit: %d, want %d", got, postFull)
				p.kill(ErrKilled) // or the test would wait for the end
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			waited := 0
			for range 100 {
				a := &counting{}
				p, err := s.add(a, &SpawnOptions{MailboxLimit: 3, Overflow: OverflowExit}, nil)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := p.launch(context.Background()); err != nil {
					t.Fatal(err)
				}
				rest := func() bool {
					p.mu.Lock()
					defer p.mu.Unlock()
					return !p.running
				}
				for !rest() {
					runtime.Gosched()
				}
				for range 3 {
					if got := p.post(item{kindUser, nil}); got != posted {
						t.Fatalf("post: %d, want %d", got, posted)
					}
				}
				if info, ok := p.info(); !ok || info.Mailbox == 3 && info.Handling == "" && info.For == 0 && p.Len() == 3 {
					waited++
				}
				end(p)
				for p.alive() && (name != "nothing" || !rest()) {
					runtime.Gosched()
				}
				want := uint64(3)
				if name == "over the limit" {
					want++
				}
				if handled, dropped := uint64(a.n.Load()), p.dropped.Load(); handled+dropped != want {
					t.Fatalf("%d handled and %d dropped, want %d in all", handled, dropped, want)
				}
				p.kill(ErrKilled)
			}
			if waited == 0 {
				t.Error("the messages never waited for their worker: this shows nothing")
			}
		})
	}
}

// TestSendEvery_doesNotDrift: a timer fires late, as all do, and the ticks after it come at their time all the same.
func TestSendEvery_doesNotDrift(t *testing.T) {
	for _, tt := range []struct {
		late time.Duration // how late the tick of 100 ms fires
		next time.Duration // when the next one comes
	}{
		{0, 200 * time.Millisecond},
		{1, 200 * time.Millisecond},
		{time.Millisecond, 200 * time.Millisecond},
		{100*time.Millisecond - 1, 200 * time.Millisecond},
		{100 * time.Millisecond, 300 * time.Millisecond}, // that of 200 ms is this one
		{199 * time.Millisecond, 300 * time.Millisecond},
		{1234 * time.Millisecond, 1400 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := quietSystem(t, Config{})
			start := time.Now()
			var got []time.Duration // when the ticks come
			var timer Timer
			_, err := s.Spawn(context.Background(), &hook2{
				init:    func(ctx context.Context) { timer = SendEvery(ctx, 100*time.Millisecond, "tick") },
				receive: func(any) { got = append(got, time.Since(start)) },
			}, SpawnOptions{})
			if err != nil {
				t.Fatal(err)
			}
			// The scheduler takes its time. Nothing else can be late on the fake clock.
			timer.t.t.Stop()
			time.Sleep(100*time.Millisecond + tt.late)
			timer.t.fire()
			time.Sleep(2 * time.Second)
			timer.Stop()
			synctest.Wait()
			if len(got) < 3 || got[0] != 100*time.Millisecond+tt.late || got[1] != tt.next || got[2] != tt.next+100*time.Millisecond {
				t.Errorf("a tick %v late: ticks at %v, want them at %v, %v, %v and so on", tt.late, got,
					100*time.Millisecond+tt.late, tt.next, tt.next+100*time.Millisecond)
			}
		})
	}
}

type hook2 struct {
	init    func(ctx context.Context)
	receive func(msg any)
}

func (h *hook2) Init(ctx context.Context) error           { h.init(ctx); return nil }
func (h *hook2) Receive(_ context.Context, msg any) error { h.receive(msg); return nil }
