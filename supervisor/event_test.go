package supervisor_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/supervisor"
)

// logOf runs f with a Logger and returns its lines without time.
func logOf(level slog.Level, f func(*slog.Logger)) string {
	var b bytes.Buffer
	f(slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		switch a.Key {
		case slog.TimeKey:
			return slog.Attr{}
		case "stack":
			return slog.Int("stack_lines", min(strings.Count(a.Value.String(), "\n"), 1))
		}
		return a
	}})))
	return b.String()
}

func TestEvents_log(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := newService(), lingering(time.Hour)
		got := logOf(slog.LevelDebug, func(log *slog.Logger) {
			s, err := supervisor.New(supervisor.Config{Name: "main", Logger: log, MaxRestarts: 1},
				spec("a", a, 0), supervisor.ChildSpec{ID: "b", Service: asking{b, time.Minute}, Shutdown: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan error)
			go func() { served <- s.Serve(context.Background()) }()
			synctest.Wait()
			a.orders <- func() error { panic("boom") }
			synctest.Wait()
			a.end(nil)
			<-served
		})
		want := `level=WARN msg="supervisor is configured oddly" supervisor=main child=b error="ChildSpec.Shutdown of 1s is less than the 1m0s that the service asks for"
level=DEBUG msg="child started" supervisor=main child=a
level=DEBUG msg="child is ready" supervisor=main child=a
level=DEBUG msg="child started" supervisor=main child=b
level=DEBUG msg="child is ready" supervisor=main child=b
level=ERROR msg="child exited" supervisor=main child=a exit_reason="panic: boom" exit_kind=abnormal stack_lines=1
level=INFO msg="child restarted" supervisor=main child=a restarts=1
level=DEBUG msg="child is ready" supervisor=main child=a
level=DEBUG msg="child exited" supervisor=main child=a exit_reason=normal exit_kind=normal
level=ERROR msg="supervisor gave up" supervisor=main child=a error="supervisor main gave up: restarting \"a\" would be more than Config.MaxRestarts 1 within 5s: normal"
level=INFO msg="supervisor is stopping" supervisor=main remaining=1 cause="supervisor main gave up: restarting \"a\" would be more than Config.MaxRestarts 1 within 5s: normal"
level=ERROR msg="child did not end within its shutdown time and is abandoned" supervisor=main child=b error="supervisor main: did not end within ChildSpec.Shutdown and were abandoned: b"
level=INFO msg="supervisor has stopped" supervisor=main remaining=0
`
		if got != want {
			t.Errorf("log:\n%s\nwant:\n%s", got, want)
		}
		time.Sleep(time.Hour)
	})
}

// An OnEvent that panics, and an error whose methods do, take no supervisor down.
func TestEvents_panic(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := newService()
		n := 0
		log := logOf(slog.LevelError, func(log *slog.Logger) {
			s, err := supervisor.New(supervisor.Config{Logger: log, OnEvent: func(e supervisor.Event) {
				n++
				panic(e.Kind)
			}}, spec("a", a, 0))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			served := make(chan error)
			go func() { served <- s.Serve(ctx) }()
			a.end(panickyError{})
			synctest.Wait()
			cancel()
			wantErr(t, "Serve", <-served, nil)
		})
		if n < 5 || !strings.Contains(log, "panic in a callback") {
			t.Errorf("%d events and this log, want all events and word of the panics:\n%s", n, log)
		}
	})
}

// An error whose methods panic takes no supervisor down, whether a service ends with it or is stopped and returns it.
func TestSupervisor_unsoundErrors(t *testing.T) {
	for _, unsound := range []error{panickyError{}, (*supervisor.AbandonedError)(nil), (*actor.PanicError)(nil)} {
		bubble(t, func(t *testing.T) {
			a, b := newService(), newService()
			b.stop = func(context.Context) error { return unsound }
			r := serve(t, supervisor.Config{}, spec("a", a, 0), spec("b", b, 0))
			a.end(unsound)
			r.want("a", "+a +b -a:abnormal +a")
			wantErr(t, "Serve", r.end(), nil)
			r.want("the end", "-b:shutdown -a:shutdown")
		})
	}
}

type panickyError struct{ _ int }

func (panickyError) Error() string { panic("Error panics") }
func (panickyError) Unwrap() error { panic("Unwrap panics") }

// OnEvent may look at the children.
func TestEvents_childrenInOnEvent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var s *supervisor.Supervisor
		var seen []string
		s, err := supervisor.New(supervisor.Config{Logger: quiet, OnEvent: func(e supervisor.Event) {
			if e.Kind == supervisor.EventReady {
				seen = append(seen, fmt.Sprint(s.Children()))
			}
		}}, spec("a", newService(), 0), spec("b", newService(), 0))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() { time.Sleep(time.Second); cancel() }()
		wantErr(t, "Serve", s.Serve(ctx), nil)
		if len(seen) != 2 {
			t.Errorf("OnEvent saw %v, want the children twice", seen)
		}
	})
}

func TestStrings(t *testing.T) {
	for want, got := range map[string]fmt.Stringer{
		"rest_for_one": supervisor.RestForOne, "strategy(9)": supervisor.Strategy(9), "transient": supervisor.Transient,
		"abandoned": supervisor.EventAbandoned, "event(99)": supervisor.EventKind(99), "restarting": supervisor.StateRestarting,
	} {
		if got.String() != want {
			t.Errorf("String() = %q, want %q", got, want)
		}
	}
}
