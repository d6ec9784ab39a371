package socket_test

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
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
		{"pattern with a path", socket.Config{OriginPatterns: []string{"https://a.example/"}}, `"https://a.example/" can never match`},
		{"pattern with a space", socket.Config{OriginPatterns: []string{" a.example"}}, `" a.example" can never match`},
		{"list of patterns", socket.Config{OriginPatterns: []string{"a.example,b.example"}}, `"a.example,b.example" can never match`},
		{"pattern of ours", socket.Config{OriginPatterns: []string{"wss://a.example"}}, `"wss://a.example" can never match`},
		{"list of subprotocols", socket.Config{Subprotocols: []string{"v1, v2"}}, `Config.Subprotocols: handshake: subprotocol "v1, v2"`},
		{"empty subprotocol", socket.Config{Subprotocols: []string{"v1", ""}}, `Config.Subprotocols: handshake: subprotocol ""`},
		{"subprotocol twice", socket.Config{Subprotocols: []string{"v1", "v2", "v1"}}, `subprotocol "v1" is listed twice`},
		{"subprotocols in two cases", socket.Config{Subprotocols: []string{"v1", "V1"}}, ""},
		{"pings as rare as the idle time", socket.Config{PingInterval: 20 * time.Second, IdleTimeout: 20 * time.Second}, "Config.PingInterval 20s is not below IdleTimeout 20s"},
		{"pings as rare as the idle time by default", socket.Config{PingInterval: 60 * time.Second}, "Config.PingInterval 1m0s is not below IdleTimeout 1m0s"},
		{"pings too late for a coarse clock", socket.Config{PingInterval: 19500 * time.Millisecond, IdleTimeout: 20 * time.Second}, "Config.PingInterval 19.5s"},
		{"pings just in time", socket.Config{PingInterval: 19 * time.Second, IdleTimeout: 20 * time.Second}, ""},
		{"no pings", socket.Config{PingInterval: -1, IdleTimeout: 20 * time.Second}, ""},
		{"no idle time", socket.Config{PingInterval: time.Hour, IdleTimeout: -1}, ""},
		{"the shortest idle time", socket.Config{IdleTimeout: 1}, ""},
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

// What ConnInfo and Closed say.
func TestServer_Info(t *testing.T) {
	bubble(t, "a PID from before a restart may have the number of a socket", func(t *testing.T) {
		c := serve(t, socket.Config{}).dial(echo())
		number, _, _ := strings.Cut(c.pid.String(), ".")
		old, err := c.rig.sys.ParsePID(number + ".0123456789abcdef@" + c.pid.Node())
		if err != nil {
			t.Fatal(err)
		}
		if info, err := c.rig.srv.Info(old); !errors.Is(err, actor.ErrNoProcess) {
			t.Errorf("Info(%v) of a server whose socket is %v: %+v, error %v; want ErrNoProcess", old, c.pid, info, err)
		}
	})
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

		time.Sleep(time.Second)
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

		op, p, err := c.ReadMessage() // ours, after 10 s of silence
		if op != rawclient.OpPing || err != nil || !coarse(time.Since(start)-2*time.Second, 10*time.Second) {
			t.Fatalf("got opcode %d, %v, after %v, want a ping after 12s", op, err, time.Since(start))
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
		process, err := h.sys.Spawn(context.Background(), idle{}, actor.SpawnOptions{})
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

// Sockets and Count follow the connections; the loop body may do what it likes.
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
		if living(pid) || h.srv.Count() != 1 {
			t.Errorf("after our Close: alive %v, Count %d, want dead and 1", pid.Alive(), h.srv.Count())
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

// OnClose comes once, after everything: TCP is closed, the process is dead, the server knows it no more. A panic in it is
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
				if living(cl.PID) || cl.PID.Send("x") {
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

func TestServer_System(t *testing.T) {
	bubble(t, "own", func(t *testing.T) {
		srv, err := socket.New(socket.Config{Logger: slog.New(new(logs))})
		if err != nil {
			t.Fatal(err)
		}
		if srv.System() == nil {
			t.Fatal("System: got nil")
		}
		pid, err := srv.System().Spawn(context.Background(), idle{}, actor.SpawnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := srv.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if pid.Alive() {
			t.Error("the Server's own System is not shut down with it")
		}
		if _, err := srv.System().Spawn(context.Background(), idle{}, actor.SpawnOptions{}); !errors.Is(err, actor.ErrShutdown) {
			t.Errorf("Spawn after Shutdown: got %v, want ErrShutdown", err)
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
			t.Errorf("Server.Shutdown after it: %v", err)
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
			t.Errorf("Server.Shutdown after it: %v", err)
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
