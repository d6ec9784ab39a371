package actor

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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
	var took atomic.Int64
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
				if d == hook.Queued && p.Take() {
					d = p.Run()
					took.Add(1)
				}
			}
		}
		readers.Go(func() {
			d := p.Start()
			if i%3 == 0 {
				p.Send("from another one")
			}
			read(d)
		})
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
	if relieved == 0 || took.Load() == 0 {
		t.Errorf("%d readers were relieved, %d turns were taken: this shows nothing", relieved, took.Load())
	}
}

// TestTake_keepsTheBooks: what ends a process while a turn waits for a worker, and after it was taken and has not begun.
func TestTake_keepsTheBooks(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // so that no worker begins before this goroutine waits
	for name, end := range map[string]func(p *process){
		"a kill":             func(p *process) { p.kill(ErrKilled) },
		"an Exit":            func(p *process) { p.exit(ErrNormal) },
		"Fail":               func(p *process) { p.Fail(io.ErrUnexpectedEOF) },
		"Goexit":             func(p *process) { p.Hand(func() error { runtime.Goexit(); return nil }) },
		"Goexit and a kill":  func(p *process) { p.Hand(func() error { p.kill(ErrKilled); runtime.Goexit(); return nil }) },
		"an error":           func(p *process) { p.Hand(func() error { return io.EOF }) },
		"it is relieved":     func(p *process) { p.Hand(func() error { p.Relieve(0); return io.EOF }) },
		"relieved, a Goexit": func(p *process) { p.Hand(func() error { p.Relieve(0); runtime.Goexit(); return nil }) },
	} {
		for _, taken := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, taken: %t", name, taken), func(t *testing.T) {
				s := quietSystem(t, Config{})
				for {
					p, _, err := s.Inside(hook.Key{}).Spawn(runner{}, runner{}, nil, SpawnOptions{})
					if err != nil {
						t.Fatal(err)
					}
					p.Start()
					p.Hand(func() error { p.Send(func() error { return nil }); return nil })
					p.Send(func() error { return nil })
					if took := p.Take(); !took { // this goroutine was preempted
						p.kill(ErrKilled)
						continue
					} else if !taken {
						p.mu.Lock()
						p.hireAndUnlock()
					}
					var reader sync.WaitGroup
					end(p)
					if taken {
						reader.Go(func() { p.Run() })
					}
					reader.Wait()
					for p.Alive() {
						runtime.Gosched()
					}
					return
				}
			})
		}
	}
}

// A process whose turn waits for a worker runs no callback, and so none that takes too long.
func TestNextCallback_whileATurnWaits(t *testing.T) {
	s := quietSystem(t, Config{})
	p, pid, err := s.Inside(hook.Key{}).Spawn(runner{}, runner{}, &hook.Options{AbandonAfter: time.Second}, SpawnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer pid.Exit(ErrKilled)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state, p.holder, p.began = stateRunning, hired, p.sys.now()-int64(time.Hour)
	p.leaving(io.EOF)
	if now := p.sys.now(); !p.nextCallback() || p.clock().abandon <= now {
		t.Errorf("the process is ended, or its clock stands at %v; want a second more", time.Duration(p.clock().abandon-now))
	}
	p.holder = atRest
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
			if p.extra != nil && p.extra.relieved != nil {
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
		p.begin(item{kind: kindHanded, msg: "first"}, 0, 0)
		p.mu.Unlock()
		if !p.Relieve(0) {
			t.Fatal("Relieve: false")
		}
		p.mu.Lock()
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
