package socket_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

// raceEnabled tells whether the race detector watches.
func raceEnabled() bool {
	info, _ := debug.ReadBuildInfo()
	return slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// thousands is how many sockets a test of many has: 2,000, or 10,000 with TROUPE_STRESS=1. The race detector can watch 8128
// goroutines, and a socket and its peer are two.
func thousands() int {
	if os.Getenv("TROUPE_STRESS") == "" || raceEnabled() {
		return 2_000
	}
	return 10_000
}

// mixed is a handler for a socket of the tree, in a mood of its own.
type mixed struct {
	callback   time.Duration // how long HandleInfo takes
	terminate  time.Duration // how long Terminate takes
	panics     bool          // in Terminate
	terminated atomic.Int32
	handled    atomic.Int32 // callbacks that have returned
	reason     error        // of the last Terminate
}

func (m *mixed) Init(context.Context) websock.Result { return websock.OK() }

func (m *mixed) HandleIn(context.Context, websock.Message) websock.Result { return websock.OK() }

func (m *mixed) HandleInfo(context.Context, any) websock.Result {
	time.Sleep(m.callback)
	m.handled.Add(1)
	return websock.Push(websock.Text("done"))
}

func (m *mixed) Terminate(_ context.Context, reason error) {
	m.reason = reason
	m.terminated.Add(1)
	time.Sleep(m.terminate)
	if m.panics {
		panic("as asked, in Terminate")
	}
}

// The end of a tree with thousands of sockets: each gets its Close frame, each Terminate ErrShutdown once, callbacks in
// flight finish, and the whole takes as long as the slowest socket, not the sum. Those that are stuck, do not answer or
// panic end within their own time, are in the log, and change nothing for the others.
func TestTree_manySockets(t *testing.T) {
	n := thousands()
	for _, test := range []struct {
		name  string
		badly bool
		took  time.Duration
	}{
		{"the slowest handler decides", false, 7 * time.Second},
		// A peer that never answers has CloseTimeout 5 s from its Close frame; one that is stuck has ShutdownTimeout 12 s.
		{"with some that misbehave", true, 12 * time.Second},
	} {
		bubble(t, test.name, func(t *testing.T) {
			log := new(logs)
			srv, err := socket.New(socket.Config{
				Logger: slog.New(log), Drain: socket.Drain{Over: -1}, ShutdownTimeout: 12 * time.Second, IdleTimeout: -1, PingInterval: -1,
			})
			if err != nil {
				t.Fatal(err)
			}
			sup, err := supervisor.New(supervisor.Config{Logger: slog.New(log)},
				supervisor.ChildSpec{ID: "sockets", Service: srv, StartTimeout: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			v := runService(t, sup)

			release := make(chan struct{})
			stuckHandlers := make([]*stuckSocket, 0, 3)
			var stuckPIDs []actor.PID
			handlers := make([]*mixed, 0, n)
			pids := make([]actor.PID, 0, n)
			var frames atomic.Int64
			var peers sync.WaitGroup
			connect := func(h websock.Handler, silent bool) actor.PID {
				server, client := pipe.New(512)
				w := &directWriter{conn: server}
				pid, err := srv.Upgrade(w, goodRequest(), h)
				if err != nil {
					t.Fatal(err)
				}
				peers.Go(func() { bareClient(client, &frames, silent) })
				return pid
			}
			for i := range n {
				m := &mixed{}
				switch i % 100 {
				case 0:
					m.callback = 3 * time.Second
				case 1:
					m.terminate = 4 * time.Second
				case 2:
					m.callback, m.terminate = 3*time.Second, 4*time.Second
				case 3:
					m.panics = test.badly
				}
				handlers = append(handlers, m)
				pids = append(pids, connect(m, test.badly && i%100 == 4))
			}
			if test.badly {
				for range 3 {
					s := &stuckSocket{release: release}
					stuckHandlers = append(stuckHandlers, s)
					pid := connect(s, false)
					pid.Send("x")
					stuckPIDs = append(stuckPIDs, pid)
				}
			}
			synctest.Wait()
			for i, pid := range pids {
				if handlers[i].callback > 0 {
					pid.Send("work")
				}
			}
			synctest.Wait()
			if got := srv.Count(); got != n+len(stuckHandlers) {
				t.Fatalf("%d sockets, want %d", got, n+len(stuckHandlers))
			}
			v.wantEnd(test.took)
			close(release)
			peers.Wait()

			panicked := 0
			for i, m := range handlers {
				if k := m.terminated.Load(); k != 1 || !errors.Is(m.reason, actor.ErrShutdown) {
					t.Fatalf("socket %d: Terminate was called %d times, with %v, want ErrShutdown once", i, k, m.reason)
				}
				if m.callback > 0 && m.handled.Load() != 1 {
					t.Errorf("socket %d: the callback in flight has not finished", i)
				}
				if m.panics {
					panicked++
				}
			}
			if got := frames.Load(); got != int64(n) {
				t.Errorf("%d Close frames 1001, want %d", got, n)
			}
			if got := srv.Count(); got != 0 {
				t.Errorf("%d sockets are left", got)
			}
			lines := map[string]int{}
			for _, line := range log.all(slog.LevelDebug) {
				lines[line.message]++
				if line.level >= slog.LevelError && line.attrs["pid"].String() == "" && !strings.Contains(line.text, "pid=") {
					t.Errorf("an error without a name: %s", line.text)
				}
			}
			if lines["socket closed"] != n+len(stuckHandlers) {
				t.Errorf("%d lines about closed sockets, want %d", lines["socket closed"], n+len(stuckHandlers))
			}
			for _, pid := range stuckPIDs {
				if len(log.of("a callback does not return; its goroutine is abandoned", pid)) != 1 {
					t.Errorf("stuck socket %v is not named in the log", pid)
				}
			}
			if lines["panic while a process ended"] != panicked {
				t.Errorf("%d lines about panics, want %d", lines["panic while a process ended"], panicked)
			}
			for i, s := range stuckHandlers {
				if s.terminated.Load() {
					t.Errorf("stuck socket %d: Terminate was called", i)
				}
			}
			if t.Failed() {
				t.Logf("log: %v", lines)
			}
		})
	}
}

// stuckSocket never returns from HandleInfo before release.
type stuckSocket struct {
	mixed
	release    chan struct{}
	terminated atomic.Bool
}

func (s *stuckSocket) HandleInfo(context.Context, any) websock.Result {
	<-s.release
	return websock.OK()
}

func (s *stuckSocket) Terminate(context.Context, error) { s.terminated.Store(true) }

// bareClient is the peer of a socket that costs little: it reads the answer to its handshake and small frames, counts the
// Close frames with 1001, and answers them if it is not silent.
func bareClient(conn *pipe.Conn, frames *atomic.Int64, silent bool) {
	defer conn.Close()
	var got []byte
	buf := make([]byte, 256)
	for {
		k, err := conn.Read(buf)
		if err != nil {
			return
		}
		got = append(got, buf[:k]...)
		at := slices.Index(got, '\x88') // the answer to the handshake is ASCII, and so is the text
		if at < 0 || len(got) < at+4 {
			continue
		}
		if string(got[at:at+4]) == closeFrame(1001, "") {
			frames.Add(1)
		}
		if silent {
			time.Sleep(time.Hour)
			return
		}
		conn.Write([]byte{0x88, 0x82, 0, 0, 0, 0, got[at+2], got[at+3]}) // masked, by zeros
	}
}

// What misbehaves at the end of a tree is named in the log, ends within its deadline, and leaves the rest alone.
func TestTree_misbehaviour(t *testing.T) {
	for _, test := range []struct {
		name    string
		handler func(release chan struct{}) *handler
		rude    bool
		took    time.Duration
		message string // of the log line that names it
		level   slog.Level
		closed  bool // it gets its Close frame
	}{
		{"stuck in a callback", func(release chan struct{}) *handler { return stuck(release) }, false, 8 * time.Second,
			"a callback does not return", slog.LevelError, false},
		{"stuck in Terminate", func(release chan struct{}) *handler {
			return &handler{terminate: func(context.Context, error) { <-release }}
		}, false, 8 * time.Second, "a callback does not return", slog.LevelError, true},
		{"a peer that never answers", func(chan struct{}) *handler { return puppet() }, true, 3 * time.Second,
			"socket closed", slog.LevelInfo, true},
		{"a panic in Terminate", func(chan struct{}) *handler {
			return &handler{terminate: func(context.Context, error) { panic("as asked") }}
		}, false, 0, "panic while a process ended", slog.LevelError, true},
		{"a panic in the callback in flight", func(chan struct{}) *handler {
			return &handler{info: func(context.Context, any) websock.Result {
				time.Sleep(time.Second)
				panic("as asked")
			}}
		}, false, time.Second, "socket closed", slog.LevelError, true},
	} {
		bubble(t, test.name, func(t *testing.T) {
			r := serve(t, socket.Config{ShutdownTimeout: 8 * time.Second, CloseTimeout: 3 * time.Second})
			release := make(chan struct{})
			sup, err := supervisor.New(supervisor.Config{Logger: slog.New(r.logs)}, supervisor.ChildSpec{ID: "sockets", Service: r.srv})
			if err != nil {
				t.Fatal(err)
			}
			v := runService(t, sup)
			good := r.peers(20)
			bad := r.read(test.handler(release), !test.rude)
			bad.pid.Send("x")
			synctest.Wait()
			start := time.Now()
			v.wantEnd(test.took)
			for _, p := range good {
				p.wantCode(1001, "")
				if p.closedAt != start {
					t.Errorf("a well-behaved socket was closed after %v, want at once", p.closedAt.Sub(start))
				}
			}
			<-bad.done
			if (bad.code != 0) != test.closed {
				t.Errorf("Close frame: got %d, want one: %v", bad.code, test.closed)
			}
			time.Sleep(time.Second) // until what is stuck has been reported
			close(release)
			synctest.Wait()
			named := false
			for _, line := range r.logs.all(test.level) {
				if strings.Contains(line.message, test.message) && line.attrs["pid"].String() == bad.pid.String() {
					named = true
				}
			}
			if !named {
				t.Errorf("no line %q with its PID in the log:", test.message)
				for _, line := range r.logs.all(slog.LevelDebug) {
					if strings.Contains(line.text, bad.pid.String()) {
						t.Logf("%.300s", line.text)
					}
				}
			}
		})
	}
}

// journal is what has happened, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

// The sockets stand after the HTTP server in the tree, so they are drained while it still answers: the probe says no,
// upgrades get their 503. Then it stops.
func TestTree_drainsBeforeHTTPStops(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		var j journal
		srv, err := socket.New(socket.Config{Logger: quiet, Drain: socket.Drain{
			Delay: 5 * time.Second,
			Over:  2 * time.Second,
			OnProgress: func(p socket.DrainProgress) {
				if p.Stage != socket.DrainClosing {
					j.add("sockets %v, %d left", p.Stage, p.Left)
				}
			},
		}})
		if err != nil {
			t.Fatal(err)
		}
		mux := http.NewServeMux()
		mux.Handle("/ready", socket.Probe(srv.Ready))
		mux.Handle("/ws", srv.Handler(func(*http.Request) (websock.Handler, error) { return echo(), nil }))
		ln := pipe.NewListener()
		web := supervisor.HTTP(&http.Server{Handler: mux}, func(context.Context) (net.Listener, error) { return ln, nil })
		sup, err := supervisor.New(supervisor.Config{Logger: quiet, OnEvent: func(e supervisor.Event) {
			if e.Kind == supervisor.EventExited {
				j.add("%s exited: %v", e.Child, e.ExitKind)
			}
		}},
			supervisor.ChildSpec{ID: "http", Service: web},
			supervisor.ChildSpec{ID: "sockets", Service: srv, StartTimeout: time.Second},
		)
		if err != nil {
			t.Fatal(err)
		}
		v := runService(t, sup)
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return ln.Dial(ctx)
		}}}
		probe := func(want int) {
			t.Helper()
			resp, err := client.Get("http://memory/ready")
			if err != nil {
				t.Fatalf("probe: %v", err)
			}
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("probe: got %d, want %d", resp.StatusCode, want)
			}
		}
		upgrade := func(want int) *rawclient.Client {
			t.Helper()
			conn, err := ln.Dial(context.Background())
			if err != nil {
				t.Fatalf("dial: %v", err)
			}
			t.Cleanup(func() { conn.Close() })
			c, resp, err := rawclient.Handshake(conn, rawclient.HandshakeOptions{Path: "/ws"})
			if err != nil || resp.StatusCode != want {
				t.Fatalf("upgrade: got %+v, %v, want %d", resp, err, want)
			}
			return c
		}
		probe(200)
		var closes sync.WaitGroup
		for range 4 {
			c := upgrade(101)
			closes.Go(func() { readAll(c); c.Conn().Close() })
		}
		synctest.Wait() // after its 101 a socket is added
		v.stop(nil)
		synctest.Wait()
		probe(503)
		upgrade(503)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if _, resp := upgrade(503), srv.Count(); resp != 3 {
			t.Errorf("%d sockets after the first step, want 3", resp)
		}
		probe(503)
		<-v.done
		if v.err != nil {
			t.Errorf("Serve: %v", v.err)
		}
		closes.Wait()
		want := []string{"sockets delaying, 4 left", "sockets waiting, 1 left", "sockets done, 0 left", "sockets exited: shutdown", "http exited: shutdown"}
		j.lines[1] = strings.Replace(j.lines[1], "waiting, 0", "waiting, 1", 1) // the last may be gone already
		if !slices.Equal(j.lines, want) {
			t.Errorf("order:\ngot  %q\nwant %q", j.lines, want)
		}
		if _, err := ln.Dial(context.Background()); err == nil {
			t.Error("HTTP still listens")
		}
	})
}

// A supervisor gives the sockets the time they ask for, and warns when its spec gives less.
func TestTree_shutdownTime(t *testing.T) {
	drain := socket.Drain{Delay: 5 * time.Second, Over: -1, Timeout: 5 * time.Second} // ShutdownTime: 11 s
	for _, test := range []struct {
		name     string
		shutdown time.Duration
		warns    bool
		left     bool
		took     time.Duration
	}{
		{"what they ask for", 0, false, false, 10 * time.Second},
		{"as much", 11 * time.Second, false, false, 10 * time.Second},
		{"no limit", supervisor.Infinity, false, false, 10 * time.Second},
		{"less, by the second that remains", 11*time.Second - 1, true, false, 10 * time.Second},
		{"less", 7 * time.Second, true, true, 7 * time.Second},
		{"none", supervisor.Kill, true, false, 250 * time.Millisecond}, // for the Close frame
	} {
		bubble(t, test.name, func(t *testing.T) {
			r := serve(t, socket.Config{Drain: drain, CloseTimeout: time.Hour})
			var warnings []supervisor.Event
			sup, err := supervisor.New(supervisor.Config{Logger: quiet, OnEvent: func(e supervisor.Event) {
				if e.Kind == supervisor.EventWarning {
					warnings = append(warnings, e)
				}
			}}, supervisor.ChildSpec{ID: "sockets", Service: r.srv, Shutdown: test.shutdown})
			if err != nil {
				t.Fatal(err)
			}
			if (len(warnings) > 0) != test.warns || (test.warns && (warnings[0].Child != "sockets" || !strings.Contains(warnings[0].Reason.Error(), "11s"))) {
				t.Errorf("warnings: got %v, want one about sockets that ask for 11s: %v", warnings, test.warns)
			}
			p := r.rudePeer(puppet())
			v := runService(t, sup)
			start := time.Now()
			v.stop(nil)
			<-v.done
			if d := v.end.Sub(start); d != test.took {
				t.Errorf("the tree has ended after %v, want %v", d, test.took)
			}
			var left *supervisor.AbandonedError
			if errors.As(v.err, &left) != test.left || (v.err != nil) != test.left {
				t.Errorf("Serve of the tree: got %v, want the sockets left behind: %v", v.err, test.left)
			}
			// Left behind, the drain goes on to its own end.
			time.Sleep(11*time.Second - test.took)
			synctest.Wait()
			<-p.done
			if n := r.srv.Count(); n != 0 {
				t.Errorf("%d sockets are left behind the drain's time", n)
			}
		})
	}
}
