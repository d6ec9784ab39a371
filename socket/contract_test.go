package socket_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

// reasonIs and the like check an exit reason; they say what is wrong with it, or nothing.
type reasonCheck func(reason error) string

func reasonIs(target error) reasonCheck {
	return func(reason error) string {
		if !errors.Is(reason, target) {
			return fmt.Sprintf("got %v, want errors.Is %v", reason, target)
		}
		return ""
	}
}

func reasonIsNot(target error) reasonCheck {
	return func(reason error) string {
		if errors.Is(reason, target) {
			return fmt.Sprintf("got %v, want it not to be errors.Is %v", reason, target)
		}
		return ""
	}
}

func reasonAs[E error](check ...func(E) bool) reasonCheck {
	return func(reason error) string {
		e, ok := errors.AsType[E](reason)
		if !ok {
			return fmt.Sprintf("got %T %v, want a %v", reason, reason, reflect.TypeFor[E]())
		}
		for _, f := range check {
			if !f(e) {
				return fmt.Sprintf("got the %T %+v, not the right one", e, e)
			}
		}
		return ""
	}
}

func reasonAll(checks ...reasonCheck) reasonCheck {
	return func(reason error) string {
		for _, f := range checks {
			if problem := f(reason); problem != "" {
				return problem
			}
		}
		return ""
	}
}

// protocolError is the breach of a rule that is answered with this code.
func protocolError(code websock.CloseCode) reasonCheck {
	return reasonAs(func(e *websock.ProtocolError) bool { return e.Code == code })
}

var errAbnormal = errors.New("abnormal")

// column is one callback of the matrix: how its call comes about.
type column struct {
	name  string
	drive func(c *client)
}

var columns = [4]column{
	{"Init", func(*client) {}},
	{"HandleIn", func(c *client) { c.must(c.Text("OK")) }},
	{"HandleControl", func(c *client) {
		c.must(c.Ping([]byte("OK")))
		c.want(pongFrame("OK"))
	}},
	{"HandleInfo", func(c *client) { c.pid.Send("OK") }},
}

// drivenHandler returns result from one callback, and marks its state before. A text "dump" is answered with the state.
type drivenHandler struct {
	controlHandler
	column string
	result func(ctx context.Context) websock.Result
	state  string // of the handler; only its callbacks touch it
	seen   string // the state that Terminate has seen
}

func newDriven(column string, result func(ctx context.Context) websock.Result) *drivenHandler {
	h := &drivenHandler{column: column, result: result, state: "new"}
	drive := func(ctx context.Context, name string) websock.Result {
		if name != h.column {
			return websock.OK()
		}
		h.state = "driven"
		return h.result(ctx)
	}
	h.init = func(ctx context.Context) websock.Result { return drive(ctx, "Init") }
	h.in = func(ctx context.Context, msg websock.Message) websock.Result {
		if string(msg.Data) == "dump" {
			return websock.Push(websock.Text(h.state))
		}
		return drive(ctx, "HandleIn")
	}
	h.control = func(ctx context.Context, _ websock.Message) websock.Result { return drive(ctx, "HandleControl") }
	h.info = func(ctx context.Context, _ any) websock.Result { return drive(ctx, "HandleInfo") }
	h.terminate = func(context.Context, error) { h.seen = h.state }
	return h
}

// resultRow is one row of the matrix: what a callback returns, and what follows from it in every column.
type resultRow struct {
	name   string
	result func() websock.Result
	frames []string // before the Close frame
	close  string   // "": the socket carries on
	reason reasonCheck
	level  slog.Level // of the line about the closed socket
	panics bool       // so Terminate does not run when it was Init
}

func returns(r websock.Result) func() websock.Result { return func() websock.Result { return r } }

var first, second = websock.Text("first"), websock.Text("second")

var resultRows = []resultRow{
	{name: "OK", result: returns(websock.OK())},
	{name: "Push of nothing", result: returns(websock.Push())},
	{name: "Push of an empty slice", result: returns(websock.Result{Push: []websock.Message{}})},
	{name: "Push text", // and {:reply, ...}
		result: returns(websock.Push(websock.Text("TEXT"))), frames: []string{"\x81\x04TEXT"}},
	{name: "Push binary",
		result: returns(websock.Push(websock.Binary([]byte("BINARY")))), frames: []string{"\x82\x06BINARY"}},
	{name: "Push ping",
		result: returns(websock.Push(websock.Ping([]byte("PING")))), frames: []string{"\x89\x04PING"}},
	{name: "Push pong",
		result: returns(websock.Push(websock.Pong([]byte("PONG")))), frames: []string{"\x8a\x04PONG"}},
	{name: "Push pong and text",
		result: returns(websock.Push(websock.Pong([]byte("PONG")), websock.Text("TEXT"))),
		frames: []string{"\x8a\x04PONG", "\x81\x04TEXT"}},
	{name: "Push with nil Data",
		result: returns(websock.Push(websock.Message{Opcode: websock.OpText}, websock.Binary(nil), websock.Ping(nil), websock.Pong(nil))),
		frames: []string{"\x81\x00", "\x82\x00", "\x89\x00", "\x8a\x00"}},

	{name: "Stop(ErrNormal)",
		result: returns(websock.Stop(websock.ErrNormal)), close: "\x88\x02\x03\xe8",
		reason: reasonIs(websock.ErrNormal), level: slog.LevelInfo},
	{name: "Stop(abnormal)",
		result: returns(websock.Stop(errAbnormal)), close: "\x88\x02\x03\xf3",
		reason: reasonIs(errAbnormal), level: slog.LevelError},
	{name: "Close(4555)",
		result: returns(websock.Close(4555, "")), close: "\x88\x02\x11\xcb",
		reason: reasonAll(reasonIs(websock.ErrNormal), reasonAs(func(e *websock.CloseError) bool { return e.Code == 4555 })),
		level:  slog.LevelInfo},
	{name: "Close(4555, last...)",
		result: returns(websock.Close(4555, "", first, second)),
		frames: []string{"\x81\x05first", "\x81\x06second"}, close: "\x88\x02\x11\xcb",
		reason: reasonAs[*websock.CloseError](), level: slog.LevelInfo},
	{name: "Close with one last message",
		result: returns(websock.Close(4555, "", first)), frames: []string{"\x81\x05first"}, close: "\x88\x02\x11\xcb",
		reason: reasonAs[*websock.CloseError](), level: slog.LevelInfo},
	{name: "Stop(ErrIgnore)",
		result: returns(websock.Stop(actor.ErrIgnore)), close: "\x88\x02\x03\xe8",
		reason: reasonAll(reasonIs(actor.ErrIgnore), reasonIs(websock.ErrNormal)), level: slog.LevelInfo},
	{name: "Stop(ErrRestart)",
		result: returns(websock.Stop(websock.ErrRestart)), close: "\x88\x02\x03\xf4",
		reason: reasonAll(reasonIs(websock.ErrRestart), reasonIs(websock.ErrNormal)), level: slog.LevelInfo},
	{name: "Stop(ErrShutdown)",
		result: returns(websock.Stop(websock.ErrShutdown)), close: "\x88\x02\x03\xe9",
		reason: reasonIs(websock.ErrShutdown), level: slog.LevelInfo},
	{name: "Stop(ErrOverload)",
		result: returns(websock.Stop(websock.ErrOverload)), close: "\x88\x02\x03\xf5",
		reason: reasonIs(websock.ErrOverload), level: slog.LevelInfo},
	{name: "Stop(ErrTimeout)",
		result: returns(websock.Stop(websock.ErrTimeout)), close: "\x88\x02\x03\xea",
		reason: reasonIs(websock.ErrTimeout), level: slog.LevelInfo},
	{name: "Stop(ErrRemote)",
		result: returns(websock.Stop(websock.ErrRemote)), close: "\x88\x02\x03\xf3",
		reason: reasonIs(websock.ErrRemote), level: slog.LevelInfo},
	{name: "Stop of an error that wraps ErrNormal",
		result: returns(websock.Stop(fmt.Errorf("done: %w", websock.ErrNormal))), close: "\x88\x02\x03\xe8",
		reason: reasonIs(websock.ErrNormal), level: slog.LevelInfo},
	{name: "Push and Stop in one Result",
		result: returns(websock.Result{Push: []websock.Message{first}, Stop: errAbnormal}),
		frames: []string{"\x81\x05first"}, close: "\x88\x02\x03\xf3", reason: reasonIs(errAbnormal), level: slog.LevelError},
	{name: "Close BOOM",
		result: returns(websock.Close(4555, "BOOM")), close: "\x88\x06\x11\xcbBOOM",
		reason: reasonAs(func(e *websock.CloseError) bool { return e.Code == 4555 && e.Reason == "BOOM" }), level: slog.LevelInfo},
	{name: "Close BOOM with last messages",
		result: returns(websock.Close(4555, "BOOM", first, second)),
		frames: []string{"\x81\x05first", "\x81\x06second"}, close: "\x88\x06\x11\xcbBOOM",
		reason: reasonAs[*websock.CloseError](), level: slog.LevelInfo},
	{name: "Stop of a CloseError with BOOM",
		result: returns(websock.Stop(&websock.CloseError{Code: 4555, Reason: "BOOM"})), close: "\x88\x06\x11\xcbBOOM",
		reason: reasonAll(reasonIs(websock.ErrNormal), reasonAs[*websock.CloseError]()), level: slog.LevelInfo},
	{name: "Stop of an error that wraps a CloseError with a cause",
		result: returns(websock.Stop(fmt.Errorf("kick: %w", &websock.CloseError{Code: 4001, Reason: "bye", Err: errAbnormal}))),
		close:  "\x88\x05\x0f\xa1bye",
		reason: reasonAll(reasonIs(errAbnormal), reasonIsNot(websock.ErrNormal), reasonAs[*websock.CloseError]()),
		level:  slog.LevelError},
	{name: "Stop of a CloseError without a code, with a cause",
		result: returns(websock.Stop(&websock.CloseError{Reason: "back soon", Err: websock.ErrRestart})),
		close:  "\x88\x0b\x03\xf4back soon", reason: reasonIs(websock.ErrRestart), level: slog.LevelInfo},
	{name: "Stop of a CloseError around a panic of an Async",
		result: returns(websock.Stop(&websock.CloseError{Code: 4500, Reason: "sorry", Err: &actor.PanicError{Value: "boom"}})),
		close:  "\x88\x07\x11\x94sorry", reason: reasonAs[*actor.PanicError](), level: slog.LevelError},
	{name: "StopWith(boom, 4001 bye)",
		result: returns(websock.StopWith(errAbnormal, websock.CloseDetail{Code: 4001, Reason: "bye"}, first, second)),
		frames: []string{"\x81\x05first", "\x81\x06second"}, close: "\x88\x05\x0f\xa1bye",
		reason: reasonIs(errAbnormal), level: slog.LevelError},
	{name: "StopWith(ErrShutdown, 1001)",
		result: returns(websock.StopWith(websock.ErrShutdown, websock.CloseDetail{Code: 1001})), close: "\x88\x02\x03\xe9",
		reason: reasonIs(websock.ErrShutdown), level: slog.LevelInfo},
	{name: "StopWith without a code",
		result: returns(websock.StopWith(websock.ErrRestart, websock.CloseDetail{Reason: "deploy"})),
		close:  "\x88\x08\x03\xf4deploy", reason: reasonIs(websock.ErrRestart), level: slog.LevelInfo},
	{name: "StopWith overrides a CloseError",
		result: returns(websock.StopWith(&websock.CloseError{Code: 4001, Reason: "a"}, websock.CloseDetail{Code: 4002, Reason: "b"})),
		close:  "\x88\x03\x0f\xa2b", reason: reasonAs[*websock.CloseError](), level: slog.LevelInfo},
	{name: "a close reason of 123 bytes",
		result: returns(websock.Close(1000, strings.Repeat("é", 61)+"x")),
		close:  closeFrame(1000, strings.Repeat("é", 61)+"x"), reason: reasonIs(websock.ErrNormal), level: slog.LevelInfo},

	{name: "panic",
		result: func() websock.Result { panic("boom") }, close: "\x88\x02\x03\xf3",
		reason: reasonAs(func(e *actor.PanicError) bool {
			return e.Value == "boom" && strings.Contains(string(e.Stack), "contract_test.go")
		}),
		level: slog.LevelError, panics: true},
	{name: "panic with an error that is ErrNormal",
		result: func() websock.Result { panic(websock.ErrNormal) }, close: "\x88\x02\x03\xf3",
		reason: reasonAll(reasonAs[*actor.PanicError](), reasonIsNot(websock.ErrNormal)), level: slog.LevelError, panics: true},
	{name: "panic with a CloseError",
		result: func() websock.Result { panic(&websock.CloseError{Code: 4001}) }, close: "\x88\x02\x03\xf3",
		reason: reasonAs[*actor.PanicError](), level: slog.LevelError, panics: true},
	{name: "runtime.Goexit",
		result: func() websock.Result { runtime.Goexit(); return websock.OK() }, close: "\x88\x02\x03\xf3",
		reason: reasonAs[*actor.PanicError](), level: slog.LevelError, panics: true},

	// 264, 265. None of it reaches the wire, and nothing that stands before it in the Result.
	illegal("text that is not UTF-8", websock.Push(first, websock.Text("\xff"))),
	illegal("ping of 126 bytes", websock.Push(first, websock.Ping(make([]byte, 126)))),
	illegal("pong of 126 bytes", websock.Push(first, websock.Pong(make([]byte, 126)))),
	illegal("opcode of a Close frame", websock.Push(first, websock.Message{Opcode: 8})),
	illegal("unknown opcode", websock.Push(first, websock.Message{Opcode: 3})),
	illegal("no opcode", websock.Push(first, websock.Message{})),
	illegal("Close without Stop", websock.Result{Push: []websock.Message{first}, Close: websock.CloseDetail{Code: 1000}}),
	illegal("code 5555", websock.Close(5555, "", first)),
	illegal("code 1005", websock.Close(1005, "", first)),
	illegal("code 1006", websock.StopWith(websock.ErrNormal, websock.CloseDetail{Code: 1006}, first)),
	illegal("close reason of 124 bytes", websock.Close(4000, strings.Repeat("x", 124), first)),
	illegal("close reason that is not UTF-8", websock.Close(4000, "\xc3", first)),
	illegal("CloseError with code 5555", websock.Stop(&websock.CloseError{Code: 5555})),
	illegal("CloseError with a reason of 124 bytes", websock.Stop(fmt.Errorf("x: %w", &websock.CloseError{Code: 4000, Reason: strings.Repeat("x", 124)}))),
	illegal("nil CloseError", websock.Stop((*websock.CloseError)(nil))),
}

func illegal(name string, r websock.Result) resultRow {
	return resultRow{name: "illegal: " + name, result: returns(r), close: "\x88\x02\x03\xf3",
		reason: reasonAs[*websock.ResultError](), level: slog.LevelError}
}

// 177-248, 259-266: every Result from every callback.
func TestHandler_everyResultFromEveryCallback(t *testing.T) {
	for _, row := range resultRows {
		t.Run(row.name, func(t *testing.T) {
			for _, col := range columns {
				bubble(t, col.name, func(t *testing.T) { testResult(t, row, col) })
			}
		})
	}
}

func testResult(t *testing.T, row resultRow, col column) {
	r := serve(t, socket.Config{})
	h := newDriven(col.name, func(context.Context) websock.Result { return row.result() })
	c := r.dial(h)
	col.drive(c)
	if row.close == "" {
		c.want(row.frames...)
		c.must(c.Text("dump"))
		c.want(textFrame("driven"))
		if got := r.logs.all(slog.LevelInfo); len(got) != 0 {
			t.Errorf("the log of a socket that carries on: got %v, want nothing", got)
		}
		return
	}
	c.wantEnd(append(slices.Clone(row.frames), row.close)...)

	// No callback but Terminate after the stop, whatever comes; 290.
	synctest.Wait()
	before := h.log()
	c.pid.Send("late")
	c.must(c.Text("late"))
	c.must(c.Ping([]byte("late")))
	c.must(c.Close(1000, ""))
	closed := c.end()
	if got := h.log(); !slices.Equal(got, before) {
		t.Errorf("callbacks after the stop: got %q, want none", got[len(before):])
	}
	wantTerminated := 1
	if row.panics && col.name == "Init" {
		wantTerminated = 0
	}
	reasons := h.terminated()
	if len(reasons) != wantTerminated {
		t.Fatalf("Terminate was called with %v, want %d calls", reasons, wantTerminated)
	}
	for _, reason := range reasons {
		if problem := row.reason(reason); problem != "" {
			t.Errorf("Terminate: %s", problem)
		}
		if h.seen != "driven" {
			t.Errorf("Terminate has seen the state %q, want that of the last callback, %q", h.seen, "driven")
		}
	}
	if problem := row.reason(closed.Reason); problem != "" {
		t.Errorf("Closed.Reason: %s", problem)
	}
	if closed.Sent == nil || closeFrame(int(closed.Sent.Code), closed.Sent.Reason) != row.close {
		t.Errorf("Closed.Sent = %+v, want what stands in % x", closed.Sent, row.close)
	}
	if closed.Received == nil || *closed.Received != (websock.CloseDetail{Code: 1000}) {
		t.Errorf("Closed.Received = %+v, want 1000", closed.Received)
	}
	wantOneLine(t, r, c.pid, row.level)
	if row.panics {
		line := r.logs.of("socket closed", c.pid)[0]
		if !strings.Contains(line.attrs["stack"].String(), "contract_test.go") {
			t.Errorf("the log of a panic has no stack: %s", line.text)
		}
	}
}

// wantOneLine wants exactly one line about a socket, its closing one, and of that level.
func wantOneLine(t *testing.T, r *rig, pid actor.PID, level slog.Level) {
	t.Helper()
	lines := r.logs.of("socket closed", pid)
	if len(lines) != 1 || lines[0].level != level {
		t.Errorf("lines %q about the closed socket: got %+v, want one at %v", "socket closed", lines, level)
	}
	for _, l := range r.logs.all(slog.LevelInfo) {
		if l.message != "socket closed" {
			t.Errorf("one more line in the log: %s", l.text)
		}
	}
}
