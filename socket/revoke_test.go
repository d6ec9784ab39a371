package socket_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// wantCloseFrame reads exactly this Close frame.
func wantCloseFrame(t *testing.T, c *rawclient.Client, code uint16, text string) {
	t.Helper()
	op, p, err := c.ReadMessage()
	if err != nil || op != rawclient.OpClose || codeOf(p) != code || string(p[2:]) != text {
		t.Errorf("got opcode %#x, %q, error %v; want Close %d %q", op, p, err, code, text)
	}
}

func TestServer_revoke(t *testing.T) {
	for _, tt := range []struct {
		name   string
		reason error
		code   uint16 // 0: none
		text   string
		cause  socket.Cause
	}{
		{"nil", nil, 4403, "revoked", socket.CauseRevoked},
		{"a CloseError", &websock.CloseError{Code: 4003, Reason: "banned"}, 4003, "banned", socket.CauseRevoked},
		{"a CloseError with a cause", &websock.CloseError{Code: 1008, Err: io.EOF}, 1008, "", socket.CauseRevoked},
		{"a CloseError without a code", &websock.CloseError{Reason: "?", Err: io.EOF}, 4403, "revoked", socket.CauseRevoked},
		{"what wraps one", fmt.Errorf("by the admin: %w", &websock.CloseError{Code: 4010}), 4010, "", socket.CauseRevoked},
		{"any error", errors.New("signed out everywhere"), 4403, "revoked", socket.CauseRevoked},
		{"an error of another kind", websock.ErrTimeout, 4403, "revoked", socket.CauseRevoked},
		{"a kill", actor.ErrKilled, 0, "", socket.CauseKilled},
		{"a frame that cannot be sent", &websock.CloseError{Code: 1006}, 1011, "", socket.CauseError},
	} {
		bubble(t, tt.name, func(t *testing.T) {
			var events eventList
			var ends []*handler
			h := bySubject(t, socket.Config{OnEvent: events.add}, func(*http.Request) (websock.Handler, error) {
				ends = append(ends, &handler{})
				return ends[len(ends)-1], nil
			})
			var ann []*rawclient.Client
			for range 3 {
				ann = append(ann, h.connect(as("ann")))
			}
			h.connect(as("bob"))
			h.connect(as(""))
			synctest.Wait()
			if n := h.srv.Revoke("ann", tt.reason); n != 3 {
				t.Errorf("Revoke = %d, want 3", n)
			}
			for _, c := range ann {
				if tt.code == 0 {
					if f, err := c.ReadFrame(); err == nil {
						t.Errorf("got %v, want the end of TCP", f)
					}
					continue
				}
				wantCloseFrame(t, c, tt.code, tt.text)
				c.Close(tt.code, "")
			}
			synctest.Wait()
			for i, e := range ends[:3] {
				got := e.terminated()
				if tt.code == 0 && len(got) == 0 || tt.cause == socket.CauseError && len(got) == 1 {
					continue
				}
				if len(got) != 1 || !errors.Is(got[0], websock.ErrRevoked) || tt.reason != nil && !errors.Is(got[0], tt.reason) {
					t.Errorf("Terminate of socket %d got %v, want what is ErrRevoked and %v", i, got, tt.reason)
				}
			}
			if n := h.srv.Revoke("ann", tt.reason); n != 0 {
				t.Errorf("a second Revoke = %d, want 0", n)
			}
			st := h.srv.Stats()
			if st.Open != 2 || st.Closed[tt.cause] != 3 {
				t.Errorf("%d open, closed %v; want 2, 3 by %v", st.Open, st.Closed, tt.cause)
			}
			told := 0
			for _, e := range events.take() { // a metric, an event and a line of the log name one cause
				if e, ok := e.(socket.Closed); ok && e.Cause == tt.cause {
					told++
					if lines := h.logs.of("socket closed", e.PID); len(lines) != 1 || lines[0].attrs["cause"].String() != tt.cause.String() {
						t.Errorf("the log says %+v, want one line with cause %v", lines, tt.cause)
					}
				}
			}
			if told != 3 {
				t.Errorf("%d events with cause %v, want 3", told, tt.cause)
			}
		})
	}
	bubble(t, "nobody", func(t *testing.T) {
		h := bySubject(t, socket.Config{}, nil)
		h.connect(as(""))
		synctest.Wait()
		if n := h.srv.Revoke("", nil); n != 0 || h.srv.Count() != 1 {
			t.Errorf("Revoke of nobody = %d, %d sockets left; want 0, 1", n, h.srv.Count())
		}
	})
	t.Run("without subjects", func(t *testing.T) {
		h := newSite(t, socket.Config{})
		defer func() {
			if p := recover(); p == nil {
				t.Error("Revoke without Config.Subject does not panic")
			}
		}()
		h.srv.Revoke("ann", nil)
	})
}

// TestServer_revokeOnTheWay: an upgrade on its way is ended, wherever it is.
func TestServer_revokeOnTheWay(t *testing.T) {
	for _, where := range []string{"newHandler", "Subject", "LogAttrs"} {
		bubble(t, where, func(t *testing.T) {
			gate := make(chan struct{})
			wait := func(here string) {
				if here == where {
					<-gate
				}
			}
			var events eventList
			h := bySubject(t, socket.Config{
				OnEvent:  events.add,
				Subject:  func(r *http.Request) string { wait("Subject"); return subjectOf(r) },
				LogAttrs: func(*http.Request) []slog.Attr { wait("LogAttrs"); return nil },
			}, func(*http.Request) (websock.Handler, error) { wait("newHandler"); return idleHandler{}, nil })
			type answer struct {
				c    *rawclient.Client
				resp *http.Response
			}
			shake := func(subject string) chan answer {
				got := make(chan answer, 1)
				background(t, func() {
					c, resp, _ := h.shake(as(subject))
					if c != nil {
						t.Cleanup(func() { c.Conn().Close() })
					}
					got <- answer{c, resp}
				})
				return got
			}
			ann, bob := shake("ann"), shake("bob")
			synctest.Wait()
			for i := range 1023 {
				h.srv.Revoke(fmt.Sprint("somebody ", i), nil)
			}
			if n := h.srv.Revoke("ann", nil); n != 0 {
				t.Errorf("Revoke = %d, want 0: nobody knows yet who it is", n)
			}
			later := shake("ann")
			synctest.Wait()
			close(gate)
			if a := <-ann; a.c != nil || a.resp.StatusCode != 403 {
				t.Errorf("the upgrade that was on its way: %+v, want 403", a.resp)
			}
			if a := <-bob; a.c == nil {
				t.Errorf("somebody else's: %+v, want a socket", a.resp)
			}
			if a := <-later; a.c == nil {
				t.Errorf("one that came after the Revoke, and newHandler has let in: %+v, want a socket", a.resp)
			}
			synctest.Wait()
			refusal := socket.Refusal{Reason: socket.RefusedRevoked, Status: 403}
			if st := h.srv.Stats(); st.Refused[refusal] != 1 || refusal.Reason.String() != "revoked" || !strings.Contains(events.words(), "Refused:revoked") {
				t.Errorf("Stats.Refused: %v, want one, and an event", st.Refused)
			}
			if n := h.srv.Revoke("ann", nil); n != 1 {
				t.Errorf("Revoke = %d, want 1", n)
			}
		})
	}
	bubble(t, "more revocations than are kept", func(t *testing.T) {
		gate := make(chan struct{})
		h := bySubject(t, socket.Config{}, func(*http.Request) (websock.Handler, error) { <-gate; return idleHandler{}, nil })
		got := make(chan int, 1)
		background(t, func() {
			_, resp, _ := h.shake(as("bob"))
			got <- resp.StatusCode
		})
		synctest.Wait()
		for i := range 1025 {
			h.srv.Revoke(fmt.Sprint("somebody ", i), nil)
		}
		close(gate)
		if status := <-got; status != 503 {
			t.Errorf("an upgrade that may have been revoked: got %d, want 503", status)
		}
		h.connect(as("bob"))
	})
	bubble(t, "the handshake", func(t *testing.T) {
		gate, end := make(chan struct{}), &handler{}
		h := newSite(t, socket.Config{Subject: subjectOf})
		h.overMemory(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.srv.Upgrade(gatedWriter{w, gate}, r, end) }))
		shaken := make(chan *rawclient.Client, 1)
		background(t, func() { c, _, _ := h.shake(as("ann")); shaken <- c })
		synctest.Wait()
		if n := h.srv.Revoke("ann", nil); n != 1 {
			t.Errorf("Revoke = %d, want 1: the upgrade whose 101 is not written yet", n)
		}
		close(gate)
		c := <-shaken
		wantCloseFrame(t, c, 4403, "revoked")
		c.Conn().Close()
		h.waitFor("the end", func() bool { return h.ended == 1 })
		if got := end.log(); fmt.Sprint(got) != "[init terminate]" {
			t.Errorf("callbacks %v, want Init and Terminate", got)
		}
	})
}

// gatedWriter gives its connection away when gate is closed.
type gatedWriter struct {
	http.ResponseWriter
	gate chan struct{}
}

func (w gatedWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	<-w.gate
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// TestServer_revokeNobodySlipsThrough: whoever is forbidden first and revoked then has no socket, however many are on their way.
func TestServer_revokeNobodySlipsThrough(t *testing.T) {
	const workers, subjects, rounds = 16, 8, 60
	var banned [subjects]atomic.Bool
	pause := func() {
		for range rand.IntN(50) {
			runtime.Gosched()
		}
	}
	h := bySubject(t, socket.Config{CloseTimeout: -1, Logger: slog.New(slog.DiscardHandler),
		LogAttrs: func(*http.Request) []slog.Attr { pause(); return nil }},
		func(r *http.Request) (websock.Handler, error) {
			var who int
			fmt.Sscan(subjectOf(r), &who)
			pause()
			no := banned[who].Load()
			pause()
			if no {
				return nil, &socket.UpgradeError{Status: http.StatusForbidden}
			}
			return idleHandler{}, nil
		})
	var all sync.WaitGroup
	var conns sync.Map
	var in atomic.Int64
	for w := range workers {
		all.Go(func() {
			for i := range rounds {
				c, resp, err := h.shake(as(fmt.Sprint((w + i) % subjects)))
				switch {
				case c != nil:
					in.Add(1)
					conns.Store(c, true)
				case resp == nil || resp.StatusCode != 403:
					t.Errorf("got %+v, %v; want a socket or 403", resp, err)
				}
			}
		})
	}
	for who := range subjects {
		pause()
		all.Go(func() {
			time.Sleep(time.Duration(rand.IntN(50)) * time.Millisecond)
			banned[who].Store(true)
			h.srv.Revoke(fmt.Sprint(who), nil)
		})
	}
	all.Wait()
	h.waitFor("the end of all sockets: each subject was banned and revoked", func() bool {
		st := h.srv.Stats()
		return st.Open == 0 && st.Opened == uint64(in.Load()) // the last may have its 101, and not be counted yet
	})
	conns.Range(func(c, _ any) bool { c.(*rawclient.Client).Conn().Close(); return true })
	st := h.srv.Stats()
	t.Logf("%d sockets, revoked %d, refused %v", st.Opened, st.Closed[socket.CauseRevoked], st.Refused)
	if st.Closed[socket.CauseRevoked] != st.Opened {
		t.Errorf("of %d sockets %d were revoked, want all: %v", st.Opened, st.Closed[socket.CauseRevoked], st.Closed)
	}
}

// TestServer_revokeInACluster: the sockets of all nodes end, and those on their way there.
func TestServer_revokeInACluster(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		var regs [3]*registry.Registry
		c := clustertest.New(t, clustertest.Config{Nodes: 3, Seed: 1, Loss: 0.05, Delay: 5 * time.Millisecond,
			Start: func(i int, n *cluster.Node) {
				var err error
				if regs[i], err = registry.NewCluster(n, registry.Config{}); err != nil {
					t.Fatal(err)
				}
			}})
		var sites [3]*site
		gate := make(chan struct{})
		for i := range sites {
			sites[i] = bySubject(t, socket.Config{Name: "chat", System: c.System(i), Revocations: regs[i], PingInterval: -1, IdleTimeout: -1}, func(r *http.Request) (websock.Handler, error) {
				if r.Header.Get("X-Wait") != "" {
					<-gate
				}
				return idleHandler{}, nil
			})
		}
		other := bySubject(t, socket.Config{Name: "other", System: c.System(1), Revocations: regs[1], PingInterval: -1, IdleTimeout: -1}, nil)
		stays := other.connect(as("ann"))
		for _, tt := range []struct {
			reason error
			code   uint16
			text   string
			cause  socket.Cause
		}{
			{nil, 4403, "revoked", socket.CauseRevoked},
			{&websock.CloseError{Code: 4003, Reason: "banned", Err: io.EOF}, 4003, "banned", socket.CauseRevoked},
			{errors.New("left"), 4403, "revoked", socket.CauseRevoked},
			{actor.ErrKilled, 0, "", socket.CauseKilled},
		} {
			var ann []*rawclient.Client
			for _, h := range sites {
				ann = append(ann, h.connect(as("ann")), h.connect(as("ann")))
				h.connect(as("bob"))
			}
			waits := as("ann")
			waits.Header.Set("X-Wait", "yes")
			status := make(chan int, 1)
			background(t, func() {
				_, resp, err := sites[2].shake(waits)
				if resp == nil {
					t.Error(err)
					resp = &http.Response{}
				}
				status <- resp.StatusCode
			})
			time.Sleep(5 * time.Second)
			before := sites[2].srv.Stats().Closed[tt.cause]
			if n := sites[0].srv.Revoke("ann", tt.reason); n != 2 {
				t.Errorf("Revoke with %v = %d, want 2: those of this node", tt.reason, n)
			}
			for _, c := range ann {
				if tt.code == 0 {
					if f, err := c.ReadFrame(); err == nil {
						t.Errorf("got %v, want the end of TCP", f)
					}
					continue
				}
				wantCloseFrame(t, c, tt.code, tt.text)
				c.Close(tt.code, "")
			}
			time.Sleep(5 * time.Second)
			close(gate)
			if s := <-status; s != 403 {
				t.Errorf("the upgrade on its way on another node: got %d, want 403", s)
			}
			gate = make(chan struct{})
			if n := sites[2].srv.Stats().Closed[tt.cause] - before; n != 2 {
				t.Errorf("on another node %d have ended by %v, want 2", n, tt.cause)
			}
		}
		if n := other.srv.Count(); n != 1 {
			t.Errorf("a Server of another name has %d sockets left, want 1", n)
		}
		goodbye(t, stays)
	})
}
