package socket_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// wantCounted fails the test unless Stats is what OnClose got, and each line in the log names the same cause. It is called at
// the end of each test with a rig; r.mu is held.
func (r *rig) wantCounted() {
	r.t.Helper()
	want := socket.Stats{Closed: noneClosed(), CloseSent: map[websock.CloseCode]uint64{}, CloseReceived: map[websock.CloseCode]uint64{}}
	class := func(c websock.CloseCode) websock.CloseCode {
		if c >= 3000 && !slices.Contains(r.codes, c) {
			c = c / 1000 * 1000
		}
		return c
	}
	n := uint64(0)
	for pid, all := range r.closed {
		for _, cl := range all {
			n++
			want.Closed[cl.Cause]++
			if cause := socket.CauseOf(soundReason(cl.Reason)); cl.Cause != cause {
				r.t.Errorf("%v has ended with %v: Cause is %v, want %v", pid, cl.Reason, cl.Cause, cause)
			}
			for _, l := range r.logs.of("socket closed", pid) {
				if got := l.attrs["cause"].String(); got != cl.Cause.String() {
					r.t.Errorf("the log line says cause=%s, OnClose got %v", got, cl.Cause)
				}
			}
			if cl.Sent != nil {
				want.CloseSent[class(cl.Sent.Code)]++
			}
			if cl.Received != nil {
				want.CloseReceived[class(cl.Received.Code)]++
			}
			want.Dropped += cl.Dropped
			if cl.Cause == socket.CauseOverload {
				want.Overflowed += cl.Dropped
			}
			addCounts(&want.Read, cl.Read)
			addCounts(&want.Written, cl.Written)
		}
	}
	opened := map[actor.PID]bool{}
	for _, e := range r.events.take() {
		switch e := e.(type) {
		case socket.Opened:
			opened[e.PID] = true
		case socket.Closed:
			if all := r.closed[e.PID]; !opened[e.PID] || len(all) != 1 || all[0].Cause != e.Cause {
				r.t.Errorf("event %+v after Opened: %t; OnClose got %+v", e, opened[e.PID], all)
			}
			delete(opened, e.PID)
		}
	}
	if len(opened) > 0 {
		r.t.Errorf("%d Opened without a Closed: %v", len(opened), opened)
	}
	got := r.srv.Stats()
	if got.Opened != n || got.Open != 0 || got.Asleep != 0 || !maps.Equal(got.Closed, want.Closed) || !maps.Equal(got.CloseSent, want.CloseSent) ||
		!maps.Equal(got.CloseReceived, want.CloseReceived) || got.Dropped != want.Dropped || got.Overflowed != want.Overflowed || got.Read != want.Read || got.Written != want.Written {
		r.t.Errorf("Stats at the end:\ngot  %+v\nwant %+v, %d opened: the sum of what OnClose got", got, want, n)
	}
	wantLifetimes(r.t, got)
}

// noneClosed is Stats.Closed before anything has ended: each of the causes is there.
func noneClosed() map[socket.Cause]uint64 {
	closed := map[socket.Cause]uint64{}
	for cause := socket.CauseNormal; cause <= socket.CauseMaxAge; cause++ {
		closed[cause] = 0
	}
	return closed
}

// soundReason is reason, or an error instead whose methods do nothing odd.
func soundReason(reason error) (sound error) {
	defer func() {
		if recover() != nil {
			sound = errors.New("its methods panic")
		}
	}()
	_ = exit.KindOf(reason)
	return reason
}

func addCounts(sum *socket.Counts, c socket.Counts) {
	for _, f := range []struct{ sum, add *socket.FrameCount }{
		{&sum.Text, &c.Text}, {&sum.Binary, &c.Binary}, {&sum.Continuation, &c.Continuation},
		{&sum.Ping, &c.Ping}, {&sum.Pong, &c.Pong}, {&sum.Close, &c.Close},
	} {
		f.sum.Frames += f.add.Frames
		f.sum.Bytes += f.add.Bytes
	}
}

// wantLifetimes fails the test unless the numbers of a Stats agree with each other.
func wantLifetimes(t testing.TB, st socket.Stats) {
	t.Helper()
	byCause := noneClosed()
	closed := uint64(0)
	for end, h := range st.Lifetimes {
		if len(h.Counts) != len(h.Bounds)+1 {
			t.Errorf("lifetimes of %v: %d buckets for %d bounds", end, len(h.Counts), len(h.Bounds))
		}
		byCause[end.Cause] += h.Count()
		closed += h.Count()
	}
	if !maps.Equal(byCause, st.Closed) {
		t.Errorf("Lifetimes have counted %v, Closed is %v", byCause, st.Closed)
	}
	if st.Opened != closed+uint64(st.Open) {
		t.Errorf("Opened is %d, and there are %d open and %d closed", st.Opened, st.Open, closed)
	}
}

func TestCauseOf(t *testing.T) {
	for _, tt := range []struct {
		reason error
		want   socket.Cause
		text   string
	}{
		{nil, socket.CauseNormal, "normal"},
		{websock.ErrNormal, socket.CauseNormal, "normal"},
		{websock.ErrRestart, socket.CauseNormal, "normal"},
		{&websock.CloseError{Code: 4001}, socket.CauseNormal, "normal"},
		{&websock.RemoteCloseError{Code: 1000}, socket.CauseRemote, "remote"},
		{fmt.Errorf("read: %w: %w", websock.ErrRemote, io.EOF), socket.CauseRemote, "remote"},
		{websock.ErrShutdown, socket.CauseShutdown, "shutdown"},
		{&websock.CloseError{Code: 1012, Err: websock.ErrShutdown}, socket.CauseShutdown, "shutdown"},
		{kinded(exit.Shutdown), socket.CauseShutdown, "shutdown"},
		{websock.ErrTimeout, socket.CauseTimeout, "timeout"},
		{fmt.Errorf("room: %w", websock.ErrOverload), socket.CauseOverload, "overload"},
		{&websock.ProtocolError{Code: 1002}, socket.CauseProtocol, "protocol"},
		{&actor.PanicError{Value: "boom"}, socket.CausePanic, "panic"},
		{fmt.Errorf("callback: %w", &actor.PanicError{Value: websock.ErrNormal}), socket.CausePanic, "panic"},
		{io.EOF, socket.CauseError, "error"},
		{context.DeadlineExceeded, socket.CauseError, "error"},
		{&websock.ResultError{}, socket.CauseError, "error"},
		{kinded(exit.Abnormal), socket.CauseError, "error"},
		{actor.ErrKilled, socket.CauseKilled, "killed"},
		{fmt.Errorf("by hand: %w", actor.ErrKilled), socket.CauseKilled, "killed"},
		{websock.ErrExpired, socket.CauseExpired, "expired"},
		{&websock.CloseError{Code: 4000, Err: websock.ErrExpired}, socket.CauseExpired, "expired"},
		{websock.ErrRevoked, socket.CauseRevoked, "revoked"},
		{fmt.Errorf("banned: %w: %w", websock.ErrRevoked, io.EOF), socket.CauseRevoked, "revoked"},
		{fmt.Errorf("%w: %w", websock.ErrRevoked, websock.ErrTimeout), socket.CauseRevoked, "revoked"},
		{websock.ErrReplaced, socket.CauseReplaced, "replaced"},
		{&websock.CloseError{Code: 1012, Reason: "retry-after=3", Err: websock.ErrMaxAge}, socket.CauseMaxAge, "max_age"},
	} {
		if got := socket.CauseOf(tt.reason); got != tt.want || got.String() != tt.text {
			t.Errorf("CauseOf(%v) = %v, want %v, %q", tt.reason, got, tt.want, tt.text)
		}
	}
	if got := socket.Cause(13).String(); got != "Cause(13)" {
		t.Errorf("the fourteenth cause is %q: there are thirteen", got)
	}
}

// kinded is an error with a kind of its own, which wraps a sentinel of another.
type kinded exit.Kind

func (k kinded) Error() string       { return "kinded" }
func (k kinded) ExitKind() exit.Kind { return exit.Kind(k) }
func (k kinded) Unwrap() error       { return websock.ErrNormal }

func TestServer_Stats(t *testing.T) {
	bubble(t, "one after the other", func(t *testing.T) {
		r := serve(t, socket.Config{Name: "chat", HibernateAfter: 10 * time.Second, PingInterval: 20 * time.Second, CloseCodes: []websock.CloseCode{4001}})
		st := r.srv.Stats()
		if st.Name != "chat" || st.Opened != 0 || st.Open != 0 || !maps.Equal(st.Closed, noneClosed()) || len(st.Lifetimes)+len(st.Refused)+len(st.CloseSent) != 0 {
			t.Errorf("before all: %+v", st)
		}
		a, b := r.dial(puppet()), r.dial(puppet())
		a.must(a.Text("hello"))
		a.want(textFrame("hello"))
		synctest.Wait()
		st = r.srv.Stats()
		if want := (socket.FrameCount{Frames: 1, Bytes: 5}); st.Open != 2 || st.Opened != 2 || st.Asleep != 0 || st.Read.Text != want || st.Written.Text != want {
			t.Errorf("two are open, one has said hello: %+v", st)
		}
		time.Sleep(12 * time.Second)
		if st = r.srv.Stats(); st.Asleep != 2 {
			t.Errorf("after HibernateAfter %d sleep, want 2", st.Asleep)
		}
		time.Sleep(9 * time.Second)
		for _, c := range []*client{a, b} {
			op, payload, err := c.ReadMessage()
			if op != rawclient.OpPing || err != nil {
				t.Fatalf("got opcode %d, %v; want a ping", op, err)
			}
			time.Sleep(30 * time.Millisecond)
			c.must(c.Write(rawclient.Frame{Fin: true, Opcode: rawclient.OpPong, Payload: payload}))
		}
		synctest.Wait()
		st = r.srv.Stats()
		if rt := st.RoundTrips; rt.Count() != 2 || rt.Sum < 0.06 {
			t.Errorf("two have answered a ping after 30 ms and more: %+v", rt)
		}
		release := blockUntil(a, websock.OK())
		for range 3 {
			a.pid.Send(websock.Text("12345"))
		}
		time.Sleep(10 * time.Second)
		st = r.srv.Stats()
		if st.MailboxMax != 3 || st.LagMax != 10*time.Second {
			t.Errorf("3 messages wait for 10 s: MailboxMax %d, LagMax %v", st.MailboxMax, st.LagMax)
		}
		info, err := r.srv.Info(a.pid)
		if want := (websock.Lag{Messages: 3, Bytes: 15, Age: 10 * time.Second}); err != nil || info.Lag != want {
			t.Errorf("Info.Lag is %+v, %v; want %+v", info.Lag, err, want)
		}
		release()
		a.want(textFrame("12345"), textFrame("12345"), textFrame("12345"))
		a.must(a.Close(4001, ""))
		a.wantEnd(closeFrame(4001, ""))
		a.conn.Close()
		a.end()
		b.must(b.Close(4002, ""))
		b.wantEnd(closeFrame(4002, ""))
		b.conn.Close()
		b.end()
		st = r.srv.Stats()
		wantLifetimes(t, st)
		if st.CloseSent[4001] != 1 || st.CloseSent[4000] != 1 || st.CloseReceived[4001] != 1 || st.CloseReceived[4000] != 1 || len(st.CloseSent) != 2 {
			t.Errorf("one has left with 4001, which is named, and one with 4002: sent %v, received %v", st.CloseSent, st.CloseReceived)
		}
		if h := st.Lifetimes[socket.End{Cause: socket.CauseRemote, Code: 4001}]; h.Count() != 1 || h.Sum < 31 || h.Sum > 32 {
			t.Errorf("one has left with 4001 after 31 s: %+v", h)
		}
		st.Lifetimes[socket.End{}] = socket.Histogram{}
		for _, h := range st.Lifetimes {
			clear(h.Bounds)
			clear(h.Counts)
		}
		clear(st.RoundTrips.Bounds)
		st.Closed[socket.CausePanic] = 7
		wantLifetimes(t, r.srv.Stats()) // what is returned is a copy
	})
}

func TestServer_Stats_asleep(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{HibernateAfter: 10 * time.Second})
		a, b := r.dial(puppet()), r.dial(puppet())
		for _, step := range []struct {
			do   func()
			want int
		}{
			{func() { time.Sleep(12 * time.Second) }, 2},
			{func() {
				for range 2 { // one after a long silence does not keep it awake
					a.must(a.Text("hello"))
					a.want(textFrame("hello"))
					synctest.Wait()
				}
			}, 1},
			{func() { time.Sleep(12 * time.Second) }, 2},
		} {
			step.do()
			synctest.Wait()
			if st := r.srv.Stats(); st.Asleep != step.want || st.Open != 2 {
				t.Errorf("%d of %d sleep, want %d of 2", st.Asleep, st.Open, step.want)
			}
		}
		for _, c := range []*client{a, b} {
			c.must(c.Close(1000, ""))
			c.conn.Close()
			c.end()
		}
	})
}

// TestServer_Stats_keys: whatever peers do, there are only so many series.
func TestServer_Stats_keys(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{})
		for code := 999; code < 5002; code += 7 {
			c := r.dial(puppet())
			c.must(c.Close(uint16(code), ""))
			c.conn.Close()
			c.end()
		}
		for code := 3000; code < 5000; code += 13 {
			c := r.dial(puppet())
			c.pid.Exit(&websock.CloseError{Code: websock.CloseCode(code)})
			c.must(c.Close(1000, ""))
			c.conn.Close()
			c.end()
		}
		st := r.srv.Stats()
		if len(st.CloseSent) > 16 || len(st.CloseReceived) > 16 || len(st.Lifetimes) > 48 {
			t.Errorf("%d codes sent, %d received, %d kinds of ends; want at most 16, 16, 48: %+v", len(st.CloseSent), len(st.CloseReceived), len(st.Lifetimes), st)
		}
	})
}

func TestConfig_CloseCodes(t *testing.T) {
	for name, tt := range map[string]struct {
		codes []websock.CloseCode
		want  string
	}{
		"a code of the RFC": {[]websock.CloseCode{1000}, "Config.CloseCodes: 1000 is not between 3000 and 4999"},
		"beyond all":        {[]websock.CloseCode{5000}, "Config.CloseCodes: 5000 is not between 3000 and 4999"},
		"too many":          {make([]websock.CloseCode, 33), "Config.CloseCodes: 33 codes; at most 32"},
	} {
		if _, err := socket.New(socket.Config{CloseCodes: tt.codes}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: New returns %v, want %q", name, err, tt.want)
		}
	}
}

func TestServer_Stats_refused(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		status := 401
		h := newSite(t, socket.Config{MaxSockets: 1})
		h.overMemory(h.srv.Handler(func(r *http.Request) (websock.Handler, error) {
			switch r.URL.Path {
			case "/refused":
				return nil, &socket.UpgradeError{Status: status}
			case "/failed":
				return nil, errors.New("no database")
			}
			return echo(), nil
		}))
		want := map[socket.Refusal]uint64{}
		refuse := func(reason socket.RefuseReason, status int, o rawclient.HandshakeOptions) {
			t.Helper()
			want[socket.Refusal{Reason: reason, Status: status}]++
			if resp, _ := h.refused(o); resp.StatusCode != status {
				t.Errorf("%v: status %d, want %d", reason, resp.StatusCode, status)
			}
			if got := h.srv.Stats().Refused; !maps.Equal(got, want) {
				t.Errorf("after a refusal for %v: Refused is %v, want %v", reason, got, want)
			}
		}
		foreign := rawclient.HandshakeOptions{Header: http.Header{"Origin": {"https://evil.example"}}}
		refuse(socket.RefusedMalformed, 426, rawclient.HandshakeOptions{Header: http.Header{"Upgrade": nil}})
		refuse(socket.RefusedMalformed, 400, rawclient.HandshakeOptions{Header: http.Header{"Sec-WebSocket-Key": nil}})
		refuse(socket.RefusedOrigin, 403, foreign)
		refuse(socket.RefusedOrigin, 403, foreign)
		refuse(socket.RefusedHandler, 401, rawclient.HandshakeOptions{Path: "/refused"})
		status = 403
		refuse(socket.RefusedHandler, 403, rawclient.HandshakeOptions{Path: "/refused"})
		refuse(socket.RefusedHandler, 500, rawclient.HandshakeOptions{Path: "/failed"})
		c := h.connect(rawclient.HandshakeOptions{})
		refuse(socket.RefusedFull, 503, rawclient.HandshakeOptions{})
		goodbye(t, c)
		go h.srv.Drain(t.Context(), socket.Drain{Delay: time.Minute})
		synctest.Wait()
		refuse(socket.RefusedDraining, 503, rawclient.HandshakeOptions{})
		time.Sleep(time.Hour)
		refuse(socket.RefusedClosed, 503, rawclient.HandshakeOptions{})
	})
	for name, tt := range map[string]struct {
		w    http.ResponseWriter
		want socket.Refusal
	}{
		"where it cannot be taken over": {new(plainWriter), socket.Refusal{Reason: socket.RefusedServer, Status: 501}},
		"it is lost":                    {&directWriter{conn: closedConn()}, socket.Refusal{Reason: socket.RefusedLost, Status: 101}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newSite(t, socket.Config{})
			if _, err := h.srv.Upgrade(tt.w, goodRequest(), idleHandler{}); err == nil {
				t.Fatal("it was upgraded")
			}
			if got := h.srv.Stats().Refused; len(got) != 1 || got[tt.want] != 1 {
				t.Errorf("Refused is %v, want %v once", got, tt.want)
			}
			want := map[exit.Kind]uint64{exit.Normal: 0, exit.Shutdown: 1, exit.Abnormal: 0} // a process that never ran has not failed
			if st := h.sys.Stats(); st.Processes != 0 || !maps.Equal(st.Ended, want) {
				t.Errorf("%d processes live, and have ended: %v; want 0 and %v", st.Processes, st.Ended, want)
			}
		})
	}
}

// plainWriter is an http.ResponseWriter of a middleware that hides what its own can do.
type plainWriter struct{ header http.Header }

func (w *plainWriter) Header() http.Header {
	if w.header == nil {
		w.header = http.Header{}
	}
	return w.header
}
func (w *plainWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w *plainWriter) WriteHeader(int)             {}

func closedConn() net.Conn {
	a, b := pipe.New(0)
	a.Close()
	b.Close()
	return b
}

// TestServer_Stats_whileItAllHappens: no number goes down, and each socket is counted once, however many come, talk and end
// while Stats looks.
func TestServer_Stats_whileItAllHappens(t *testing.T) {
	h := memorySite(t, unlogged, func() websock.Handler { return asked(0) })
	const clients, each = 8, 60
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for range each {
				if err := connectEchoClose(h); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	over := make(chan struct{})
	go func() { wg.Wait(); close(over) }()
	var last socket.Stats
	looks := 0
	for done := false; !done; looks++ {
		select {
		case <-over:
			done = true
		default:
		}
		st := h.srv.Stats()
		wantLifetimes(t, st)
		for _, n := range []struct {
			name      string
			last, now uint64
		}{
			{"Opened", last.Opened, st.Opened},
			{"Closed", last.Closed[socket.CauseRemote], st.Closed[socket.CauseRemote]},
			{"CloseSent", last.CloseSent[1000], st.CloseSent[1000]},
			{"Read.Text.Frames", uint64(last.Read.Text.Frames), uint64(st.Read.Text.Frames)},
			{"Read.Text.Bytes", uint64(last.Read.Text.Bytes), uint64(st.Read.Text.Bytes)},
			{"Read.Close.Frames", uint64(last.Read.Close.Frames), uint64(st.Read.Close.Frames)},
			{"Written.Text.Frames", uint64(last.Written.Text.Frames), uint64(st.Written.Text.Frames)},
			{"Written.Close.Frames", uint64(last.Written.Close.Frames), uint64(st.Written.Close.Frames)},
		} {
			if n.now < n.last {
				t.Fatalf("look %d: %s has gone from %d to %d", looks, n.name, n.last, n.now)
			}
		}
		if st.Read.Text.Frames > clients*each || st.Written.Text.Frames > clients*each {
			t.Fatalf("look %d: %d texts read, %d written; there are %d at most", looks, st.Read.Text.Frames, st.Written.Text.Frames, clients*each)
		}
		last = st
		runtime.Gosched()
	}
	h.wantEnds(clients * each)
	st := h.srv.Stats()
	if st.Opened != clients*each || st.Open != 0 || st.Read.Text.Frames != clients*each || st.Written.Text.Frames != clients*each ||
		st.CloseReceived[1000] != clients*each {
		t.Errorf("after %d lives of one text each, and %d looks: %+v", clients*each, looks, st)
	}
}

// The name of the Server is in log lines, and the subject in those about a socket.
func TestConfig_NameAndSubject(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		var text lockedBuilder
		logger := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}))
		r := serve(t, socket.Config{
			Name: "chat", Logger: logger,
			Subject:  func(*http.Request) string { return "user:42" },
			LogAttrs: func(*http.Request) []slog.Attr { return []slog.Attr{slog.String("tenant", "acme")} },
		})
		if got := r.srv.String(); got != "chat" {
			t.Errorf("String() = %q, want chat", got)
		}
		var inside socket.ConnInfo
		h := puppet()
		h.in = func(ctx context.Context, _ websock.Message) websock.Result {
			inside = socket.Info(ctx)
			return websock.OK()
		}
		c := r.dial(h)
		c.must(c.Text("hello"))
		synctest.Wait()
		for pid, info := range r.srv.Sockets() {
			if pid != c.pid || info.Server != "chat" || info.Subject != "user:42" {
				t.Errorf("Sockets yields %+v", info)
			}
		}
		if inside.Server != "chat" || inside.Subject != "user:42" {
			t.Errorf("Info in a callback: %+v", inside)
		}
		c.must(c.Close(1000, ""))
		c.conn.Close()
		if cl := c.end(); cl.Subject != "user:42" || cl.Server != "chat" || cl.Lifetime != 0 {
			t.Errorf("Closed: %+v", cl)
		}
		for _, want := range []string{`msg="socket closed"`, " server=chat ", " cause=remote ", " subject=user:42 tenant=acme"} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("the log is %q, want %q in it", text.String(), want)
			}
		}
	})
	bubble(t, "without a name", func(t *testing.T) {
		var text lockedBuilder
		r := serve(t, socket.Config{Logger: slog.New(slog.NewTextHandler(&text, nil))})
		c := r.dial(puppet())
		c.must(c.Close(1000, ""))
		c.conn.Close()
		if cl := c.end(); cl.Server != "sockets" || cl.Subject != "" {
			t.Errorf("Closed: %+v", cl)
		}
		if s := text.String(); strings.Contains(s, "server=") || strings.Contains(s, "subject=") {
			t.Errorf("the log is %q, want neither server nor subject in it", s)
		}
	})
}

type lockedBuilder struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *lockedBuilder) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuilder) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// What was pushed and cannot be written is part of the lag.
func TestConnInfo_lagOfAPeerThatDoesNotRead(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{})
		c := r.dial(puppet())
		const size, n = 100_000, 20
		for range n {
			c.pid.Send(websock.Binary(make([]byte, size)))
		}
		synctest.Wait()
		info, err := r.srv.Info(c.pid)
		written := info.Written.Binary.Bytes
		if err != nil || info.Lag.Messages == 0 || written < size {
			t.Fatalf("Info: %+v, %v; want a write that waits", info, err)
		}
		if want := int64(info.Lag.Messages * size); info.Lag.Bytes < want+1 || info.Lag.Bytes > want+written+1000 {
			t.Errorf("Lag.Bytes is %d: want the %d of the %d messages that wait, and some of the %d pushed", info.Lag.Bytes, want, info.Lag.Messages, written)
		}
		c.conn.Close()
		c.end()
	})
}
