package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/supervisor"
)

// handlerFunc is a slog.Handler that does with each line what the test says.
type handlerFunc func(slog.Record)

func (h handlerFunc) Enabled(context.Context, slog.Level) bool      { return true }
func (h handlerFunc) WithAttrs([]slog.Attr) slog.Handler            { return h }
func (h handlerFunc) WithGroup(string) slog.Handler                 { return h }
func (h handlerFunc) Handle(_ context.Context, r slog.Record) error { h(r); return nil }

// reporters are the two ways in which a supervisor reports; each calls f.
func reporters(f func()) map[string]struct {
	log     *slog.Logger
	onEvent func(supervisor.Event)
} {
	return map[string]struct {
		log     *slog.Logger
		onEvent func(supervisor.Event)
	}{
		"Logger":  {slog.New(handlerFunc(func(slog.Record) { f() })), nil},
		"OnEvent": {quiet, func(supervisor.Event) { f() }},
	}
}

// Neither a Logger nor an OnEvent that does not return holds up a start, a restart, the stop of a child, or the end.
func TestReports_stuck(t *testing.T) {
	for name := range reporters(nil) {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				free := make(chan struct{})
				t.Cleanup(func() { close(free) })
				to := reporters(func() { <-free })[name]
				a, b, c := newService(), newService(), newService()
				b.stop = func(context.Context) error { time.Sleep(2 * time.Second); return nil }
				d, err := supervisor.NewDynamic(supervisor.DynamicConfig{Logger: to.log, OnEvent: to.onEvent})
				if err != nil {
					t.Fatal(err)
				}
				s, err := supervisor.New(supervisor.Config{Logger: to.log, OnEvent: to.onEvent},
					spec("a", a, 0), spec("d", d, 0), supervisor.ChildSpec{ID: "b", Service: b, Shutdown: time.Second})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				served := make(chan error, 1)
				go func() { served <- s.Serve(ctx) }()
				t.Cleanup(cancel)
				synctest.Wait()
				a.end(errCrash)
				synctest.Wait()
				if got := s.Children(); got[0].State != supervisor.StateRunning || got[0].Restarts != 1 {
					t.Errorf("after a crash: %+v, want it running again", got[0])
				}
				wantErr(t, "Start", d.Start(context.Background(), "c", c), nil)
				start := time.Now()
				cancel()
				select {
				case err = <-served:
				case <-time.After(time.Hour):
					t.Fatal("Serve has not returned an hour after the end of its ctx")
				}
				var abandoned *supervisor.AbandonedError
				if !errors.As(err, &abandoned) || len(abandoned.Children) != 1 || abandoned.Children[0] != "b" {
					t.Errorf("Serve: %v, want b to be given up", err)
				}
				if took := time.Since(start); took != time.Second {
					t.Errorf("the end took %v, want the 1s that b has", took)
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

// A Logger and an OnEvent that are slow take no time from the stop of the children, which has a limit.
func TestReports_slow(t *testing.T) {
	for name := range reporters(nil) {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				to := reporters(func() { time.Sleep(200 * time.Millisecond) })[name]
				inner, err := supervisor.New(supervisor.Config{Name: "inner", Logger: to.log, OnEvent: to.onEvent})
				if err != nil {
					t.Fatal(err)
				}
				d, err := supervisor.NewDynamic(supervisor.DynamicConfig{Logger: to.log, OnEvent: to.onEvent})
				if err != nil {
					t.Fatal(err)
				}
				p := newPipes()
				srv := &http.Server{ErrorLog: log.New(writerFunc(func() { time.Sleep(200 * time.Millisecond) }), "", 0),
					Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("in a handler") })}
				web := supervisor.HTTP(srv, func(context.Context) (net.Listener, error) { return p, nil })
				first := newService()
				var told time.Time
				first.stop = func(context.Context) error { told = time.Now(); return nil }
				within := func(id string, s supervisor.Service) supervisor.ChildSpec {
					return supervisor.ChildSpec{ID: id, Service: s, Shutdown: time.Second}
				}
				s, err := supervisor.New(supervisor.Config{Logger: to.log, OnEvent: to.onEvent}, within("first", first),
					within("web", web), within("inner", inner), within("dynamic", d))
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				served := make(chan error, 1)
				go func() { served <- s.Serve(ctx) }()
				synctest.Wait()
				for i := range 50 { // each is reported several times
					answer(t, p)
					wantErr(t, "Start", d.Start(context.Background(), fmt.Sprint(i), newService()), nil)
					wantErr(t, "StartChild", inner.StartChild(ctx, spec(fmt.Sprint(i), newService(), 0)), nil)
				}
				start := time.Now()
				cancel()
				wantErr(t, "Serve", <-served, nil)
				if took := told.Sub(start); took > 3*time.Second {
					t.Errorf("the first child was told to stop after %v, want 3s at most: the others need no time", took)
				}
				time.Sleep(time.Hour)
			})
		})
	}
}

// writerFunc is a Writer that does with each line what the test says.
type writerFunc func()

func (f writerFunc) Write(p []byte) (int, error) { f(); return len(p), nil }

// answer makes a request and waits for the end of the connection.
func answer(t *testing.T, p *pipes) {
	t.Helper()
	c, err := p.dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, c)
}

// A Logger or an OnEvent that panics, or ends its goroutine, ends nothing else.
func TestReports_panic(t *testing.T) {
	for name, f := range map[string]func(){"panic": func() { panic("as asked") }, "Goexit": runtime.Goexit} {
		for which := range reporters(nil) {
			t.Run(which+" "+name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					calls := make(chan struct{}, 1000)
					to := reporters(func() { calls <- struct{}{}; f() })[which]
					a := newService()
					d, err := supervisor.NewDynamic(supervisor.DynamicConfig{Logger: to.log, OnEvent: to.onEvent})
					if err != nil {
						t.Fatal(err)
					}
					s, err := supervisor.New(supervisor.Config{Logger: to.log, OnEvent: to.onEvent}, spec("a", a, 0), spec("d", d, 0))
					if err != nil {
						t.Fatal(err)
					}
					ctx, cancel := context.WithCancel(t.Context())
					served := make(chan error, 1)
					go func() { served <- s.Serve(ctx) }()
					synctest.Wait()
					a.end(errCrash)
					synctest.Wait()
					wantErr(t, "Start", d.Start(context.Background(), "b", supervisor.Actor(newSystem(t), newWorker, actor.SpawnOptions{})), nil)
					cancel()
					wantErr(t, "Serve", <-served, nil)
					if n := len(calls); n < 10 {
						t.Errorf("%d calls, want one for each event, 10 or more", n)
					}
				})
			})
		}
	}
}

// Serve returns when all events have been taken in, in order.
func TestReports_areCompleteAfterServe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var kinds []supervisor.EventKind
		s, err := supervisor.New(supervisor.Config{Logger: quiet, OnEvent: func(e supervisor.Event) {
			time.Sleep(10 * time.Millisecond)
			kinds = append(kinds, e.Kind)
		}}, spec("a", newService(), 0))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		wantErr(t, "Serve", s.Serve(ctx), nil)
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		kinds = nil
		wantErr(t, "Serve", s.Serve(ctx), nil)
		if len(kinds) != 5 || kinds[0] != supervisor.EventStarted || kinds[4] != supervisor.EventShutdown {
			t.Errorf("events when Serve returns: %v, want started, ready, shutdown, exited, shutdown", kinds)
		}
	})
}
