package socket_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

// serving is a Serve that runs.
type serving struct {
	t    testing.TB
	stop context.CancelCauseFunc
	done chan struct{}
	err  error
	end  time.Time
}

// runService starts a Serve and waits until it rests.
func runService(t testing.TB, s supervisor.Service) *serving {
	ctx, cancel := context.WithCancelCause(context.Background())
	v := &serving{t: t, stop: cancel, done: make(chan struct{})}
	t.Cleanup(func() {
		cancel(nil)
		<-v.done
	})
	go func() {
		defer close(v.done)
		v.err = s.Serve(ctx)
		v.end = time.Now()
	}()
	synctest.Wait()
	return v
}

// wantEnd ends ctx, and waits for the return of Serve, which must come without an error and after took.
func (v *serving) wantEnd(took time.Duration) {
	v.t.Helper()
	start := time.Now()
	v.stop(nil)
	<-v.done
	if d := v.end.Sub(start); v.err != nil || d != took {
		v.t.Errorf("Serve: got %v after %v, want nil after %v", v.err, d, took)
	}
}

func (v *serving) over() bool {
	select {
	case <-v.done:
		return true
	default:
		return false
	}
}

// ownSite is a site whose Server has a System of its own.
func ownSite(t *testing.T, cfg socket.Config) *site {
	t.Helper()
	h := newSite(t, socket.Config{})
	cfg.Logger = quiet
	srv, err := socket.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	h.srv = srv
	return h.overMemory(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { srv.Upgrade(w, r, echo()) }))
}

// Upgrades work before Serve; it drains by Config.Drain when its ctx is done, and returns when all is over.
func TestServer_Serve(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{Drain: socket.Drain{
			Delay: 10 * time.Second,
			Over:  4 * time.Second,
			Close: websock.CloseDetail{Code: 1012, Reason: "deploy"},
		}})
		r.wantReady(nil)
		before := r.peer(puppet())
		v := runService(t, r.srv)
		r.wantReady(nil)
		during := r.peer(puppet())
		time.Sleep(time.Hour)
		if v.over() {
			t.Fatalf("Serve has returned while its ctx is alive: %v", v.err)
		}
		start := time.Now()
		v.stop(nil)
		synctest.Wait()
		r.wantReady(socket.ErrDraining)
		r.wantRefused(10)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		r.wantReady(socket.ErrClosed)
		r.wantRefused(10)
		<-v.done
		if d := v.end.Sub(start); v.err != nil || d > 14*time.Second || d < 12*time.Second {
			t.Errorf("Serve: got %v after %v, want nil within Delay and Over", v.err, d)
		}
		for _, p := range []*peer{before, during} {
			p.wantCode(1012, "deploy")
			if r.onClose(p.pid) != 1 {
				t.Error("Serve has returned before the socket is over")
			}
		}
		r.wantReady(socket.ErrClosed)
		r.wantRefused(10)
	})
}

// Serve opens the Server again, whatever has closed it.
func TestServer_Serve_again(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, r *rig, v *serving){
		"after Serve":    func(t *testing.T, _ *rig, v *serving) { v.wantEnd(0) },
		"after Shutdown": func(t *testing.T, r *rig, v *serving) { v.wantEnd(0); mustEnd(t, r.srv.Shutdown) },
		"after Drain":    func(t *testing.T, r *rig, v *serving) { v.wantEnd(0); r.drain(t.Context(), socket.Drain{}).wantEnd(0) },
		"after Shutdown while it ran": func(t *testing.T, r *rig, v *serving) {
			mustEnd(t, r.srv.Shutdown)
			r.wantReady(socket.ErrClosed)
			if v.over() {
				t.Fatalf("Serve has returned while its ctx is alive: %v", v.err)
			}
			v.wantEnd(0)
		},
		"after Drain while it ran": func(t *testing.T, r *rig, v *serving) {
			r.drain(t.Context(), socket.Drain{}).wantEnd(0)
			r.wantReady(socket.ErrClosed)
			v.wantEnd(0)
		},
		"after a drain that killed": func(t *testing.T, r *rig, v *serving) {
			done, cancel := context.WithCancel(t.Context())
			cancel()
			r.srv.Drain(done, socket.Drain{})
			v.wantEnd(0)
		},
	} {
		bubble(t, name, func(t *testing.T) {
			r := serve(t, socket.Config{})
			for range 3 {
				v := runService(t, r.srv)
				r.wantReady(nil)
				p := r.peer(echo())
				p.must(p.Text("hello"))
				synctest.Wait()
				end(t, r, v)
				<-p.done
				if len(p.others) != 1 || r.srv.Count() != 0 {
					t.Errorf("got %q, %d sockets, want the echo and none", p.others, r.srv.Count())
				}
				r.wantReady(socket.ErrClosed)
				r.wantRefused(10)
				if r.srv.System() != r.sys {
					t.Error("System: not the one that was given")
				}
				if pid, err := r.sys.Spawn(context.Background(), idle{}, actor.SpawnOptions{}); err != nil {
					t.Errorf("a System that is not the Server's own: Spawn says %v", err)
				} else {
					pid.Exit(actor.ErrNormal)
				}
			}
		})
	}
}

func mustEnd(t *testing.T, end func(context.Context) error) {
	t.Helper()
	if err := end(t.Context()); err != nil {
		t.Error(err)
	}
}

// What runs in a System of the Server's own ends with Serve, within its time, and the next Serve opens the same System again.
func TestServer_Serve_ownSystem(t *testing.T) {
	bubble(t, "the same each time", func(t *testing.T) {
		h := ownSite(t, socket.Config{})
		sys := h.srv.System()
		seen := map[actor.PID]bool{}
		for range 3 {
			v := runService(t, h.srv)
			if h.srv.System() != sys {
				t.Error("System: another than before the first Serve")
			}
			other, err := sys.Spawn(context.Background(), idle{}, actor.SpawnOptions{})
			if err != nil {
				t.Fatalf("Spawn: %v", err)
			}
			if seen[other] {
				t.Errorf("the PID %v is used again", other)
			}
			seen[other] = true
			for pid := range seen {
				if pid.Alive() != (pid == other) || pid.Send("x") != (pid == other) {
					t.Errorf("%v, of this Serve %v: Alive is %v, want that", pid, pid == other, pid.Alive())
				}
			}
			c := h.connect(rawclient.HandshakeOptions{})
			wantEcho(t, c, "hello")
			background(t, func() { wantClosed(t, c, 1001); c.Close(1001, "") })
			v.wantEnd(0)
			if other.Alive() {
				t.Error("what runs in the System lives on")
			}
			if _, err := sys.Spawn(context.Background(), idle{}, actor.SpawnOptions{}); !errors.Is(err, actor.ErrShutdown) {
				t.Errorf("Spawn after Serve: got %v, want ErrShutdown", err)
			}
			if resp, _ := h.refused(rawclient.HandshakeOptions{}); resp.StatusCode != 503 {
				t.Errorf("an upgrade: got %d, want 503", resp.StatusCode)
			}
		}
	})
	bubble(t, "within ShutdownTime", func(t *testing.T) {
		h := ownSite(t, socket.Config{Drain: socket.Drain{Timeout: 2 * time.Second}})
		v := runService(t, h.srv)
		slow := &actorFunc{terminate: func() { time.Sleep(time.Minute) }}
		if _, err := h.srv.System().Spawn(context.Background(), slow, actor.SpawnOptions{Shutdown: time.Hour}); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		v.stop(nil)
		<-v.done
		if d := v.end.Sub(start); v.err == nil || d != h.srv.ShutdownTime() {
			t.Errorf("Serve: got %v after %v, want an error after ShutdownTime, %v", v.err, d, h.srv.ShutdownTime())
		}
		time.Sleep(time.Hour)
	})
}

type actorFunc struct{ terminate func() }

func (a *actorFunc) Receive(context.Context, any) error     { return nil }
func (a *actorFunc) Terminate(_ context.Context, err error) { a.terminate() }

// One Serve at a time; the second one says so at once, whatever the first one does, and disturbs nothing.
func TestServer_Serve_twice(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{Drain: socket.Drain{Delay: time.Minute}})
		v := runService(t, r.srv)
		again := func() {
			t.Helper()
			start := time.Now()
			err := r.srv.Serve(t.Context())
			if err == nil || !strings.Contains(err.Error(), "Serve runs already") || time.Since(start) != 0 {
				t.Errorf("a second Serve: got %v after %v, want an error at once", err, time.Since(start))
			}
		}
		again()
		r.wantReady(nil)
		p := r.peer(puppet())
		v.stop(nil)
		synctest.Wait()
		again()
		r.wantReady(socket.ErrDraining)
		<-v.done
		if v.err != nil {
			t.Errorf("the first Serve: %v", v.err)
		}
		p.wantCode(1001, "")
		runService(t, r.srv).wantEnd(time.Minute)
	})
}

// A Drain that runs when Serve is called ends before the Server opens again, so that it kills none of the new sockets.
func TestServer_Serve_duringDrain(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{CloseTimeout: time.Hour})
		rude := r.rudePeer(puppet())
		synctest.Wait()
		first := r.drain(t.Context(), socket.Drain{Timeout: 10 * time.Second})
		v := runService(t, r.srv)
		r.wantReady(socket.ErrClosed)
		r.wantRefused(10)
		first.wantKilled(1, context.DeadlineExceeded, 10*time.Second)
		synctest.Wait()
		r.wantReady(nil)
		p := r.peer(echo())
		time.Sleep(time.Hour)
		if !p.pid.Alive() {
			t.Error("the Drain before has ended a socket that came after it")
		}
		v.wantEnd(0)
		p.wantCode(1001, "")
		<-rude.done
	})
	bubble(t, "that does not end in time", func(t *testing.T) {
		r := serve(t, socket.Config{CloseTimeout: time.Hour, Drain: socket.Drain{Over: -1, Timeout: 10 * time.Second}})
		rude := r.rudePeer(puppet())
		synctest.Wait()
		first := r.drain(t.Context(), socket.Drain{Timeout: time.Hour})
		v := runService(t, r.srv)
		start := time.Now()
		v.stop(nil)
		<-v.done
		if d := v.end.Sub(start); v.err == nil || !strings.Contains(v.err.Error(), "1 sockets killed") || d > r.srv.ShutdownTime() {
			t.Errorf("Serve: got %v after %v, want one killed within ShutdownTime %v", v.err, d, r.srv.ShutdownTime())
		}
		first.wantEnd(10 * time.Second)
		<-rude.done
		r.wantReady(socket.ErrClosed)
	})
}

// Serve returns within ShutdownTime, and says how many it had to kill.
func TestServer_ShutdownTime(t *testing.T) {
	second := time.Second
	for _, test := range []struct {
		name string
		d    socket.Drain
		want time.Duration
	}{
		{"zero", socket.Drain{}, 31 * second}, // ShutdownTimeout 15 s + CloseTimeout 5 s, and 10 s for Over
		{"at once", socket.Drain{Over: -1}, 21 * second},
		{"all", socket.Drain{Delay: 5 * second, Over: 30 * second, Batch: 100, Timeout: 10 * second, ComeBack: time.Minute}, 46 * second},
		{"Delay", socket.Drain{Delay: 5 * second, Over: -1}, 26 * second},
	} {
		bubble(t, test.name, func(t *testing.T) {
			r := serve(t, socket.Config{Drain: test.d})
			if got := r.srv.ShutdownTime(); got != test.want {
				t.Errorf("ShutdownTime: got %v, want %v", got, test.want)
			}
		})
	}
	bubble(t, "is kept", func(t *testing.T) {
		release := make(chan struct{})
		r := serve(t, socket.Config{ShutdownTimeout: -1, Drain: socket.Drain{Delay: second, Over: second, Timeout: second}})
		p := r.peer(stuck(release))
		p.pid.Send("x")
		v := runService(t, r.srv)
		start := time.Now()
		v.stop(nil)
		<-v.done
		if d := v.end.Sub(start); v.err == nil || !strings.Contains(v.err.Error(), "1 sockets killed") || d != 3*second {
			t.Errorf("Serve: got %v after %v, want one killed after 3s", v.err, d)
		}
		close(release)
	})
}

// A supervisor's Kill gives no time but for the Close frame.
func TestServer_Serve_killed(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{CloseTimeout: time.Hour, Drain: socket.Drain{Delay: time.Minute, Over: time.Minute}})
		p := r.rudePeer(puppet())
		v := runService(t, r.srv)
		start := time.Now()
		v.stop(actor.ErrKilled)
		<-v.done
		if d := v.end.Sub(start); v.err == nil || !strings.Contains(v.err.Error(), "1 sockets killed") || !errors.Is(v.err, actor.ErrKilled) || d != 250*time.Millisecond {
			t.Errorf("Serve: got %v after %v, want one killed after 250ms", v.err, d)
		}
		<-p.done
		if r.onClose(p.pid) != 1 {
			t.Error("Serve has returned before the socket is over")
		}
	})
}

// Serve says Ready, so a StartTimeout can be set.
func TestServer_Serve_saysReady(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{})
		var behind bool
		sup, err := supervisor.New(supervisor.Config{Logger: quiet},
			supervisor.ChildSpec{ID: "sockets", Service: r.srv, StartTimeout: time.Second},
			supervisor.ChildSpec{ID: "behind", Service: supervisor.ServiceFunc(func(ctx context.Context) error {
				behind = true
				<-ctx.Done()
				return nil
			})})
		if err != nil {
			t.Fatal(err)
		}
		v := runService(t, sup)
		time.Sleep(time.Minute)
		if !behind || v.over() {
			t.Errorf("the child behind the sockets runs: %v, the supervisor has returned: %v", behind, v.err)
		}
		v.wantEnd(0)
	})
}

func TestServer_Ready_full(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{MaxSockets: 1, Drain: socket.Drain{Delay: time.Minute, ComeBack: 5 * time.Second}})
		v := runService(t, r.srv)
		r.wantReady(nil)
		p := r.peer(echo())
		r.wantReady(socket.ErrFull)
		r.wantRefused(5)
		v.stop(nil)
		synctest.Wait()
		r.wantReady(socket.ErrDraining) // which it remains, when there is room again
		p.must(p.Client.Close(1000, ""))
		p.end()
		synctest.Wait()
		r.wantReady(socket.ErrDraining)
		<-v.done
		r.wantReady(socket.ErrClosed)
	})
}

func TestProbe(t *testing.T) {
	yes, no := func() error { return nil }, func() error { return errors.New("database: no connection") }
	never := func() error { t.Error("asked after the first that says no"); return nil }
	for _, test := range []struct {
		name   string
		ready  []func() error
		method string
		status int
		body   string
	}{
		{"nobody is asked", nil, "GET", 200, "ready\n"},
		{"ready", []func() error{yes, yes}, "GET", 200, "ready\n"},
		{"not ready", []func() error{yes, no, never}, "GET", 503, "database: no connection\n"},
		{"draining", []func() error{func() error { return socket.ErrDraining }}, "GET", 503, socket.ErrDraining.Error() + "\n"},
		{"full", []func() error{func() error { return socket.ErrFull }}, "GET", 503, socket.ErrFull.Error() + "\n"},
		{"HEAD", []func() error{yes}, "HEAD", 200, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(socket.Probe(test.ready...))
			defer server.Close()
			defer http.DefaultClient.CloseIdleConnections()
			req, err := http.NewRequest(test.method, server.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != test.status || string(body) != test.body {
				t.Errorf("got %d %q, want %d %q", resp.StatusCode, body, test.status, test.body)
			}
			if got := resp.Header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control: got %q, want no-store", got)
			}
		})
	}
}
