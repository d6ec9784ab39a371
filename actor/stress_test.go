package actor_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/actor"
)

// rounds is how much a stress test does: 10,000, or 100,000 with TROUPE_STRESS=1.
func rounds() int {
	if os.Getenv("TROUPE_STRESS") == "1" {
		return 100_000
	}
	return 10_000
}

// trespasses is a slog.Handler that keeps only what must never be logged.
type trespasses struct{ logs }

func (h *trespasses) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }
func (h *trespasses) WithAttrs([]slog.Attr) slog.Handler           { return h }
func (h *trespasses) WithGroup(string) slog.Handler                { return h }
func (h *trespasses) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == "a path of the actor engine was reached that is never used" {
		return h.logs.Handle(ctx, r)
	}
	return nil
}

// target is an actor under stress. Its plain fields are what the race detector watches.
type target struct {
	s       *stress
	running atomic.Int32
	last    map[int]int // per sender
	timer   actor.Timer
	ended   bool
}

type numbered struct{ sender, n int }

// alone notes that a callback runs, and fails the test if another one does.
func (a *target) alone() func() {
	if a.running.Add(1) != 1 {
		a.s.t.Errorf("callbacks overlap")
	}
	return func() { a.running.Add(-1) }
}

func (a *target) Init(ctx context.Context) error {
	defer a.alone()()
	a.last = make(map[int]int)
	if rand.IntN(20) == 0 {
		return errBoom
	}
	return nil
}

func (a *target) Receive(ctx context.Context, msg any) error {
	defer a.alone()()
	if a.ended {
		a.s.t.Errorf("Receive after Terminate")
	}
	switch m := msg.(type) {
	case numbered:
		if m.n <= a.last[m.sender] {
			a.s.t.Errorf("message %d of sender %d came after %d", m.n, m.sender, a.last[m.sender])
		}
		a.last[m.sender] = m.n
	case string:
		switch m {
		case "reply":
			actor.Reply(ctx, m)
		case "later":
			from, _ := actor.Caller(ctx)
			actor.Async(ctx, func(context.Context) (int, error) { from.Reply("later"); return 0, nil })
		case "never":
			actor.Caller(ctx)
		case "timer":
			actor.SendAfter(ctx, time.Duration(rand.IntN(100))*time.Microsecond, "tick")
			a.timer.Stop()
			a.timer = actor.SendEvery(ctx, 50*time.Microsecond, "tick")
		case "child":
			pid, err := actor.Spawn(ctx, &target{s: a.s}, actor.SpawnOptions{})
			if err == nil && rand.IntN(2) == 0 {
				pid.Exit(errBoom)
			}
		case "fail":
			return errBoom
		case "panic":
			panic("boom")
		case "self":
			actor.Self(ctx).Exit(actor.ErrKilled)
		}
	}
	return nil
}

func (a *target) Terminate(context.Context, error) {
	defer a.alone()()
	if a.ended {
		a.s.t.Errorf("Terminate ran twice")
	}
	a.ended = true
	a.last = nil
}

// watch is a request to the watcher: Monitor pid.
type watch struct{ pid actor.PID }

// watcher counts the Downs of each of its monitors.
type watcher struct {
	s    *stress
	refs map[actor.MonitorRef]int
	open int
}

func (w *watcher) Receive(ctx context.Context, msg any) error {
	switch m := msg.(type) {
	case watch:
		ref := actor.Monitor(ctx, m.pid)
		w.refs[ref] = 0
		w.open++
		if rand.IntN(8) == 0 {
			ref.Stop()
			delete(w.refs, ref)
			w.open--
		}
		actor.Reply(ctx, nil)
	case actor.Down:
		n, ok := w.refs[m.Ref]
		if !ok || n != 0 || m.Reason == nil {
			w.s.t.Errorf("unexpected %+v: known %t, %d before", m, ok, n)
		}
		w.refs[m.Ref]++
		w.open--
	case string: // how many monitors still wait
		actor.Reply(ctx, w.open)
	}
	return nil
}

type stress struct {
	t     *testing.T
	sys   *actor.System
	slots []atomic.Pointer[actor.PID]
}

// spawn puts a new process into a slot.
func (s *stress) spawn(i int) {
	o := actor.SpawnOptions{MailboxLimit: 64, Overflow: actor.Overflow(rand.IntN(2))}
	pid, err := s.sys.Spawn(context.Background(), &target{s: s}, o)
	switch {
	case err == nil:
		s.slots[i].Store(&pid)
	case !errors.Is(err, errBoom) && !errors.Is(err, actor.ErrShutdown) && !errors.Is(err, actor.ErrKilled):
		s.t.Errorf("Spawn: %v", err)
	}
}

// drive is one sender.
func (s *stress) drive(sender, n int, watchers []actor.PID) {
	background := context.Background()
	for i := range n {
		slot := rand.IntN(len(s.slots))
		p := s.slots[slot].Load()
		if p == nil || !p.Alive() {
			s.spawn(slot)
			continue
		}
		pid := *p
		switch rand.IntN(20) {
		case 0:
			s.call(background, pid, "reply")
		case 1:
			s.call(background, pid, "later")
		case 2:
			s.call(background, pid, "x") // ErrNoReply
		case 3:
			ctx, cancel := context.WithTimeout(background, 100*time.Microsecond)
			s.call(ctx, pid, "never")
			cancel()
		case 4, 5:
			if _, err := actor.Call[any](background, watchers[rand.IntN(len(watchers))], watch{pid}); err != nil &&
				!errors.Is(err, actor.ErrNoProcess) {
				s.t.Errorf("Call to a watcher: %v", err)
			}
		case 6:
			pid.Send("timer")
		case 7:
			pid.Send("child")
		case 8:
			pid.Exit(errBoom)
		case 9:
			pid.Exit(actor.ErrKilled)
		case 10:
			pid.Send([]string{"fail", "panic", "self"}[rand.IntN(3)])
		case 11:
			if info, err := actor.Inspect(pid); err == nil && info.PID != pid {
				s.t.Errorf("Inspect(%v) is of %v", pid, info.PID)
			}
		case 12:
			ctx, cancel := context.WithTimeout(background, 100*time.Microsecond)
			if reason, err := actor.Wait(ctx, pid); (reason == nil) == (err == nil) {
				s.t.Errorf("Wait: %v, %v", reason, err)
			}
			cancel()
		default:
			pid.Send(numbered{sender, i + 1})
		}
	}
}

func (s *stress) call(ctx context.Context, pid actor.PID, req string) {
	got, err := actor.Call[string](ctx, pid, req)
	switch {
	case err == nil:
		if got != req {
			s.t.Errorf("Call(%q) = %q", req, got)
		}
	case errors.Is(err, actor.ErrNoProcess), errors.Is(err, actor.ErrMailboxFull), errors.Is(err, context.DeadlineExceeded):
	case errors.Is(err, actor.ErrNoReply) && req == "x":
	default:
		s.t.Errorf("Call(%q): %v", req, err)
	}
}

func newStress(t *testing.T) (*stress, []actor.PID) {
	t.Helper()
	h := &trespasses{}
	// No CallTimeout: a Call that does not end hangs the test.
	sys, err := actor.NewSystem(actor.Config{Logger: slog.New(h), CallTimeout: -1})
	if err != nil {
		t.Fatal(err)
	}
	s := &stress{t: t, sys: sys, slots: make([]atomic.Pointer[actor.PID], 16)}
	t.Cleanup(func() {
		if err := sys.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if h.len() > 0 {
			t.Errorf("the engine's own paths were reached: %v", h.all())
		}
	})
	var watchers []actor.PID
	for range 4 {
		watchers = append(watchers, spawn(t, sys, &watcher{s: s, refs: make(map[actor.MonitorRef]int)},
			actor.SpawnOptions{MailboxLimit: -1}))
	}
	return s, watchers
}

// TestStress_allAtOnce: sends, calls, monitors, timers, exits, kills and children. Callbacks never overlap, each sender's
// messages keep their order, every Call ends, and every Monitor gets exactly one Down.
func TestStress_allAtOnce(t *testing.T) {
	s, watchers := newStress(t)
	const senders = 8
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() { s.drive(i, rounds()/senders, watchers) })
	}
	wg.Wait()
	for info := range s.sys.Processes() {
		if info.PID != watchers[0] && info.PID != watchers[1] && info.PID != watchers[2] && info.PID != watchers[3] {
			info.PID.Exit(actor.ErrShutdown)
			actor.Wait(context.Background(), info.PID)
		}
	}
	for _, w := range watchers {
		began := time.Now()
		for { // the last process may be dead and its Downs on their way
			open, err := actor.Call[int](context.Background(), w, "open")
			if err != nil || open != 0 && time.Since(began) > 10*time.Second {
				t.Errorf("%d monitors got no Down (%v)", open, err)
			}
			if open == 0 || t.Failed() {
				break
			}
		}
	}
}

// TestStress_shutdown: the same, ended by Shutdown in the middle, again and again.
func TestStress_shutdown(t *testing.T) {
	n := rounds() / 500
	for range n {
		func() {
			s, watchers := newStress(t)
			var wg sync.WaitGroup
			for i := range 4 {
				wg.Go(func() { s.drive(i, 125, watchers) })
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.IntN(3000))*time.Microsecond)
			defer cancel()
			s.sys.Shutdown(ctx) // the error is of ctx; the one at the end must be nil
			wg.Wait()
			if err := s.sys.Shutdown(context.Background()); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
			for info := range s.sys.Processes() {
				t.Errorf("%+v lives after Shutdown", info)
			}
		}()
	}
}
