package embedding_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"sync/atomic"
	"testing"
	"time"

	client "github.com/coder/websocket"
	"github.com/thejerf/suture/v4"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/troupe-dev/troupe/examples/embedding"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

// patience bounds what a broken tree could make a test wait for. The tests run over real TCP, because HTTP and its end
// are part of what they are about.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	before := runtime.NumGoroutine() + 1 // fx listens for signals, and the goroutine of os/signal never ends
	code := m.Run()
	// Goroutines that are about to return need a moment, and nothing tells when they have.
	for end := time.Now().Add(5 * time.Second); code == 0 && runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			fmt.Println("FAIL: goroutines are left")
			_ = pprof.Lookup("goroutine").WriteTo(os.Stdout, 1)
			code = 1
		}
	}
	os.Exit(code)
}

type parrot struct{}

func (parrot) Init(context.Context) websock.Result                          { return websock.OK() }
func (parrot) HandleIn(_ context.Context, m websock.Message) websock.Result { return websock.Push(m) }
func (parrot) HandleInfo(context.Context, any) websock.Result               { return websock.OK() }

// web is a tree and what a test needs of it.
type web struct {
	t     *testing.T
	tree  *supervisor.Supervisor
	ready *embedding.LastChild
	addr  chan string // one for each start of HTTP
}

// newWeb makes a tree of HTTP, sockets, more, and the last child.
func newWeb(t *testing.T, more ...supervisor.ChildSpec) *web {
	t.Helper()
	sockets, err := socket.New(socket.Config{Drain: socket.Drain{Close: websock.CloseDetail{Code: websock.CloseServiceRestart}}})
	if err != nil {
		t.Fatal(err)
	}
	w := &web{t: t, ready: embedding.NewLastChild(), addr: make(chan string, 100)}
	listen := func(ctx context.Context) (net.Listener, error) {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err == nil {
			w.addr <- l.Addr().String()
		}
		return l, err
	}
	more = append(more, supervisor.ChildSpec{ID: "last", Service: w.ready})
	w.tree, err = embedding.NewTree(sockets.Handler(func(*http.Request) (websock.Handler, error) { return parrot{}, nil }),
		listen, sockets, more...)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// receive waits for what must come.
func receive[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("still waiting for %s", what)
		panic("not reached")
	}
}

// dial connects clients to the tree when it is ready. Before that, HTTP may be there and the sockets not yet a child that
// is told to drain.
func (w *web) dial(n int) (all []*client.Conn) {
	w.t.Helper()
	receive(w.t, "the tree", w.ready.Ready())
	addr := receive(w.t, "HTTP", w.addr)
	for range n {
		c, _, err := client.Dial(w.t.Context(), "ws://"+addr, nil)
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(func() { c.CloseNow() })
		if err := c.Write(w.t.Context(), client.MessageText, []byte("hello")); err != nil {
			w.t.Fatal(err)
		}
		if _, _, err := c.Read(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

// wantDrained checks that each client is told to come back.
func (w *web) wantDrained(all []*client.Conn) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for i, c := range all {
		if _, _, err := c.Read(ctx); client.CloseStatus(err) != client.StatusServiceRestart {
			w.t.Errorf("client %d: %v, want close code 1012", i, err)
		}
	}
}

// A tree in suture, errgroup and fx drains its sockets when it is told to end.
func TestEmbedding_drains(t *testing.T) {
	for name, start := range map[string]func(*testing.T, *web) (stop func() error){
		"suture": func(t *testing.T, w *web) func() error {
			ctx, cancel := context.WithCancel(t.Context())
			ended := embedding.InSuture(w.tree, nil).ServeBackground(ctx)
			return func() error {
				cancel()
				if err := receive(t, "suture", ended); !errors.Is(err, context.Canceled) {
					return fmt.Errorf("suture ended with %w, want context.Canceled", err)
				}
				return nil
			}
		},
		"errgroup": func(t *testing.T, w *web) func() error {
			fail, ended := make(chan error), make(chan error, 1)
			go func() {
				ended <- embedding.InErrgroup(t.Context(), w.tree, func(context.Context) error { return <-fail })
			}()
			return func() error {
				sibling := errors.New("a sibling has failed")
				fail <- sibling
				if err := receive(t, "errgroup", ended); err != sibling {
					return fmt.Errorf("errgroup ended with %w, want %w", err, sibling)
				}
				return nil
			}
		},
		"fx": func(t *testing.T, w *web) func() error {
			app := fxtest.New(t, fx.Supply(w.tree, w.ready), fx.Invoke(embedding.InFx)).RequireStart()
			return func() error { app.RequireStop(); return nil }
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWeb(t)
			stop := start(t, w)
			clients := w.dial(3)
			ended := make(chan error, 1)
			go func() { ended <- stop() }()
			w.wantDrained(clients)
			if err := receive(t, "the end", ended); err != nil {
				t.Error(err)
			}
		})
	}
}

// A tree that gave up is started again by suture: same value, from the specs of New.
func TestSuture_restartsATreeThatGaveUp(t *testing.T) {
	release := make(chan struct{})
	w := newWeb(t, supervisor.ChildSpec{ID: "waits", Service: supervisor.ServiceFunc(func(ctx context.Context) error {
		select {
		case <-release:
			return errors.New("cannot work") // again and again, so the tree gives up again and again
		case <-ctx.Done():
			return nil
		}
	})})
	gaveUp := make(chan struct{}, 100)
	app := embedding.InSuture(w.tree, func(e suture.Event) {
		if ended, ok := e.(suture.EventServiceTerminate); ok && ended.ServiceName == "web" {
			gaveUp <- struct{}{}
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := app.ServeBackground(ctx)
	clients := w.dial(3)
	close(release)
	w.wantDrained(clients)
	receive(t, "the tree to give up", gaveUp)
	receive(t, "HTTP after the restart", w.addr)
	cancel()
	receive(t, "suture", ended)
}

// suture has its own limit: it does not ask for ShutdownTime, and abandons a service that takes longer.
func TestSuture_stopLimit(t *testing.T) {
	release := make(chan struct{})
	slow := supervisor.ChildSpec{ID: "slow", Shutdown: supervisor.Infinity, Service: supervisor.ServiceFunc(func(ctx context.Context) error {
		<-ctx.Done()
		<-release
		return nil
	})}
	w := newWeb(t, slow)
	left := make(chan string, 1)
	app := suture.New("app", suture.Spec{Timeout: time.Millisecond, EventHook: func(e suture.Event) {
		if e, ok := e.(suture.EventStopTimeout); ok {
			left <- e.ServiceName
		}
	}})
	gone := make(chan struct{})
	app.Add(embedding.Named{Name: "web", Service: supervisor.ServiceFunc(func(ctx context.Context) error {
		defer close(gone)
		return w.tree.Serve(ctx)
	})})
	ctx, cancel := context.WithCancel(t.Context())
	ended := app.ServeBackground(ctx)
	receive(t, "the tree", w.ready.Ready())
	cancel()
	if name := receive(t, "suture to leave it", left); name != "web" {
		t.Errorf("suture left %q, want web", name)
	}
	receive(t, "suture", ended)
	close(release)
	receive(t, "the tree that was left", gone)
}

// suture restarts a service that returns nil, but not one wrapped by Once.
func TestSuture_nil(t *testing.T) {
	for name, tt := range map[string]struct {
		wrap     func(supervisor.Service) suture.Service
		restarts bool
	}{
		"bare": {func(s supervisor.Service) suture.Service { return s }, true},
		"Once": {embedding.Once, false},
	} {
		t.Run(name, func(t *testing.T) {
			app := suture.New("app", suture.Spec{EventHook: func(suture.Event) {}})
			second := make(chan struct{})
			var runs atomic.Int32
			app.Add(embedding.Named{Name: "job", Service: tt.wrap(supervisor.ServiceFunc(func(ctx context.Context) error {
				if runs.Add(1) == 2 {
					close(second)
					<-ctx.Done()
				}
				return nil
			}))})
			ctx, cancel := context.WithCancel(t.Context())
			ended := app.ServeBackground(ctx)
			if tt.restarts {
				receive(t, "the restart", second)
			} else {
				// suture has no event for it, so its list is polled.
				for end := time.Now().Add(patience); len(app.Services()) > 0; time.Sleep(time.Millisecond) {
					if time.Now().After(end) {
						t.Fatal("suture keeps a job that Once has finished")
					}
				}
				if n := runs.Load(); n != 1 {
					t.Errorf("the job ran %d times, want once", n)
				}
			}
			cancel()
			receive(t, "suture", ended)
		})
	}
}

// FromSuture, and ErrDoNotRestart without it.
func TestSuture_errDoNotRestart(t *testing.T) {
	for name, tt := range map[string]struct {
		wrap func(suture.Service) supervisor.Service
		want supervisor.EventKind // what follows the exit
	}{
		"bare":       {func(s suture.Service) supervisor.Service { return s }, supervisor.EventRestarted},
		"FromSuture": {embedding.FromSuture, supervisor.EventShutdown},
	} {
		t.Run(name, func(t *testing.T) {
			events := make(chan supervisor.Event, 100)
			var runs atomic.Int32
			tree, err := supervisor.New(supervisor.Config{OnEvent: func(e supervisor.Event) { events <- e }}, supervisor.ChildSpec{
				ID: "job", Restart: supervisor.Transient,
				Service: tt.wrap(supervisor.ServiceFunc(func(ctx context.Context) error {
					if runs.Add(1) > 1 {
						<-ctx.Done()
						return nil
					}
					return fmt.Errorf("done: %w", suture.ErrDoNotRestart)
				})),
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- tree.Serve(ctx) }()
			for receive(t, "the exit", events).Kind != supervisor.EventExited {
			}
			if tt.want == supervisor.EventShutdown {
				cancel()
			}
			for {
				e := receive(t, tt.want.String(), events)
				if e.Kind == tt.want {
					break
				}
				if e.Kind == supervisor.EventRestarted {
					t.Fatalf("restarted, want %v", tt.want)
				}
			}
			cancel()
			receive(t, "the tree", ended)
		})
	}
}

// A tree that gives up ends an fx application, with an exit code.
func TestFx_treeGivesUp(t *testing.T) {
	fail := make(chan struct{})
	w := newWeb(t, supervisor.ChildSpec{ID: "fails", Service: supervisor.ServiceFunc(func(ctx context.Context) error {
		select {
		case <-fail:
			return errors.New("cannot work")
		case <-ctx.Done():
			return nil
		}
	})})
	app := fx.New(fx.NopLogger, fx.Supply(w.tree, w.ready), fx.Invoke(embedding.InFx))
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(fail)
	if got := receive(t, "fx to be told", app.Wait()); got.ExitCode != 1 {
		t.Errorf("exit code %d, want 1", got.ExitCode)
	}
	var gaveUp *supervisor.IntensityError
	if err := app.Stop(t.Context()); !errors.As(err, &gaveUp) {
		t.Errorf("Stop: %v, want that the tree gave up", err)
	}
}

// A tree that cannot start fails the start of an fx application.
func TestFx_startFails(t *testing.T) {
	want := errors.New("cannot start")
	w := newWeb(t, supervisor.ChildSpec{ID: "fails", StartTimeout: patience, Service: supervisor.ServiceFunc(func(context.Context) error {
		return want
	})})
	app := fx.New(fx.NopLogger, fx.Supply(w.tree, w.ready), fx.Invoke(embedding.InFx))
	if err := app.Start(t.Context()); !errors.Is(err, want) {
		t.Errorf("Start: %v, want %v", err, want)
	}
}
