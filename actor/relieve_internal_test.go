package actor

import (
	"context"
	"io"
	"runtime"
	"sync"
	"testing"

	"github.com/troupe-dev/troupe/actor/internal/hook"
)

// yielding is a Host whose callbacks give way, and one of which ends it.
type yielding struct {
	ender
	endsAt int
}

func (y yielding) Receive(_ context.Context, msg any) error {
	runtime.Gosched()
	if msg == y.endsAt {
		return io.EOF
	}
	if msg == -y.endsAt {
		runtime.Goexit()
	}
	return nil
}

// TestRelieve_inEveryMoment relieves readers while the process begins, handles messages, and ends in one way or another, and then
// looks whether the books are right: quietSystem does.
func TestRelieve_inEveryMoment(t *testing.T) {
	s := quietSystem(t, Config{})
	relieved := 0
	for i := range 3_000 {
		y := yielding{endsAt: i%20 - 10}
		p, _, err := s.Inside(hook.Key{}).Spawn(y, y, &hook.Options{FlushesItself: i%2 == 0}, SpawnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var readers sync.WaitGroup
		read := func(d hook.Delivery) {
			for n := 0; n < 100 && d != hook.Relieved && d != hook.Ended; n++ {
				d = p.Hand(n)
			}
		}
		readers.Go(func() { read(p.Start()) })
		readers.Go(func() {
			for range 20 {
				if p.Relieve(0) {
					relieved++
					readers.Go(func() { read(hook.Going) })
				}
				runtime.Gosched()
			}
			switch i % 3 {
			case 0:
				p.kill(ErrKilled)
			case 1:
				p.Fail(io.ErrUnexpectedEOF)
			case 2:
				p.exit(ErrNormal)
			}
		})
		readers.Wait()
	}
	for s.goroutines.Load() > 0 || s.abandoned.Load() > 0 {
		runtime.Gosched()
	}
	if relieved == 0 {
		t.Error("no reader was relieved: this shows nothing")
	}
}

// TestRelieve_keepsTheBooks: each way in which a goroutine that was relieved comes back, or does not.
func TestRelieve_keepsTheBooks(t *testing.T) {
	for name, test := range map[string]struct {
		returns func() error
		during  func(p *process)
	}{
		"returns":        {func() error { return nil }, nil},
		"ends":           {func() error { return io.EOF }, nil},
		"Goexit":         {func() error { runtime.Goexit(); return nil }, nil},
		"killed":         {func() error { return nil }, func(p *process) { p.kill(ErrKilled) }},
		"killed, ends":   {func() error { return io.EOF }, func(p *process) { p.kill(ErrKilled) }},
		"killed, Goexit": {func() error { runtime.Goexit(); return nil }, func(p *process) { p.kill(ErrKilled) }},
		"one waits":      {func() error { return nil }, func(p *process) { p.Hand(func() error { return nil }) }},
		"a function of OnExit leaves": {func() error { return io.EOF }, func(p *process) {
			p.pid().OnExit(func(error) { runtime.Goexit() })
		}},
		"both leave": {func() error { runtime.Goexit(); return nil }, func(p *process) {
			p.pid().OnExit(func(error) { runtime.Goexit() })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := quietSystem(t, Config{})
			p, _, err := s.Inside(hook.Key{}).Spawn(runner{}, runner{}, nil, SpawnOptions{})
			if err != nil {
				t.Fatal(err)
			}
			p.Start()
			entered, release := make(chan struct{}), make(chan struct{})
			var reader sync.WaitGroup
			reader.Go(func() {
				if d := p.Hand(func() error { close(entered); <-release; return test.returns() }); d != hook.Relieved {
					t.Errorf("the reader comes back with %d, want Relieved", d)
				}
			})
			<-entered
			if !p.Relieve(0) {
				t.Fatal("Relieve: false")
			}
			want := int64(1)
			if test.during != nil {
				test.during(p)
			}
			if got := s.goroutines.Load() + s.abandoned.Load(); got != want {
				t.Errorf("%d goroutines are on the books, want %d", got, want)
			}
			close(release)
			reader.Wait()
			if got := s.goroutines.Load(); got != 0 {
				t.Errorf("%d goroutines are on the books after it, want 0", got)
			}
			if got := s.abandoned.Load(); got != 0 {
				t.Errorf("%d goroutines are taken for abandoned after it, want 0", got)
			}
			if p.relieved != nil {
				t.Error("a turn that is over is still noted as relieved")
			}
		})
	}
}

// runner is a Host that runs its messages.
type runner struct{ ender }

func (runner) Receive(_ context.Context, msg any) error { return msg.(func() error)() }

// TestRelieve_turnsThatOverlap: a goroutine that was relieved has let its turn go and has not come back yet, while the next
// reader's turn has begun, and may be relieved too.
func TestRelieve_turnsThatOverlap(t *testing.T) {
	for _, next := range []bool{false, true} {
		s := quietSystem(t, Config{})
		p, _, err := s.Inside(hook.Key{}).Spawn(runner{}, runner{}, &hook.Options{FlushesItself: true}, SpawnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		p.Start()
		p.mu.Lock()
		turn := p.take()
		p.begin(item{kind: kindHanded, msg: "first"})
		p.mu.Unlock()
		if !p.Relieve(0) {
			t.Fatal("Relieve: false")
		}
		p.run(true, 1)
		want := hook.Going
		if next {
			want = hook.Relieved
		}
		if got := p.Hand(func() error {
			if next && !p.Relieve(0) {
				t.Error("Relieve of the next reader: false")
			}
			p.Send(func() error { return nil }) // so that it goes back by the long way
			return nil
		}); got != want {
			t.Errorf("next reader relieved %t: it comes back with %d, want %d", next, got, want)
		}
		if got := p.back(turn); got != hook.Relieved {
			t.Errorf("next reader relieved %t: the first one comes back with %d, want Relieved", next, got)
		}
		if n := s.goroutines.Load(); n != 0 {
			t.Errorf("next reader relieved %t: %d goroutines are on the books, want 0", next, n)
		}
	}
}
