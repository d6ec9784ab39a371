package socket_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// FuzzServer sends arbitrary bytes after a good handshake. They never panic the server or raise an alarm, what comes back
// is what RFC 6455 allows, and when the client has closed, TCP is closed and no process is left.
func FuzzServer(f *testing.F) {
	frames := func(fs ...rawclient.Frame) []byte { return masked(fs...) }
	for _, seed := range [][]byte{
		nil,
		{0x81},
		{0xff, 0xff},
		{0x81, 0x05},
		frames(text("hello")),
		frames(text("hello"), msg(2, "binary"), msg(9, "ping"), msg(10, "pong")),
		frames(part(1, "a"), msg(9, ""), part(0, ""), msg(0, "b")),
		frames(part(1, "a"), part(1, "b")),
		frames(msg(0, "x")),
		frames(msg(1, "\xe2\x82")),
		frames(msg(8, "")), frames(msg(8, "\x03")), frames(msg(8, "\x03\xe8bye")), frames(msg(8, "\x03\xe8\xff")), frames(msg(8, "\x03\xed")),
		frames(text("a"), msg(8, "\x03\xe8"), text("b")),
		frames(compressed(1, thousandA), compressed(2, nil), compressed(1, []byte{1, 2, 3})),
		frames(rawclient.Frame{RSV: rawclient.RSV1, Opcode: 1, Payload: thousandA[:4]}, msg(0, string(thousandA[4:]))),
		frames(compressed(2, rawclient.Deflate(make([]byte, 1<<20)))),
		header(text(""), 1<<20), header(text(""), 1<<62), header(text(""), 1<<63),
		frames(msg(3, ""), msg(11, "")),
		frames(text("stop")), frames(text("panic")), frames(text("push"), text("push")),
		[]byte(strings.Repeat("\x81\x80\x00\x00\x00\x00", 200)),
	} {
		for kind := range byte(4) {
			f.Add(seed, kind)
		}
	}
	logged := new(logs)
	sys, err := actor.NewSystem(actor.Config{Logger: slog.New(logged)})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { sys.Shutdown(context.Background()) })
	f.Fuzz(func(t *testing.T, stream []byte, kind byte) {
		deflate, halfClose := kind&1 != 0, kind&2 != 0
		alarm := new(logs)
		ended := make(chan socket.Closed, 1)
		h := newSite(t, socket.Config{
			System: sys, MaxMessageSize: 64 << 10, Logger: slog.New(alarm), Compression: socket.Compression{On: true, Threshold: 16},
			OnClose: func(cl socket.Closed) { ended <- cl },
		})
		hd := new(fuzzed)
		ln := pipe.NewListener()
		ln.Buffer = 4 << 20 // all fits, so that nobody waits for anybody
		h.on(ln, h.sockets(func() websock.Handler { return hd }))
		h.dial = func() (net.Conn, error) { return ln.Dial(context.Background()) }
		reader, resp, err := h.shake(rawclient.HandshakeOptions{Deflate: deflate})
		if reader == nil {
			t.Fatalf("handshake: %+v, %v", resp, err)
		}
		client := reader.Conn().(*pipe.Conn)
		client.SetDeadline(time.Now().Add(patience))
		if _, err := client.Write(stream); err != nil && !errors.Is(err, pipe.ErrReset) {
			t.Fatalf("write: %v", err)
		}
		if halfClose {
			client.CloseWrite()
			for { // and what comes back is legal, to the end of the stream
				_, _, err := reader.ReadMessage()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatalf("the server's answer to % x: %v", stream, err)
				}
			}
		}
		if !halfClose {
			client.Close()
		}
		// With half of it closed, the server has closed the other half: nothing is left for the client to do.
		var end socket.Closed
		select {
		case end = <-ended:
		case <-time.After(patience):
			t.Fatalf("% x: the socket has not ended", stream)
		}
		client.Close()
		if living(end.PID) || h.srv.Count() != 0 {
			t.Errorf("% x: a process is left", stream)
		}
		if hd.terminated != 1 {
			t.Errorf("% x: Terminate was called %d times, want once", stream, hd.terminated)
		}
		if err := h.srv.Shutdown(t.Context()); err != nil { // which waits for the log
			t.Errorf("% x: Shutdown: %v", stream, err)
		}
		asked := errors.As(end.Reason, new(*actor.PanicError)) && hd.panicked
		if lines := alarm.all(slog.LevelWarn); len(lines) > 0 && !asked {
			t.Errorf("% x: alarm: %+v", stream, lines)
		}
		if lines := alarm.all(slog.LevelDebug); len(lines) != 1 {
			t.Errorf("% x: log: got %d lines, want one: %+v", stream, len(lines), lines)
		}
	})
}

// fuzzed answers, pushes from elsewhere, stops and panics as its peer asks.
type fuzzed struct {
	terminated int
	panicked   bool
}

func (h *fuzzed) Init(context.Context) websock.Result { return websock.OK() }

func (h *fuzzed) HandleIn(ctx context.Context, m websock.Message) websock.Result {
	switch string(m.Data) {
	case "stop":
		return websock.Close(4000, "stop")
	case "panic":
		h.panicked = true
		panic("as asked")
	case "push":
		actor.Self(ctx).Send(websock.Text("pushed"))
		actor.Self(ctx).Send("info")
	}
	return websock.Push(m)
}

func (h *fuzzed) HandleControl(context.Context, websock.Message) websock.Result {
	return websock.Push(websock.Ping([]byte("control")))
}

func (h *fuzzed) HandleInfo(context.Context, any) websock.Result {
	return websock.Push(websock.Binary([]byte("info")))
}

func (h *fuzzed) Terminate(context.Context, error) { h.terminated++ }
