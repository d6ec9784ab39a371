package supervisor_test

import (
	"bytes"
	"context"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/supervisor"
)

// A service that can hurry hears of the second signal, while it stops; Run gives it a second.
func TestKilled(t *testing.T) {
	for _, test := range []struct {
		name    string
		signals []time.Duration
		needs   time.Duration // of a service that is told to hurry
		takes   time.Duration
	}{
		{"it hurries", []time.Duration{time.Second, 3 * time.Second}, 500 * time.Millisecond, 3500 * time.Millisecond},
		{"it needs longer than there is", []time.Duration{time.Second, 3 * time.Second}, time.Hour, 4 * time.Second},
		{"each of the two is sent twice", []time.Duration{time.Second, time.Second, 3 * time.Second, 3 * time.Second}, 500 * time.Millisecond, 3500 * time.Millisecond},
		{"two for one, and then a second", []time.Duration{time.Second, 1500 * time.Millisecond, 3 * time.Second}, 0, 3 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := supervisor.ServiceFunc(func(ctx context.Context) error {
					<-ctx.Done()
					if supervisor.Killed(ctx).Err() != nil {
						t.Error("Killed is done when the stop begins")
					}
					<-supervisor.Killed(ctx).Done()
					time.Sleep(test.needs)
					return nil
				})
				signals := make(chan os.Signal, 2)
				for _, at := range test.signals {
					time.AfterFunc(at, func() { signals <- syscall.SIGTERM })
				}
				start := time.Now()
				err := supervisor.RunUntil(t.Context(), signals, supervisor.Config{Logger: quiet},
					supervisor.ChildSpec{ID: "s", Service: s, Shutdown: time.Hour})
				if took := time.Since(start); took != test.takes {
					t.Errorf("Run took %v, want %v", took, test.takes)
				}
				var signal *supervisor.SignalError
				if !errors.As(err, &signal) {
					t.Errorf("Run returned %v, want a *SignalError", err)
				}
				time.Sleep(2 * time.Hour)
			})
		})
	}
	if supervisor.Killed(t.Context()).Done() != nil {
		t.Error("Killed of a ctx of no service can be done")
	}
}

// A connection that has sent nothing, or half a request, holds the stop for half a second at most; a request in
// progress is waited for.
func TestHTTP_stopWithoutRequests(t *testing.T) {
	for _, test := range []struct {
		name   string
		sends  string
		before time.Duration // the stop
		takes  time.Duration
	}{
		{"nothing, for long", "", time.Minute, 0},
		{"nothing, just come", "", 0, youth},
		{"half a request, for long", "GET / HTTP/1.1\r\nHo", time.Minute, 0},
		{"half a request, just come", "GET / HTTP/1.1\r\nHo", 100 * time.Millisecond, youth},
		{"a request in progress", "GET /takes-3s HTTP/1.1\r\nHost: a\r\n\r\n", time.Second, 2 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := newPipes()
				mux := http.NewServeMux()
				mux.HandleFunc("/takes-3s", func(http.ResponseWriter, *http.Request) { time.Sleep(3 * time.Second) })
				r := serve(t, supervisor.Config{}, supervisor.ChildSpec{ID: "web", Shutdown: time.Hour,
					Service: supervisor.HTTP(&http.Server{Handler: mux}, func(context.Context) (net.Listener, error) { return p, nil })})
				for range 6 { // as many as a browser opens
					c, err := p.dial(t.Context(), "", "")
					if err != nil {
						t.Fatal(err)
					}
					defer c.Close()
					go c.Write([]byte(test.sends))
					go func() {
						b := make([]byte, 1000)
						for {
							if _, err := c.Read(b); err != nil {
								return
							}
						}
					}()
				}
				time.Sleep(test.before)
				synctest.Wait()
				start := time.Now()
				wantErr(t, "Serve", r.end(), nil)
				// http.Server.Shutdown looks again after a while, of half a second at most.
				if took := time.Since(start); took < test.takes || took > test.takes+700*time.Millisecond {
					t.Errorf("the stop took %v, want %v, or until Shutdown looks again", took, test.takes)
				}
			})
		})
	}
}

const youth = 500 * time.Millisecond

// locked is a buffer for a log of several goroutines.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// What http.Server has to say goes to the supervisor's Logger at Debug, a panic of a handler at Error, or to its own
// ErrorLog; one that does not return holds up nothing.
func TestHTTP_errorLog(t *testing.T) {
	for _, own := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			var to, ownTo locked
			srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusOK)
				w.WriteHeader(http.StatusOK) // http.Server logs a complaint about it
				panic("in a handler")
			})}
			if own {
				srv.ErrorLog = log.New(&ownTo, "mine: ", 0)
			}
			p := newPipes()
			s, err := supervisor.New(supervisor.Config{Logger: slog.New(slog.NewTextHandler(&to, &slog.HandlerOptions{Level: slog.LevelDebug}))},
				spec("web", supervisor.HTTP(srv, func(context.Context) (net.Listener, error) { return p, nil }), 0))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			served := make(chan error, 1)
			go func() { served <- s.Serve(ctx) }()
			if _, err := p.get("/"); err == nil {
				t.Error("GET of a handler that panics: no error")
			}
			cancel()
			wantErr(t, "Serve", <-served, nil)
			if got := strings.Contains(to.String(), "level=ERROR msg=\"http: panic serving"); got == own {
				t.Errorf("own ErrorLog %v, the Logger has the panic: %v\n%s", own, got, to.String())
			}
			if got := strings.Contains(to.String(), "level=DEBUG msg=\"http: superfluous"); got == own {
				t.Errorf("own ErrorLog %v, the Logger has the complaint: %v\n%s", own, got, to.String())
			}
			if got := strings.Contains(ownTo.String(), "mine: http: panic serving"); got != own {
				t.Errorf("own ErrorLog %v, it has the panic: %v\n%s", own, got, ownTo.String())
			}
		})
	}
}

type stuckWriter chan struct{}

func (w stuckWriter) Write(p []byte) (int, error) { <-w; return len(p), nil }

func TestHTTP_errorLogStuck(t *testing.T) {
	bubble(t, func(t *testing.T) {
		free := make(stuckWriter)
		t.Cleanup(func() { close(free) })
		w := newPipes()
		srv := &http.Server{ErrorLog: log.New(free, "", 0), Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("in a handler") })}
		r := serve(t, supervisor.Config{}, spec("web", supervisor.HTTP(srv, func(context.Context) (net.Listener, error) { return w, nil }), 0))
		for range 3 {
			got := make(chan error, 1)
			go func() { _, err := w.get("/"); got <- err }()
			select {
			case err := <-got:
				if err == nil {
					t.Error("GET of a handler that panics: no error")
				}
			case <-time.After(time.Minute):
				t.Fatal("a request waits for the ErrorLog")
			}
		}
		start := time.Now()
		wantErr(t, "Serve", r.end(), nil)
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("the stop took %v", took)
		}
	})
}

// A ConnState of the user's is called as usual, and one that panics ends nothing else.
func TestHTTP_connState(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mu sync.Mutex
		seen := map[http.ConnState]int{}
		p := newPipes()
		srv := &http.Server{
			Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
			ConnState: func(_ net.Conn, s http.ConnState) {
				mu.Lock()
				defer mu.Unlock()
				seen[s]++
				panic("as asked, in ConnState")
			},
		}
		r := serve(t, supervisor.Config{}, spec("web", supervisor.HTTP(srv, func(context.Context) (net.Listener, error) { return p, nil }), 0))
		if _, err := p.get("/"); err != nil {
			t.Errorf("GET: %v", err)
		}
		wantErr(t, "Serve", r.end(), nil)
		r.want("all", "+web -web:shutdown")
		mu.Lock()
		defer mu.Unlock()
		if seen[http.StateNew] != 1 || seen[http.StateActive] != 1 || seen[http.StateClosed] != 1 {
			t.Errorf("states %v, want each once", seen)
		}
	})
}
