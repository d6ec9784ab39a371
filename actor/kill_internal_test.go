package actor

import (
	"context"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/actor/internal/hook"
)

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
	wantNoGoroutines(t, s)
}

// wantNoGoroutines waits until no goroutine is in the books of s, for a minute: so that a test fails with what stands there.
func wantNoGoroutines(t *testing.T, s *System) {
	t.Helper()
	for limit := time.Now().Add(time.Minute); s.goroutines.Load() != 0 || s.abandoned.Load() != 0; runtime.Gosched() {
		if time.Now().After(limit) {
			t.Fatalf("%d goroutines run, %d are abandoned; want 0, 0", s.goroutines.Load(), s.abandoned.Load())
		}
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

// TestKill_whileATurnChangesHands: the goroutine of a Hand that gives its turn away is not the one that is left.
func TestKill_whileATurnChangesHands(t *testing.T) {
	s := quietSystem(t, Config{})
	for range 3_000 {
		p := s.newProcess(nop{}, &SpawnOptions{MailboxLimit: -1}, nil)
		if err := s.add(p); err != nil {
			t.Fatal(err)
		}
		p.Start()
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 200 {
				p.post(item{kind: kindUser})
			}
		})
		wg.Go(func() {
			for p.Hand("frame") != hook.Ended {
			}
		})
		runtime.Gosched()
		p.kill(ErrKilled)
		wg.Wait()
	}
	wantNoGoroutines(t, s)
}

// ender is a Host that ends with the first message.
type ender struct{}

func (ender) Receive(context.Context, any) error    { return io.EOF }
func (ender) TurnEnd(bool)                          {}
func (ender) Overflow()                             {}
func (ender) Ending(error) bool                     { return false }
func (ender) Exited(ProcessInfo, error)             {}
func (ender) Gone()                                 {}
func (ender) Scope() (context.Context, []slog.Attr) { return nil, nil }

// TestKill_whileTheEndIsHandedOver: no callback runs then, so no goroutine may be taken for an abandoned one.
func TestKill_whileTheEndIsHandedOver(t *testing.T) {
	s := quietSystem(t, Config{})
	for range 500 {
		p, _, err := s.Inside(hook.Key{}).Spawn(ender{}, ender{}, nil, SpawnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		p.Start()
		p.Hand("frame")
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
	dump = []byte("goroutine 1 [coroutine (durable)]:\na(0x1)\n\ngoroutine 2 [sleep]:\nb(0x1)\n\ngoroutine 3 [coroutine, 2 minutes]:\nb(0x1)\n")
	if got, want := findStack(dump, "b(0x1", "a(0x1"), "goroutine 2 [sleep]:\nb(0x1)"; got != want {
		t.Errorf("among coroutines: got %q, want %q", got, want)
	}
	if got, want := findStack(dump, "a(0x1"), "goroutine 1 [coroutine (durable)]:\na(0x1)"; got != want {
		t.Errorf("a coroutine alone: got %q, want %q", got, want)
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
		p := s.newProcess(&leaver{stuck, released}, &SpawnOptions{}, nil)
		if err := s.add(p); err != nil {
			t.Fatal(err)
		}
		if hosted {
			go func() {
				p.Start()
				p.Hand("goexit")
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
		wantNoGoroutines(t, s)
	}
}

type leaver struct{ stuck, released chan struct{} }

func (*leaver) Receive(context.Context, any) error { runtime.Goexit(); return nil }

func (l *leaver) Terminate(context.Context, error) { close(l.stuck); <-l.released }
