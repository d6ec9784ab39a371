package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/supervisor"
)

func TestMain(m *testing.M) {
	slog.SetDefault(quiet) // tests that look at the log have one of their own
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

var errCrash = errors.New("crash")

// service runs until it is stopped, or until the test has it end.
type service struct {
	orders chan func() error // what Serve does next; an error ends it, errCarryOn does not
	begin  func(ctx context.Context) error
	stop   func(ctx context.Context) error // after ctx is done; nil: return ctx.Err()
}

var errCarryOn = errors.New("carry on")

func newService() *service { return &service{orders: make(chan func() error)} }

func (s *service) Serve(ctx context.Context) error {
	if s.begin != nil {
		if err := s.begin(ctx); err != errCarryOn {
			return err
		}
	}
	for {
		select {
		case f := <-s.orders:
			if err := f(); err != errCarryOn {
				return err
			}
		case <-ctx.Done():
			if s.stop != nil {
				return s.stop(ctx)
			}
			return ctx.Err()
		}
	}
}

// end has Serve return err.
func (s *service) end(err error) { s.orders <- func() error { return err } }

// journal collects events as words: +b for a start, ^b for ready, -b:kind for an exit, and others by their name.
type journal struct {
	mu     sync.Mutex
	events []supervisor.Event
}

func (j *journal) add(e supervisor.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, e)
}

// take returns what has come since the last take, of the kinds.
func (j *journal) take() []supervisor.Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	events := j.events
	j.events = nil
	return events
}

// words is take for starts, exits and what is unusual.
func (j *journal) words() string {
	var words []string
	for _, e := range j.take() {
		switch e.Kind {
		case supervisor.EventStarted, supervisor.EventRestarted:
			words = append(words, "+"+e.Child)
		case supervisor.EventExited:
			words = append(words, "-"+e.Child+":"+e.ExitKind.String())
		case supervisor.EventReady, supervisor.EventShutdown:
		default:
			words = append(words, strings.TrimSpace(e.Kind.String()+" "+e.Child))
		}
	}
	return strings.Join(words, " ")
}

// tree is a Supervisor that is served in a bubble.
type tree struct {
	*supervisor.Supervisor
	t       *testing.T
	journal journal
	cancel  context.CancelFunc
	served  chan error
	result  error
	over    bool
}

// serve makes a Supervisor and serves it until the end of the test; it returns when all goroutines rest.
func serve(t *testing.T, cfg supervisor.Config, children ...supervisor.ChildSpec) *tree {
	t.Helper()
	r := &tree{t: t, served: make(chan error, 1)}
	cfg.Logger = quiet
	cfg.OnEvent = r.journal.add
	var err error
	if r.Supervisor, err = supervisor.New(cfg, children...); err != nil {
		t.Fatalf("New: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r.cancel = cancel
	go func() { r.served <- r.Serve(ctx) }()
	t.Cleanup(func() { r.end() })
	synctest.Wait()
	return r
}

// wait waits for the end of Serve.
func (r *tree) wait() error {
	if !r.over {
		r.result, r.over = <-r.served, true
	}
	return r.result
}

// end ends ctx and waits for the end of Serve.
func (r *tree) end() error {
	r.cancel()
	return r.wait()
}

// want compares the words of the events since the last call.
func (r *tree) want(when, want string) {
	r.t.Helper()
	synctest.Wait()
	if got := r.journal.words(); got != want {
		r.t.Errorf("%s:\n got %s\nwant %s", when, got, want)
	}
}

// wantChildren compares the children, each as id:state.
func (r *tree) wantChildren(when, want string) {
	r.t.Helper()
	synctest.Wait()
	var got []string
	for _, c := range r.Children() {
		got = append(got, c.ID+":"+c.State.String())
	}
	if g := strings.Join(got, " "); g != want {
		r.t.Errorf("children %s:\n got %s\nwant %s", when, g, want)
	}
}

func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) || want == nil && got != nil {
		t.Errorf("%s: got error %v, want %v", what, got, want)
	}
}

// spec is a ChildSpec of few words.
func spec(id string, s supervisor.Service, r supervisor.Restart) supervisor.ChildSpec {
	return supervisor.ChildSpec{ID: id, Service: s, Restart: r}
}

// bubble runs f on the fake clock.
func bubble(t *testing.T, f func(t *testing.T)) { t.Helper(); synctest.Test(t, f) }

// ends are ways for a Service to end, with the kind that they are.
var ends = []struct {
	name string
	end  func() error
	kind exit.Kind
}{
	{"nil", func() error { return nil }, exit.Normal},
	{"ErrNormal", func() error { return actor.ErrNormal }, exit.Normal},
	{"wrapped ErrNormal", func() error { return fmt.Errorf("done: %w", actor.ErrNormal) }, exit.Normal},
	{"ErrRestart", func() error { return exit.ErrRestart }, exit.Normal},
	{"ErrShutdown", func() error { return actor.ErrShutdown }, exit.Shutdown},
	{"ErrRemote", func() error { return exit.ErrRemote }, exit.Shutdown},
	{"an error", func() error { return errCrash }, exit.Abnormal},
	{"ErrKilled", func() error { return actor.ErrKilled }, exit.Abnormal},
	{"context.Canceled of another context", func() error { return context.Canceled }, exit.Abnormal},
	{"DeadlineExceeded of another context", func() error { return context.DeadlineExceeded }, exit.Abnormal},
	{"a nil pointer", func() error { var e *supervisor.AbandonedError; return e }, exit.Abnormal},
	{"panic", func() error { panic("boom") }, exit.Abnormal},
	{"panic with ErrNormal", func() error { panic(actor.ErrNormal) }, exit.Abnormal},
	{"Goexit", func() error { runtime.Goexit(); return nil }, exit.Abnormal},
}

var strategies = []supervisor.Strategy{supervisor.OneForOne, supervisor.OneForAll, supervisor.RestForOne}
