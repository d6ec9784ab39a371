package socket_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

func TestNew_refusesWhatCannotBeCarriedOut(t *testing.T) {
	tests := []struct {
		name string
		cfg  socket.Config
		want string // in the error; "": none
	}{
		{"zero", socket.Config{}, ""},
		{"everything off", socket.Config{MaxMessageSize: -1, IdleTimeout: -1, PingInterval: -1, MessageTimeout: -1, WriteTimeout: -1,
			CloseTimeout: -1, ShutdownTimeout: -1, Compression: socket.Compression{Threshold: -1}}, ""},
		{"pattern", socket.Config{OriginPatterns: []string{"ok.example", "[a"}}, "Config.OriginPatterns"},
		{"empty pattern", socket.Config{OriginPatterns: []string{""}}, "Config.OriginPatterns"},
		{"MaxSockets", socket.Config{MaxSockets: -1}, "Config.MaxSockets -1"},
		{"level -1", socket.Config{Compression: socket.Compression{Level: -1}}, "Config.Compression.Level -1"},
		{"level 10", socket.Config{Compression: socket.Compression{Level: 10}}, "Config.Compression.Level 10"},
		{"mailbox", socket.Config{MailboxLimit: -1}, "Config.MailboxLimit"},
		{"IdleClose code", socket.Config{IdleClose: websock.CloseDetail{Code: 1006}}, "Config.IdleClose"},
		{"IdleClose without code", socket.Config{IdleClose: websock.CloseDetail{Reason: "bye"}}, "Config.IdleClose"},
		{"IdleClose reason", socket.Config{IdleClose: websock.CloseDetail{Code: 4000, Reason: strings.Repeat("x", 124)}}, "Config.IdleClose"},
		{"IdleClose not UTF-8", socket.Config{IdleClose: websock.CloseDetail{Code: 4000, Reason: "\xff"}}, "Config.IdleClose"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, err := socket.New(test.cfg)
			if test.want == "" {
				if err != nil {
					t.Fatalf("New(%+v): got %v, want no error", test.cfg, err)
				}
				if err := s.Shutdown(t.Context()); err != nil {
					t.Errorf("Shutdown: %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("New(%+v): got error %v, want one that names %s", test.cfg, err, test.want)
			}
		})
	}
}

// Inventory 308 to 316, as far as they apply: what ConnInfo and Closed say.
func TestServer_Info(t *testing.T) {
	bubble(t, "fields", func(t *testing.T) {
		start := time.Now()
		proceed := make(chan struct{})
		hd := &controlHandler{}
		hd.init = func(ctx context.Context) websock.Result {
			actor.SetLabel(ctx, "user 7")
			return websock.OK()
		}
		hd.in = func(_ context.Context, m websock.Message) websock.Result { return websock.Push(m) }
		hd.info = func(context.Context, any) websock.Result { <-proceed; return websock.OK() }
		h := memorySite(t, socket.Config{Subprotocols: []string{"v2"}, Compression: socket.Compression{On: true}, PingInterval: 10 * time.Second},
			func() websock.Handler { return hd })
		time.Sleep(time.Second)
		c := h.connect(rawclient.HandshakeOptions{Deflate: true, Header: http.Header{"Sec-WebSocket-Protocol": {"v2"}}})
		synctest.Wait()
		pid := h.idOf()
		get := func() socket.ConnInfo {
			t.Helper()
			synctest.Wait()
			info, err := h.srv.Info(pid)
			if err != nil {
				t.Fatalf("Info: %v", err)
			}
			return info
		}
		info := get()
		if info.PID != pid || info.Label != "user 7" || info.Subprotocol != "v2" || !info.Compressed {
			t.Errorf("got %+v, want PID %v, label user 7, subprotocol v2, compressed", info, pid)
		}
		if info.RemoteAddr == nil || info.RemoteAddr.String() != c.Conn().LocalAddr().String() {
			t.Errorf("RemoteAddr: got %v, want %v", info.RemoteAddr, c.Conn().LocalAddr())
		}
		if !info.Since.Equal(start.Add(time.Second)) || !info.LastRead.IsZero() || !info.LastWrite.IsZero() || info.RTT != 0 {
			t.Errorf("times of a new socket: got %+v", info)
		}

		time.Sleep(time.Second) // inventory 309
		c.Text("1234")
		wantMessage(t, c, rawclient.OpText, "1234")
		c.Binary([]byte("12345"))
		wantMessage(t, c, rawclient.OpBinary, "12345")
		c.Ping([]byte("123456"))
		wantMessage(t, c, rawclient.OpPong, "123456")
		c.Pong([]byte("1234567"))
		c.Write(compressed(rawclient.OpText, thousandA)) // 316: once, as on the wire
		f, err := c.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		echoed := int64(len(f.Payload))
		c.Write(part(1, "ab"), part(0, "cd"), msg(0, "ef"))
		wantMessage(t, c, rawclient.OpText, "abcdef")
		info = get()
		wantRead := socket.Counts{Text: socket.FrameCount{Frames: 3, Bytes: 4 + 11 + 2}, Binary: socket.FrameCount{Frames: 1, Bytes: 5},
			Continuation: socket.FrameCount{Frames: 2, Bytes: 4}, Ping: socket.FrameCount{Frames: 1, Bytes: 6}, Pong: socket.FrameCount{Frames: 1, Bytes: 7}}
		wantWritten := socket.Counts{Text: socket.FrameCount{Frames: 3, Bytes: 4 + echoed + 6}, Binary: socket.FrameCount{Frames: 1, Bytes: 5},
			Pong: socket.FrameCount{Frames: 1, Bytes: 6}}
		if info.Read != wantRead || info.Written != wantWritten {
			t.Errorf("counts:\ngot  %+v\n     %+v\nwant %+v\n     %+v", info.Read, info.Written, wantRead, wantWritten)
		}
		if want := start.Add(2 * time.Second); !info.LastRead.Equal(want) || !info.LastWrite.Equal(want) {
			t.Errorf("LastRead %v, LastWrite %v, want %v", info.LastRead, info.LastWrite, want)
		}

		op, p, err := c.ReadMessage() // ours, behind 10 s of silence
		if op != rawclient.OpPing || err != nil || !coarse(time.Since(start)-2*time.Second, 10*time.Second) {
			t.Fatalf("got opcode %d, %v, after %v, want a ping behind 12s", op, err, time.Since(start))
		}
		time.Sleep(30 * time.Millisecond)
		c.Pong(p)
		if info = get(); info.RTT != 30*time.Millisecond || info.Written.Ping.Frames != 1 {
			t.Errorf("RTT: got %v, %d pings, want 30ms, 1", info.RTT, info.Written.Ping.Frames)
		}

		pid.Send("block")
		synctest.Wait()
		pid.Send("wait")
		pid.Send("wait")
		if info = get(); info.Mailbox != 2 {
			t.Errorf("Mailbox: got %d, want 2", info.Mailbox)
		}
		close(proceed)
		c.Close(1000, "")
		wantClosed(t, c, 1000)
		c.Conn().Close()
		h.wantEnds(1)
		end := h.ends()[0]
		if end.Read.Close != (socket.FrameCount{Frames: 1, Bytes: 2}) || end.Written.Close != (socket.FrameCount{Frames: 1, Bytes: 2}) ||
			end.Label != "user 7" || end.RTT != 30*time.Millisecond || end.Subprotocol != "v2" || end.RemoteAddr == nil {
			t.Errorf("Closed: got %+v", end)
		}
		if _, err := h.srv.Info(pid); !errors.Is(err, actor.ErrNoProcess) {
			t.Errorf("Info of a closed socket: got %v, want actor.ErrNoProcess", err)
		}
	})
	bubble(t, "of who is no socket of this server", func(t *testing.T) {
		h := memorySite(t, socket.Config{}, func() websock.Handler { return echo() })
		other := newSite(t, socket.Config{System: h.sys})
		other.overMemory(other.sockets(func() websock.Handler { return echo() }))
		other.connect(rawclient.HandshakeOptions{})
		synctest.Wait()
		process, err := h.sys.Spawn(idle{}, actor.SpawnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, pid := range []actor.PID{{}, process, other.idOf()} {
			if info, err := h.srv.Info(pid); !errors.Is(err, actor.ErrNoProcess) || info.PID != (actor.PID{}) {
				t.Errorf("Info(%v): got %+v, %v, want actor.ErrNoProcess", pid, info, err)
			}
		}
		if h.srv.Count() != 0 || other.srv.Count() != 1 {
			t.Errorf("Count: got %d and %d, want 0 and 1", h.srv.Count(), other.srv.Count())
		}
	})
	t.Run("in no callback", func(t *testing.T) {
		defer func() {
			if recover() == nil {
				t.Error("socket.Info(context.Background()): no panic, want one")
			}
		}()
		socket.Info(context.Background())
	})
}

// Inventory 324: Sockets and Count follow the connections; the loop body may do what it likes.
func TestServer_Sockets(t *testing.T) {
	bubble(t, "in, out and in the loop", func(t *testing.T) {
		const n = 200
		h := memorySite(t, socket.Config{}, func() websock.Handler { return echo() })
		clients := map[string]*rawclient.Client{}
		for i := range n {
			c := h.connect(rawclient.HandshakeOptions{})
			clients[c.Conn().LocalAddr().String()] = c
			synctest.Wait()
			if got := h.srv.Count(); got != i+1 {
				t.Fatalf("Count: got %d, want %d", got, i+1)
			}
		}
		seen := map[actor.PID]bool{}
		for pid, info := range h.srv.Sockets() {
			if seen[pid] || info.PID != pid || clients[info.RemoteAddr.String()] == nil {
				t.Errorf("Sockets: got %v, %+v; seen before: %v", pid, info, seen[pid])
			}
			seen[pid] = true
			h.srv.Count()
			if _, err := h.srv.Info(pid); err != nil {
				t.Errorf("Info in the loop: %v", err)
			}
		}
		if len(seen) != n {
			t.Errorf("Sockets: got %d, want %d", len(seen), n)
		}
		for range h.srv.Sockets() {
			break
		}
		ended := 0
		for pid := range h.srv.Sockets() { // ends what it sees
			if ended++; ended > n/2 {
				break
			}
			pid.Exit(actor.ErrKilled)
		}
		h.wantEnds(n / 2)
		if got := h.srv.Count(); got != n/2 {
			t.Errorf("Count: got %d, want %d", got, n/2)
		}
	})
	bubble(t, "a socket counts until its TCP is closed", func(t *testing.T) {
		h := memorySite(t, socket.Config{MaxSockets: 1}, func() websock.Handler { return echo() })
		c := h.connect(rawclient.HandshakeOptions{})
		synctest.Wait()
		pid := h.idOf()
		pid.Exit(actor.ErrNormal)
		synctest.Wait()
		if pid.Alive() || h.srv.Count() != 1 {
			t.Errorf("behind our Close: alive %v, Count %d, want dead and 1", pid.Alive(), h.srv.Count())
		}
		if info, err := h.srv.Info(pid); err != nil || info.PID != pid {
			t.Errorf("Info: got %+v, %v", info, err)
		}
		if resp, _ := h.refused(rawclient.HandshakeOptions{}); resp.StatusCode != 503 {
			t.Errorf("an upgrade: got %d, want 503: the place is not free yet", resp.StatusCode)
		}
		wantClosed(t, c, 1000)
		c.Close(1000, "")
		h.wantEnds(1)
		if n := h.srv.Count(); n != 0 {
			t.Errorf("Count: got %d, want 0", n)
		}
	})
}

// OnClose comes once, behind everything: TCP is closed, the process is dead, the server knows it no more. A panic in it is
// logged and costs nothing.
func TestServer_OnClose(t *testing.T) {
	stuck := make(chan struct{})
	for _, departure := range append(departures[:len(departures):len(departures)], struct {
		name string
		do   func(c *rawclient.Client, pid actor.PID)
	}{"kill inside a callback", func(c *rawclient.Client, pid actor.PID) {
		pid.Send("stuck")
		synctest.Wait()
		pid.Exit(actor.ErrKilled)
	}}) {
		bubble(t, departure.name, func(t *testing.T) {
			stuck = make(chan struct{})
			var h *site
			check := func(cl socket.Closed) {
				if cl.PID.Alive() || cl.PID.Send("x") {
					t.Error("OnClose: the process is alive")
				}
				if _, err := h.srv.Info(cl.PID); err == nil {
					t.Error("OnClose: the server knows the socket")
				}
				if cl.Reason == nil {
					t.Error("OnClose: no exit reason")
				}
				panic("as asked, in OnClose")
			}
			h = memorySite(t, socket.Config{MaxSockets: 1, MailboxLimit: 500, Compression: socket.Compression{On: true}, OnClose: func(cl socket.Closed) { check(cl) }},
				func() websock.Handler { return &stuckLeaver{wait: stuck} })
			c := h.connect(rawclient.HandshakeOptions{Deflate: true})
			synctest.Wait()
			pid := h.idOf()
			departure.do(c, pid)
			c.Conn().Close()
			h.wantEnds(1)
			synctest.Wait()
			if lines := h.logs.of("panic in Config.OnClose", pid); len(lines) != 1 || !strings.Contains(lines[0].text, "as asked, in OnClose") {
				t.Errorf("log: got %+v, want one line with the panic", lines)
			}
			check = func(socket.Closed) {}
			// The place is free.
			c = h.connect(rawclient.HandshakeOptions{})
			wantEcho(t, c, "hello")
			goodbye(t, c)
			h.wantEnds(2)
			close(stuck)
		})
	}
}

// stuckLeaver is a leaver whose HandleInfo blocks when it is told to.
type stuckLeaver struct {
	leaver
	wait chan struct{}
}

func (l *stuckLeaver) HandleInfo(_ context.Context, msg any) websock.Result {
	if msg == "stuck" {
		<-l.wait
	}
	return websock.OK()
}

// Inventory 319, 329 to 331: every socket gets 1001 and says goodbye, all at once.
func TestServer_Shutdown(t *testing.T) {
	bubble(t, "330 1,000 sockets", func(t *testing.T) {
		const n = 1000
		var terminated atomic.Int64
		h := memorySite(t, socket.Config{}, func() websock.Handler {
			return &handler{terminate: func(_ context.Context, reason error) {
				if errors.Is(reason, websock.ErrShutdown) {
					terminated.Add(1)
				}
			}}
		})
		var polite int
		for i := range n {
			c := h.connect(rawclient.HandshakeOptions{})
			if i%10 != 0 { // the tenth never answers
				polite++
				background(t, func() {
					op, p, err := c.ReadMessage()
					if op != rawclient.OpClose || codeOf(p) != 1001 || err != nil {
						t.Errorf("got opcode %d, %q, %v, want Close 1001", op, p, err)
					}
					c.Close(1001, "")
					if _, err := c.ReadFrame(); !errors.Is(err, io.EOF) {
						t.Errorf("behind the Close: got %v, want io.EOF", err)
					}
				})
			}
		}
		synctest.Wait()
		start := time.Now()
		if err := h.srv.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if d := time.Since(start); d != 5*time.Second {
			t.Errorf("took %v, want CloseTimeout, 5s: the sockets are waited for together", d)
		}
		if got := terminated.Load(); got != n {
			t.Errorf("Terminate with ErrShutdown: %d times, want %d", got, n)
		}
		h.wantEnds(n)
		h.wantEmpty()
	})
	bubble(t, "331 while a callback runs", func(t *testing.T) {
		proceed := make(chan struct{})
		hd := &handler{in: func(_ context.Context, m websock.Message) websock.Result {
			<-proceed
			return websock.Push(m)
		}}
		h := memorySite(t, socket.Config{}, func() websock.Handler { return hd })
		c := h.connect(rawclient.HandshakeOptions{})
		c.Text("last")
		synctest.Wait()
		background(t, func() {
			time.Sleep(3 * time.Second)
			close(proceed)
		})
		background(t, func() {
			wantMessage(t, c, rawclient.OpText, "last")
			wantClosed(t, c, 1001)
			c.Close(1001, "")
		})
		start := time.Now()
		if err := h.srv.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("took %v, want 3s", d)
		}
		if got := hd.terminated(); len(got) != 1 || !errors.Is(got[0], websock.ErrShutdown) {
			t.Errorf("Terminate: got %v, want ErrShutdown once", got)
		}
	})
	for _, own := range []bool{false, true} {
		bubble(t, fmt.Sprintf("321 ctx is done, own System %v", own), func(t *testing.T) {
			stuck := make(chan struct{})
			cfg := socket.Config{ShutdownTimeout: time.Hour, CloseTimeout: time.Hour}
			h := memorySite(t, cfg, func() websock.Handler {
				return &handler{in: func(context.Context, websock.Message) websock.Result { <-stuck; return websock.OK() }}
			})
			srv := h.srv
			if own {
				var err error
				if srv, err = socket.New(socket.Config{ShutdownTimeout: time.Hour, CloseTimeout: time.Hour, Logger: slog.New(h.logs)}); err != nil {
					t.Fatal(err)
				}
				h.srv = srv
				h.overMemory(h.sockets(func() websock.Handler {
					return &handler{in: func(context.Context, websock.Message) websock.Result { <-stuck; return websock.OK() }}
				}))
			}
			var clients []*rawclient.Client
			for i := range 7 { // three are stuck in a callback, the others wait for their peer's Close
				c := h.connect(rawclient.HandshakeOptions{})
				if i < 3 {
					c.Text("stuck")
				}
				clients = append(clients, c)
			}
			synctest.Wait()
			cause := errors.New("no more patience")
			ctx, cancel := context.WithCancelCause(context.Background())
			defer cancel(nil)
			time.AfterFunc(10*time.Second, func() { cancel(cause) })
			start := time.Now()
			err := srv.Shutdown(ctx)
			if d := time.Since(start); d != 10*time.Second {
				t.Errorf("took %v, want 10s", d)
			}
			if err == nil || !strings.Contains(err.Error(), "7 sockets killed") || !errors.Is(err, cause) {
				t.Errorf("Shutdown: got error %v, want one that says 7 sockets killed and wraps the cause", err)
			}
			for i, c := range clients {
				f, err := c.ReadFrame()
				if i < 3 && err == nil {
					t.Errorf("client %d, stuck: got %v, want no frame", i, f)
				}
				if i >= 3 {
					if err != nil || f.Opcode != rawclient.OpClose || codeOf(f.Payload) != 1001 {
						t.Errorf("client %d: got %v, %v, want Close 1001", i, f, err)
					}
					_, err = c.ReadFrame()
				}
				if err == nil || errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("client %d: TCP is open", i)
				}
			}
			close(stuck)
			synctest.Wait()
			if n := srv.Count(); n != 0 {
				t.Errorf("Count: got %d, want 0", n)
			}
			if err := srv.Shutdown(context.Background()); err != nil {
				t.Errorf("a later Shutdown: %v", err)
			}
		})
	}
	bubble(t, "without sockets, and again", func(t *testing.T) {
		h := newSite(t, socket.Config{})
		for range 3 {
			if err := h.srv.Shutdown(t.Context()); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		}
		done, cancel := context.WithCancel(t.Context())
		cancel()
		if err := h.srv.Shutdown(done); err != nil {
			t.Errorf("Shutdown of what is over, with a ctx that is done: %v", err)
		}
	})
}

// Shutdowns and upgrades at once: who has got a 101 before gets its 1001, who comes later gets 503, nobody is forgotten.
func TestServer_Shutdown_whileUpgrading(t *testing.T) {
	for round := range 30 {
		h := memorySite(t, socket.Config{CloseTimeout: 10 * time.Millisecond}, func() websock.Handler { return echo() })
		var wg sync.WaitGroup
		var sockets, refused atomic.Int64
		for range 40 {
			wg.Go(func() {
				c, resp, err := h.shake(rawclient.HandshakeOptions{})
				switch {
				case c != nil:
					sockets.Add(1)
					op, p, err := c.ReadMessage()
					if op != rawclient.OpClose || codeOf(p) != 1001 || err != nil {
						t.Errorf("got opcode %d, %q, %v, want Close 1001", op, p, err)
					}
					c.Conn().Close()
				case err != nil || resp.StatusCode != 503:
					t.Errorf("got %+v, %v, want 101 or 503", resp, err)
				default:
					refused.Add(1)
				}
			})
		}
		for i := range 3 {
			wg.Go(func() {
				for int(sockets.Load()+refused.Load()) < round { // so that each round cuts elsewhere
					h.yield()
				}
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				if err := h.srv.Shutdown(ctx); err != nil {
					t.Errorf("Shutdown %d: %v", i, err)
				}
				if n := h.srv.Count(); n != 0 {
					t.Errorf("Shutdown %d has returned with %d sockets", i, n)
				}
			})
		}
		wg.Wait()
		h.wantEnds(int(sockets.Load()))
		h.wantEmpty()
		if t.Failed() {
			return
		}
	}
}

// An upgrade that has its place, and whose 101 is being written while Shutdown begins, is ended by it.
func TestServer_Shutdown_inTheMiddleOfAnUpgrade(t *testing.T) {
	bubble(t, "1001", func(t *testing.T) {
		h := newSite(t, socket.Config{})
		shut := make(chan error, 1)
		h.overMemory(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.srv.Upgrade(&doingWriter{w, func() {
				go func() { shut <- h.srv.Shutdown(context.Background()) }()
				synctest.Wait() // it has seen all sockets there are, and waits for this one
			}}, r, echo())
		}))
		c := h.connect(rawclient.HandshakeOptions{})
		wantClosed(t, c, 1001)
		c.Close(1001, "")
		if err := <-shut; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		h.wantEnds(1)
		h.wantEmpty()
	})
}

func TestServer_System(t *testing.T) {
	bubble(t, "own", func(t *testing.T) {
		srv, err := socket.New(socket.Config{Logger: slog.New(new(logs))})
		if err != nil {
			t.Fatal(err)
		}
		if srv.System() == nil {
			t.Fatal("System: got nil")
		}
		pid, err := srv.System().Spawn(idle{}, actor.SpawnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := srv.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if pid.Alive() {
			t.Error("the Server's own System is not shut down with it")
		}
		if _, err := srv.System().Spawn(idle{}, actor.SpawnOptions{}); !errors.Is(err, actor.ErrShutdown) {
			t.Errorf("Spawn behind Shutdown: got %v, want ErrShutdown", err)
		}
	})
	bubble(t, "shared", func(t *testing.T) {
		h := memorySite(t, socket.Config{}, func() websock.Handler { return echo() })
		other := newSite(t, socket.Config{System: h.sys})
		other.overMemory(other.sockets(func() websock.Handler { return echo() }))
		if h.srv.System() != h.sys || other.srv.System() != h.sys {
			t.Error("System: not the one that was given")
		}
		c, o := h.connect(rawclient.HandshakeOptions{}), other.connect(rawclient.HandshakeOptions{})
		background(t, func() { wantClosed(t, c, 1001); c.Close(1001, "") })
		if err := h.srv.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		wantEcho(t, o, "the other server goes on")
		goodbye(t, o)
	})
	bubble(t, "shut down under a running server", func(t *testing.T) {
		h := memorySite(t, socket.Config{}, func() websock.Handler { return echo() })
		for range 10 {
			c := h.connect(rawclient.HandshakeOptions{})
			background(t, func() { wantClosed(t, c, 1001); c.Close(1001, "") })
		}
		synctest.Wait()
		if err := h.sys.Shutdown(t.Context()); err != nil {
			t.Errorf("System.Shutdown: %v", err)
		}
		h.wantEnds(10)
		for _, end := range h.ends() {
			if !errors.Is(end.Reason, websock.ErrShutdown) {
				t.Errorf("exit reason: got %v, want ErrShutdown", end.Reason)
			}
		}
		if resp, body := h.refused(rawclient.HandshakeOptions{}); resp.StatusCode != 503 {
			t.Errorf("an upgrade: got %d %q, want 503", resp.StatusCode, body)
		}
		h.wantEmpty()
		if err := h.srv.Shutdown(t.Context()); err != nil {
			t.Errorf("Server.Shutdown behind it: %v", err)
		}
	})
	bubble(t, "shut down without patience", func(t *testing.T) {
		stuck := make(chan struct{})
		h := memorySite(t, socket.Config{}, func() websock.Handler {
			return &handler{in: func(context.Context, websock.Message) websock.Result { <-stuck; return websock.OK() }}
		})
		c := h.connect(rawclient.HandshakeOptions{})
		c.Text("stuck")
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := h.sys.Shutdown(ctx); err == nil || !strings.Contains(err.Error(), "1 processes killed") {
			t.Errorf("System.Shutdown: got %v, want one that says 1 processes killed", err)
		}
		if f, err := c.ReadFrame(); err == nil {
			t.Errorf("got %v, want TCP closed without a Close frame", f)
		}
		h.wantEnds(1)
		if end := h.ends()[0]; !errors.Is(end.Reason, actor.ErrKilled) || end.Sent != nil {
			t.Errorf("Closed: got %v, %v, want ErrKilled, no Close frame", end.Reason, end.Sent)
		}
		close(stuck)
		if err := h.srv.Shutdown(t.Context()); err != nil {
			t.Errorf("Server.Shutdown behind it: %v", err)
		}
	})
	bubble(t, "shut down while an upgrade is on its way", func(t *testing.T) {
		h := newSite(t, socket.Config{})
		h.overMemory(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.srv.Upgrade(&doingWriter{w, func() {
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				h.sys.Shutdown(ctx)
			}}, r, echo())
		}))
		c := h.connect(rawclient.HandshakeOptions{})
		if f, err := c.ReadFrame(); err == nil {
			t.Errorf("got %v, want TCP closed: its process was killed before it was a socket", f)
		}
		h.wantEnds(1)
		if err := h.srv.Shutdown(t.Context()); err != nil {
			t.Errorf("Server.Shutdown: %v", err)
		}
		h.wantEmpty()
	})
}

// doingWriter does something in the middle of the handshake.
type doingWriter struct {
	http.ResponseWriter
	do func()
}

func (w *doingWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.do()
	return w.ResponseWriter.(http.Hijacker).Hijack()
}
