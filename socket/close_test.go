package socket_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// closeRow is one row of the close table: a cause, and what the peer, Terminate, OnClose and the log get.
type closeRow struct {
	name     string
	cfg      socket.Config
	deflate  bool
	buffer   int // of each direction of the connection; 0: 64 KiB
	cause    func(t *testing.T, c *client)
	close    string                        // the Close frame; "": none, and the stream just ends
	read     func(t *testing.T, c *client) // how the peer reads, where it is not this one frame
	reason   reasonCheck                   // of Closed.Reason
	down     reasonCheck                   // of a monitor's Down; nil: the same
	killed   bool                          // Terminate does not run
	received *websock.CloseDetail          // in Closed
	level    slog.Level
	more     int // lines in the log besides that about the closed socket
}

func exits(reason error) func(*testing.T, *client) {
	return func(t *testing.T, c *client) {
		if !c.pid.Exit(reason) {
			t.Errorf("Exit(%v) says that there is no such process", reason)
		}
	}
}

func sends(p ...byte) func(*testing.T, *client) {
	return func(_ *testing.T, c *client) { c.must(c.WriteBytes(p)) }
}

func writes(f ...rawclient.Frame) func(*testing.T, *client) {
	return func(_ *testing.T, c *client) { c.must(c.Write(f...)) }
}

func unread(*testing.T, *client) {} // the peer is gone or does not read

func detail(code websock.CloseCode, text string) *websock.CloseDetail {
	return &websock.CloseDetail{Code: code, Reason: text}
}

func remoteClose(code websock.CloseCode, text string) reasonCheck {
	return reasonAll(reasonIs(websock.ErrRemote), reasonAs(func(e *websock.RemoteCloseError) bool {
		return e.Code == code && e.Reason == text
	}))
}

func lost(cause error) reasonCheck { return reasonAll(reasonIs(websock.ErrRemote), reasonIs(cause)) }

// blockUntil makes the socket's process wait in HandleInfo, on a worker, and returns what lets it go.
func blockUntil(c *client, then websock.Result) (release func()) {
	synctest.Wait() // until the reader waits for bytes
	ch, in := make(chan struct{}), make(chan struct{})
	c.pid.Send(do(func(context.Context) websock.Result { close(in); <-ch; return then }))
	<-in
	return func() { close(ch) }
}

var closeRows = []closeRow{
	// The peer's Close: 271, 278, 283, 284, 285.
	{name: "peer's Close 1000", cause: func(_ *testing.T, c *client) { c.must(c.Close(1000, "")) },
		close: "\x88\x02\x03\xe8", reason: remoteClose(1000, ""), received: detail(1000, ""), level: slog.LevelInfo},
	{name: "peer's Close with a reason, which is not echoed",
		cause: func(_ *testing.T, c *client) { c.must(c.Close(4000, "test-close")) },
		close: "\x88\x02\x0f\xa0", reason: remoteClose(4000, "test-close"), received: detail(4000, "test-close"), level: slog.LevelInfo},
	{name: "peer's empty Close", cause: func(_ *testing.T, c *client) { c.must(c.CloseEmpty()) },
		close: "\x88\x00", reason: remoteClose(1005, ""), received: detail(1005, ""), level: slog.LevelInfo},
	{name: "peer's Close between fragments",
		cause: writes(rawclient.Frame{Opcode: 1, Payload: []byte("half")}, rawclient.Frame{Fin: true, Opcode: 8, Payload: rawclient.ClosePayload(1001, "")}),
		close: "\x88\x02\x03\xe9", reason: remoteClose(1001, ""), received: detail(1001, ""), level: slog.LevelInfo},
	// 288.
	{name: "peer's Close of one byte", cause: writes(rawclient.Frame{Fin: true, Opcode: 8, Payload: []byte{3}}),
		close: "\x88\x02\x03\xea", reason: protocolError(1002), level: slog.LevelInfo},
	{name: "peer's Close with a reason that is not UTF-8",
		cause: writes(rawclient.Frame{Fin: true, Opcode: 8, Payload: rawclient.ClosePayload(1000, "\xff")}),
		close: "\x88\x02\x03\xef", reason: protocolError(1007), level: slog.LevelInfo},
	{name: "peer's Close of 126 bytes",
		cause: writes(rawclient.Frame{Fin: true, Opcode: 8, Payload: rawclient.ClosePayload(1000, strings.Repeat("x", 124))}),
		close: "\x88\x02\x03\xea", reason: protocolError(1002), level: slog.LevelInfo},

	// The transport: 272, 282.
	{name: "TCP closed by the peer", cause: func(_ *testing.T, c *client) { c.conn.Close() },
		read: unread, reason: lost(io.EOF), level: slog.LevelDebug},
	{name: "TCP half closed by the peer", cause: func(_ *testing.T, c *client) { c.conn.CloseWrite() },
		reason: lost(io.EOF), level: slog.LevelDebug},
	{name: "TCP closed inside a frame", cause: func(_ *testing.T, c *client) {
		c.must(c.WriteBytes([]byte{0x81, 0x85, 1}))
		c.conn.CloseWrite()
	}, reason: reasonIs(websock.ErrRemote), level: slog.LevelDebug},
	{name: "TCP closed inside a message", cause: func(_ *testing.T, c *client) {
		c.must(c.Write(rawclient.Frame{Opcode: 1, Payload: []byte("half")}))
		c.conn.CloseWrite()
	}, reason: reasonIs(websock.ErrRemote), level: slog.LevelDebug},
	{name: "TCP reset by the peer", cause: func(_ *testing.T, c *client) { c.conn.Reset() },
		read: unread, reason: lost(syscall.ECONNRESET), level: slog.LevelDebug},
	{name: "WriteTimeout", cfg: socket.Config{WriteTimeout: time.Second}, buffer: 1024,
		cause: func(_ *testing.T, c *client) { c.pid.Send(websock.Binary(make([]byte, 5000))) },
		read:  unread, reason: lost(os.ErrDeadlineExceeded), level: slog.LevelDebug},
	{name: "WriteTimeout inside a callback that pushes more than is buffered", cfg: socket.Config{WriteTimeout: time.Second}, buffer: 1024,
		cause: func(_ *testing.T, c *client) { c.pid.Send(websock.Binary(make([]byte, 500_000))) },
		read:  unread, reason: lost(os.ErrDeadlineExceeded), level: slog.LevelDebug},
	{name: "write failure with a Stop in the same Result", cfg: socket.Config{WriteTimeout: time.Second}, buffer: 1024,
		cause: func(_ *testing.T, c *client) {
			c.pid.Send(do(func(context.Context) websock.Result {
				return websock.Close(1000, "", websock.Binary(make([]byte, 500_000)))
			}))
		},
		read: unread, reason: lost(os.ErrDeadlineExceeded), level: slog.LevelDebug},

	// Shutdown: 270, 329.
	{name: "Server.Shutdown", cause: func(t *testing.T, c *client) {
		go c.rig.srv.Shutdown(context.Background())
	}, close: "\x88\x02\x03\xe9", reason: reasonIs(websock.ErrShutdown), level: slog.LevelInfo},
	{name: "System.Shutdown", cause: func(t *testing.T, c *client) {
		go c.rig.sys.Shutdown(context.Background())
	}, close: "\x88\x02\x03\xe9", reason: reasonIs(websock.ErrShutdown), level: slog.LevelInfo},

	// Silence: 273, 293.
	{name: "IdleTimeout", cause: func(*testing.T, *client) {}, cfg: socket.Config{PingInterval: -1},
		close: "\x88\x02\x03\xea", reason: reasonIs(websock.ErrTimeout), level: slog.LevelInfo},
	{name: "IdleTimeout with a Close frame of our own", cause: func(*testing.T, *client) {},
		cfg:   socket.Config{PingInterval: -1, IdleClose: websock.CloseDetail{Code: 4000, Reason: "idle"}},
		close: "\x88\x06\x0f\xa0idle", reason: reasonIs(websock.ErrTimeout), level: slog.LevelInfo},
	{name: "MessageTimeout", cause: sends(0x81, 0x85, 1, 2, 3), cfg: socket.Config{PingInterval: -1, MessageTimeout: time.Second},
		close: "\x88\x02\x03\xea", reason: reasonIs(websock.ErrTimeout), level: slog.LevelInfo},
	{name: "Stop(ErrTimeout) with a Close frame of our own",
		cause: func(_ *testing.T, c *client) {
			c.pid.Send(do(func(context.Context) websock.Result { return websock.Stop(websock.ErrTimeout) }))
		},
		cfg:   socket.Config{IdleClose: websock.CloseDetail{Code: 4000, Reason: "idle"}},
		close: "\x88\x06\x0f\xa0idle", reason: reasonIs(websock.ErrTimeout), level: slog.LevelInfo},
	{name: "StopWith(ErrTimeout) and a reason",
		cause: func(_ *testing.T, c *client) {
			c.pid.Send(do(func(context.Context) websock.Result {
				return websock.StopWith(websock.ErrTimeout, websock.CloseDetail{Reason: "late"})
			}))
		},
		cfg:   socket.Config{IdleClose: websock.CloseDetail{Code: 4000, Reason: "idle"}},
		close: "\x88\x06\x0f\xa0late", reason: reasonIs(websock.ErrTimeout), level: slog.LevelInfo},

	// Breaches.
	{name: "unmasked frame", cause: sends(0x81, 0x00),
		close: "\x88\x02\x03\xea", reason: protocolError(1002), level: slog.LevelInfo},
	{name: "RSV2", cause: writes(rawclient.Frame{Fin: true, RSV: rawclient.RSV2, Opcode: 1}), // 304, 305
		close: "\x88\x02\x03\xea", reason: protocolError(1002), level: slog.LevelInfo},
	{name: "text that is not UTF-8", cause: writes(rawclient.Frame{Fin: true, Opcode: 1, Payload: []byte("\xff")}),
		close: "\x88\x02\x03\xef", reason: protocolError(1007), level: slog.LevelInfo},
	{name: "message too big", cause: writes(rawclient.Frame{Fin: true, Opcode: 1, Payload: make([]byte, 11)}), cfg: socket.Config{MaxMessageSize: 10},
		close: "\x88\x02\x03\xf1", reason: protocolError(1009), level: slog.LevelInfo},
	{name: "bad deflate data", deflate: true, cfg: socket.Config{Compression: socket.Compression{On: true}},
		cause: writes(rawclient.Frame{Fin: true, RSV: rawclient.RSV1, Opcode: 2, Payload: []byte{0xff, 0xff, 0xff}}),
		close: "\x88\x02\x03\xef", reason: protocolError(1007), level: slog.LevelInfo},
	{name: "breach after a frame, which is handled first",
		cause: writes(rawclient.Frame{Fin: true, Opcode: 1, Payload: []byte("a")}, rawclient.Frame{Fin: true, Opcode: 3}),
		read:  func(_ *testing.T, c *client) { c.wantEnd(textFrame("a"), "\x88\x02\x03\xea") },
		close: "\x88\x02\x03\xea", reason: protocolError(1002), level: slog.LevelInfo},

	// Overload.
	{name: "mailbox over its limit during a slow callback", cfg: socket.Config{MailboxLimit: 10},
		cause: func(t *testing.T, c *client) {
			release := blockUntil(c, websock.OK())
			for i := range 11 {
				if got := c.pid.Send(i); got != (i < 10) {
					t.Errorf("Send number %d: got %v", i+1, got)
				}
			}
			release()
		},
		close: "\x88\x02\x03\xf5", reason: reasonIs(websock.ErrOverload), level: slog.LevelInfo},
	{name: "mailbox over its limit with a peer that does not read", cfg: socket.Config{MailboxLimit: 10}, buffer: 1024,
		cause: func(_ *testing.T, c *client) {
			for range 50 {
				c.pid.Send(websock.Binary(make([]byte, 1000)))
				synctest.Wait()
			}
		}, read: unread, reason: reasonIs(websock.ErrOverload), level: slog.LevelInfo},
	{name: "mailbox over its limit with a peer that does not read large messages", cfg: socket.Config{MailboxLimit: 10}, buffer: 1024,
		cause: func(_ *testing.T, c *client) {
			for range 50 {
				c.pid.Send(websock.Binary(make([]byte, 100_000)))
				synctest.Wait()
			}
		}, read: unread, reason: reasonIs(websock.ErrOverload), level: slog.LevelInfo},
	{name: "mailbox over its limit with a peer that reads in time", cfg: socket.Config{MailboxLimit: 10}, buffer: 1024,
		cause: func(_ *testing.T, c *client) {
			for range 12 {
				c.pid.Send(websock.Binary(make([]byte, 2000)))
				synctest.Wait()
			}
		},
		read: func(t *testing.T, c *client) {
			time.Sleep(time.Second)
			for {
				f, err := c.ReadFrame()
				if err != nil || f.Opcode == rawclient.OpClose {
					if string(f.Raw) != "\x88\x02\x03\xf5" {
						t.Errorf("the last frame: got %v, %v, want Close 1013", f, err)
					}
					return
				}
			}
		},
		close: "\x88\x02\x03\xf5", reason: reasonIs(websock.ErrOverload), level: slog.LevelInfo},

	// PID.Exit: as Stop.
	{name: "Exit(ErrNormal)", cause: exits(websock.ErrNormal),
		close: "\x88\x02\x03\xe8", reason: reasonIs(websock.ErrNormal), level: slog.LevelInfo},
	{name: "Exit(ErrRestart)", cause: exits(websock.ErrRestart),
		close: "\x88\x02\x03\xf4", reason: reasonIs(websock.ErrRestart), level: slog.LevelInfo},
	{name: "Exit(ErrShutdown)", cause: exits(websock.ErrShutdown),
		close: "\x88\x02\x03\xe9", reason: reasonIs(websock.ErrShutdown), level: slog.LevelInfo},
	{name: "Exit(ErrOverload)", cause: exits(websock.ErrOverload),
		close: "\x88\x02\x03\xf5", reason: reasonIs(websock.ErrOverload), level: slog.LevelInfo},
	{name: "Exit(ErrTimeout)", cause: exits(websock.ErrTimeout), cfg: socket.Config{IdleClose: websock.CloseDetail{Code: 4000, Reason: "idle"}},
		close: "\x88\x06\x0f\xa0idle", reason: reasonIs(websock.ErrTimeout), level: slog.LevelInfo},
	{name: "Exit(ErrRemote)", cause: exits(websock.ErrRemote),
		close: "\x88\x02\x03\xf3", reason: reasonIs(websock.ErrRemote), level: slog.LevelInfo},
	{name: "Exit(CloseError)", cause: exits(&websock.CloseError{Code: 4001, Reason: "signed in elsewhere"}),
		close: closeFrame(4001, "signed in elsewhere"), reason: reasonAll(reasonIs(websock.ErrNormal), reasonAs[*websock.CloseError]()), level: slog.LevelInfo},
	{name: "Exit of an error that wraps a CloseError", cause: exits(fmt.Errorf("kick: %w", &websock.CloseError{Code: 4001})),
		close: closeFrame(4001, ""), reason: reasonAs[*websock.CloseError](), level: slog.LevelInfo},
	{name: "Exit of any other error", cause: exits(errAbnormal),
		close: "\x88\x02\x03\xf3", reason: reasonIs(errAbnormal), level: slog.LevelError},
	{name: "Exit of a PanicError", cause: exits(&actor.PanicError{Value: "x"}),
		close: "\x88\x02\x03\xf3", reason: reasonAs[*actor.PanicError](), level: slog.LevelError},
	{name: "Exit of a CloseError that cannot be sent", cause: exits(&websock.CloseError{Code: 5555}),
		close: "\x88\x02\x03\xf3", reason: reasonAs[*websock.ResultError](), down: reasonAs[*websock.CloseError](), level: slog.LevelError},
	{name: "Exit of a CloseError with a reason that is not UTF-8", cause: exits(&websock.CloseError{Code: 4000, Reason: "\xff"}),
		close: "\x88\x02\x03\xf3", reason: reasonAs[*websock.ResultError](), down: reasonAs[*websock.CloseError](), level: slog.LevelError},
	{name: "Exit(ErrKilled)", cause: exits(actor.ErrKilled), // 357
		reason: reasonIs(actor.ErrKilled), killed: true, level: slog.LevelError},
	{name: "Exit of an error that wraps ErrKilled", cause: exits(fmt.Errorf("by the operator: %w", actor.ErrKilled)),
		reason: reasonIs(actor.ErrKilled), killed: true, level: slog.LevelError},

	// The exit reasons of other sockets say nothing about this peer, and get no Close frame of theirs.
	{name: "Stop(*RemoteCloseError) of another socket", cause: stopsLike(func(c *client) { c.must(c.Close(4000, "bye")) }),
		close: "\x88\x02\x03\xf3", reason: remoteClose(4000, "bye"), level: slog.LevelInfo},
	{name: "Stop(lost) of another socket", cause: stopsLike(func(c *client) { c.conn.Close() }),
		close: "\x88\x02\x03\xf3", reason: lost(io.EOF), level: slog.LevelInfo},
	{name: "Stop(*ProtocolError) of another socket", cause: stopsLike(func(c *client) { c.must(c.WriteBytes([]byte{0x81, 0})) }),
		close: "\x88\x02\x03\xf3", reason: protocolError(1002), level: slog.LevelInfo},
	{name: "Stop(ErrKilled) of another socket", cause: stopsLike(func(c *client) { c.pid.Exit(actor.ErrKilled) }),
		close: "\x88\x02\x03\xf3", reason: reasonIs(actor.ErrKilled), level: slog.LevelError},
}

// stopsLike makes a second socket on the same server, ends it, and has the first one stop for its exit reason.
func stopsLike(end func(c *client)) func(*testing.T, *client) {
	return func(t *testing.T, c *client) {
		other := c.rig.dial(&handler{})
		watching := make(chan struct{})
		reason := make(chan error, 1)
		c.pid.Send(do(func(ctx context.Context) websock.Result {
			actor.Async(ctx, func(context.Context) (any, error) { r, err := actor.Wait(ctx, other.pid); reason <- r; return nil, err })
			close(watching)
			return websock.OK()
		}))
		<-watching
		synctest.Wait()
		end(other)
		r := <-reason
		c.pid.Send(do(func(context.Context) websock.Result { return websock.Stop(r) }))
	}
}

// The table of docs/reference/close-codes.md, row by row.
func TestClose_table(t *testing.T) {
	for _, row := range closeRows {
		bubble(t, row.name, func(t *testing.T) { testClose(t, row) })
	}
}

// play ends the socket, and reads what its peer gets.
func (row closeRow) play(t *testing.T, c *client) {
	row.cause(t, c)
	switch {
	case row.read != nil:
		row.read(t, c)
	case row.close != "":
		c.wantEnd(row.close)
	default:
		c.wantEnd()
	}
}

func testClose(t *testing.T, row closeRow) {
	r := serve(t, row.cfg)
	r.ln.Buffer = row.buffer
	h := puppet()
	c := r.dialWith(h, rawclient.HandshakeOptions{Deflate: row.deflate})
	synctest.Wait() // the reader waits for bytes
	row.play(t, c)
	closed := c.end()
	if problem := row.reason(closed.Reason); problem != "" {
		t.Errorf("Closed.Reason: %s", problem)
	}
	got := ""
	if closed.Sent != nil {
		code := closed.Sent.Code
		if code == websock.CloseNoStatus {
			code = 0
		}
		got = closeFrame(int(code), closed.Sent.Reason)
	}
	if got != row.close {
		t.Errorf("Closed.Sent = %+v, want what stands in % x", closed.Sent, row.close)
	}
	if (closed.Received == nil) != (row.received == nil) || row.received != nil && *closed.Received != *row.received {
		t.Errorf("Closed.Received = %+v, want %+v", closed.Received, row.received)
	}
	reasons := h.terminated()
	switch {
	case row.killed:
		if len(reasons) != 0 {
			t.Errorf("Terminate was called with %v, want no call", reasons)
		}
	case len(reasons) != 1:
		t.Errorf("Terminate was called with %v, want one call", reasons)
	default:
		if problem := row.reason(reasons[0]); problem != "" {
			t.Errorf("Terminate: %s", problem)
		}
	}
	lines := r.logs.of("socket closed", c.pid)
	if len(lines) != 1 || lines[0].level != row.level {
		t.Errorf("lines about the closed socket: got %+v, want one at %v", lines, row.level)
	}
	more := 0
	for _, l := range r.logs.all(slog.LevelInfo) {
		if l.message != "socket closed" {
			more++
		}
	}
	if more != row.more {
		t.Errorf("%d more lines in the log, want %d: %+v", more, row.more, r.logs.all(slog.LevelInfo))
	}
	if c.pid.Alive() || c.pid.Send("x") {
		t.Errorf("the process is alive when OnClose is called")
	}
}

// 285, 286, 287: which codes a peer may close with. 1012-1014, which Bandit answers with 1002, are registered, and legal.
func TestClose_codesOfThePeer(t *testing.T) {
	legal := []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999}
	illegal := []int{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 5555, 65535}
	for _, code := range slices.Concat(legal, illegal) {
		bubble(t, fmt.Sprint(code), func(t *testing.T) {
			h := puppet()
			c := serve(t, socket.Config{}).dial(h)
			c.must(c.Close(uint16(code), "because"))
			if slices.Contains(legal, code) {
				c.wantEnd(closeFrame(code, ""))
				if problem := remoteClose(websock.CloseCode(code), "because")(c.end().Reason); problem != "" {
					t.Error(problem)
				}
				return
			}
			c.wantEnd(closeFrame(1002, ""))
			if problem := protocolError(1002)(c.end().Reason); problem != "" {
				t.Error(problem)
			}
		})
	}
}

// 280, 281: TCP stays open for the peer's Close, for CloseTimeout and not longer. The process does not wait for it, which
// is a difference: it is gone when Terminate has returned.
func TestClose_waitsForThePeersClose(t *testing.T) {
	for _, tt := range []struct {
		name    string
		timeout time.Duration
		answer  func(c *client)
		want    time.Duration
	}{
		{"the peer answers after 10 ms", 0, func(c *client) { time.Sleep(10 * time.Millisecond); c.must(c.Close(1000, "")) }, 10 * time.Millisecond},
		{"the peer closes TCP after 10 ms", 0, func(c *client) { time.Sleep(10 * time.Millisecond); c.conn.Close() }, 10 * time.Millisecond},
		{"the peer says nothing", 0, func(*client) {}, 5 * time.Second},
		{"the peer says nothing, CloseTimeout 1 s", time.Second, func(*client) {}, time.Second},
		{"the peer sends on and on", 0, func(c *client) {
			for range 1000 {
				time.Sleep(10 * time.Millisecond)
				if c.Text("more") != nil {
					return
				}
			}
		}, 5 * time.Second},
		{"CloseTimeout off", -1, func(*client) {}, 0},
	} {
		bubble(t, tt.name, func(t *testing.T) {
			r := serve(t, socket.Config{CloseTimeout: tt.timeout})
			h := puppet()
			var over time.Time
			c := r.dial(h)
			start := time.Now()
			c.pid.Exit(websock.ErrNormal)
			c.wantEnd(closeFrame(1000, ""))
			synctest.Wait()
			if c.pid.Alive() {
				t.Errorf("the process waits for the peer's Close")
			}
			if n := len(h.terminated()); n != 1 {
				t.Errorf("Terminate was called %d times before the peer's Close, want once", n)
			}
			done := make(chan struct{})
			go func() { c.end(); over = time.Now(); close(done) }()
			tt.answer(c)
			<-done
			if got := over.Sub(start); got != tt.want {
				t.Errorf("TCP was open for %v, want %v", got, tt.want)
			}
			if _, err := r.srv.Info(c.pid); !errors.Is(err, actor.ErrNoProcess) || r.srv.Count() != 0 {
				t.Errorf("after OnClose: Info says %v, Count %d; want ErrNoProcess, 0", err, r.srv.Count())
			}
		})
	}
}

// While the wire waits, the socket is still in Sockets.
func TestClose_socketIsListedUntilTCPIsClosed(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{})
		c := r.dial(puppet())
		c.pid.Exit(websock.ErrNormal)
		c.wantEnd(closeFrame(1000, ""))
		synctest.Wait()
		info, err := r.srv.Info(c.pid)
		if err != nil || info.PID != c.pid || r.srv.Count() != 1 {
			t.Errorf("Info: got %+v, %v, Count %d, want the socket and 1", info, err, r.srv.Count())
		}
		for pid := range r.srv.Sockets() {
			if pid != c.pid {
				t.Errorf("Sockets yields %v, want %v", pid, c.pid)
			}
		}
	})
}

// 289: what follows the peer's Close is ignored.
func TestClose_nothingIsReadAfterThePeersClose(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		h := &controlHandler{}
		r := serve(t, socket.Config{})
		c := r.dial(h)
		c.must(c.Write(
			rawclient.Frame{Fin: true, Opcode: rawclient.OpClose, Payload: rawclient.ClosePayload(1001, "a")},
			rawclient.Frame{Fin: true, Opcode: rawclient.OpText, Payload: []byte("x")},
			rawclient.Frame{Fin: true, Opcode: rawclient.OpPing},
			rawclient.Frame{Fin: true, Opcode: rawclient.OpClose, Payload: rawclient.ClosePayload(4000, "b")},
			rawclient.Frame{Opcode: 15},
		))
		c.wantEnd(closeFrame(1001, ""))
		c.conn.CloseWrite()
		closed := c.end()
		if want := []string{"init", "terminate"}; !slices.Equal(h.log(), want) {
			t.Errorf("callbacks: got %q, want %q", h.log(), want)
		}
		if problem := remoteClose(1001, "a")(closed.Reason); problem != "" {
			t.Error(problem)
		}
	})
}

// 290: after our Close nothing is written and no callback runs; the matrix shows the callbacks.
func TestClose_nothingIsWrittenAfterIt(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{})
		h := &controlHandler{}
		release := make(chan struct{})
		h.terminate = func(ctx context.Context, _ error) { <-release }
		h.in = func(context.Context, websock.Message) websock.Result { return websock.Close(1000, "") }
		c := r.dial(h)
		c.must(c.Text("stop"))
		c.want(closeFrame(1000, ""))
		if c.pid.Send(websock.Text("late")) { // nothing is taken from the decision on
			t.Error("Send says true while Terminate runs")
		}
		c.must(c.Text("late"))
		c.must(c.Ping(nil))
		synctest.Wait()
		close(release)
		c.wantEnd()
		c.must(c.Close(1000, ""))
		if closed := c.end(); closed.Dropped != 1 {
			t.Errorf("Closed.Dropped = %d, want 1", closed.Dropped)
		}
	})
}

// When the peer's Close was read before ours is written, and nothing after it, TCP is closed at once: there is nothing to
// wait for.
func TestClose_afterThePeersHasBeenRead(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		c := serve(t, socket.Config{}).dial(puppet())
		release := blockUntil(c, websock.Close(4000, ""))
		c.must(c.Close(1000, ""))
		synctest.Wait()
		began := time.Now()
		release()
		c.want(closeFrame(4000, ""))
		c.end()
		if d := time.Since(began); d != 0 {
			t.Errorf("TCP was closed after %v, want at once", d)
		}
	})
}

// 291: both sides close at once: each sees one Close, Terminate runs once.
func TestClose_bothSidesAtOnce(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{})
		h := puppet()
		c := r.dial(h)
		release := blockUntil(c, websock.Close(4001, "us"))
		c.must(c.Close(4002, "them"))
		synctest.Wait()
		release()
		c.wantEnd(closeFrame(4001, "us"))
		closed := c.end()
		if problem := reasonAs(func(e *websock.CloseError) bool { return e.Code == 4001 })(closed.Reason); problem != "" {
			t.Error(problem)
		}
		if len(h.terminated()) != 1 {
			t.Errorf("Terminate: got %v, want one call", h.terminated())
		}
		if closed.Sent == nil || closed.Sent.Code != 4001 || closed.Received == nil || closed.Received.Code != 4002 {
			t.Errorf("Closed: sent %+v, received %+v; want 4001 and 4002", closed.Sent, closed.Received)
		}
	})
}

// A Close frame reaches a peer that has sent what nobody will read: no RST takes it away.
func TestClose_unreadBytesDoNotTakeTheFrameAway(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{MaxMessageSize: 10})
		c := r.dial(puppet())
		go c.Write(rawclient.Frame{Fin: true, Opcode: rawclient.OpBinary, Payload: make([]byte, 1<<20)})
		time.Sleep(time.Second)
		c.wantEnd(closeFrame(1009, ""))
		c.conn.Close()
		c.end()
	})
}

// An error's text never goes to the peer, whatever ends the socket.
func TestClose_noErrorTextOnTheWire(t *testing.T) {
	secret := errors.New("secret")
	for name, cause := range map[string]func(c *client){
		"Stop":       func(c *client) { c.pid.Send(do(func(context.Context) websock.Result { return websock.Stop(secret) })) },
		"Exit":       func(c *client) { c.pid.Exit(secret) },
		"panic":      func(c *client) { c.pid.Send(do(func(context.Context) websock.Result { panic(secret) })) },
		"CloseError": func(c *client) { c.pid.Exit(&websock.CloseError{Code: 1011, Err: secret}) },
	} {
		bubble(t, name, func(t *testing.T) {
			c := serve(t, socket.Config{}).dial(puppet())
			cause(c)
			c.wantEnd(closeFrame(1011, ""))
		})
	}
}

// brokenError is an exit reason whose methods panic.
type brokenError struct{}

func (brokenError) Error() string { panic("Error") }
func (brokenError) Is(error) bool { panic("Is") }

// An exit reason is an error of the application's, whose methods may do anything; that must not end the program.
func TestClose_reasonWhoseMethodsPanic(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{})
		h := puppet()
		c, other := r.dial(h), r.dial(echo())
		c.pid.Send(do(func(context.Context) websock.Result { return websock.Stop(brokenError{}) }))
		c.end()
		other.must(other.Text("still here"))
		other.want(textFrame("still here"))
	})
}
