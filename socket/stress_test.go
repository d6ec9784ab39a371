package socket_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// exclusive notices callbacks that overlap, or come after Terminate or before Init. count is touched without a lock, so
// that the race detector sees what the counter does not.
type exclusive struct {
	t          *testing.T
	inside     atomic.Int32
	inited     bool
	terminated int
	count      int
	task       actor.TaskRef
}

func (e *exclusive) enter(name string) (leave func()) {
	if n := e.inside.Add(1); n != 1 {
		e.t.Errorf("%s runs while another callback does", name)
	}
	if name != "Init" && !e.inited || name != "Terminate" && e.terminated > 0 {
		e.t.Errorf("%s: Init has returned: %v, Terminate was called %d times", name, e.inited, e.terminated)
	}
	e.count++
	return func() {
		e.count++
		e.inside.Add(-1)
	}
}

type tick struct{}

func (e *exclusive) Init(ctx context.Context) websock.Result {
	defer e.enter("Init")()
	e.inited = true
	actor.SendEvery(ctx, 200*time.Microsecond, tick{})
	actor.SendAfter(ctx, time.Millisecond, "after")
	e.task = actor.Async(ctx, func(context.Context) (int, error) { return 7, nil })
	return websock.Push(websock.Text("init"))
}

func (e *exclusive) HandleIn(ctx context.Context, m websock.Message) websock.Result {
	defer e.enter("HandleIn")()
	actor.Self(ctx).Send("self")
	return websock.Push(m, websock.Ping(nil))
}

func (e *exclusive) HandleControl(_ context.Context, m websock.Message) websock.Result {
	defer e.enter("HandleControl")()
	return websock.Push(websock.Text("control"))
}

func (e *exclusive) HandleInfo(ctx context.Context, msg any) websock.Result {
	defer e.enter("HandleInfo")()
	switch msg.(type) {
	case tick:
		return websock.OK()
	case actor.Done[int]:
		e.task = actor.Async(ctx, func(context.Context) (int, error) { return 8, nil })
		return websock.OK()
	}
	if s, ok := msg.(string); ok && s == "panic" {
		panic("as asked")
	}
	return websock.Push(websock.Text("info"))
}

func (e *exclusive) Terminate(context.Context, error) {
	defer e.enter("Terminate")()
	e.terminated++
}

// Frames, infos, exits, timers, tasks, pings and a closing peer at once: callbacks never overlap, and every socket ends
// once.
func TestStress_callbacksNeverOverlap(t *testing.T) {
	rounds, each := 20, 20
	if os.Getenv("TROUPE_STRESS") != "" {
		rounds = 200
	}
	var handlers []*exclusive
	var mu sync.Mutex
	var killed atomic.Int64
	onClose := func(cl socket.Closed) {
		if errors.Is(cl.Reason, actor.ErrKilled) {
			killed.Add(1)
		}
	}
	h := memorySite(t, socket.Config{PingInterval: time.Millisecond, MailboxLimit: 200, CloseTimeout: 20 * time.Millisecond, OnClose: onClose}, func() websock.Handler {
		e := &exclusive{t: t}
		mu.Lock()
		defer mu.Unlock()
		handlers = append(handlers, e)
		return e
	})
	for round := range rounds {
		var wg sync.WaitGroup
		for range each {
			c, resp, err := h.shake(rawclient.HandshakeOptions{})
			if c == nil {
				t.Fatalf("handshake: %+v, %v", resp, err)
			}
			wg.Go(func() { // the peer reads, and answers pings
				for {
					op, p, err := c.ReadMessage()
					if err != nil {
						return
					}
					if op == rawclient.OpPing {
						c.Pong(p)
					}
				}
			})
			wg.Go(func() { // the peer writes, and ends somehow
				for i := range 100 {
					switch i % 4 {
					case 0:
						c.Text("hello")
					case 1:
						c.Ping([]byte("ping"))
					case 2:
						c.Write(part(1, "frag"), msg(9, "between"), msg(0, "ment"))
					default:
						c.Binary(make([]byte, 1000))
					}
				}
				switch rand.N(5) {
				case 0:
					c.Close(1000, "")
				case 1:
					c.Conn().(*pipe.Conn).Reset()
				case 2:
					c.WriteBytes([]byte{0xff, 0xff})
				case 3:
					c.Conn().(*pipe.Conn).CloseWrite()
				}
			})
			defer c.Conn().Close()
		}
		h.waitForCount(t, (round+1)*each)
		for pid := range h.srv.Sockets() {
			for g := range 3 {
				wg.Go(func() {
					for i := 0; i < 50 && pid.Alive(); i++ {
						if i%2 == 0 {
							pid.Send(websock.Text("fastlane"))
						} else {
							pid.Send(i)
						}
					}
					if g > 0 {
						return
					}
					switch rand.N(6) {
					case 0:
						pid.Exit(actor.ErrNormal)
					case 1:
						pid.Exit(actor.ErrKilled)
					case 2:
						pid.Send("panic")
					case 3:
						for range 1000 {
							pid.Send("overload")
						}
					case 4:
						pid.Exit(errors.New("boom"))
					default:
						pid.Exit(&websock.CloseError{Code: 4000, Reason: "bye"})
					}
				})
			}
		}
		h.wantEnds((round + 1) * each)
		wg.Wait()
	}
	if n := len(handlers); n != rounds*each {
		t.Fatalf("%d handlers, want %d", n, rounds*each)
	}
	terminated, unborn := 0, 0
	for _, e := range handlers {
		if e.terminated > 1 {
			t.Errorf("Terminate was called %d times for one socket", e.terminated)
		}
		terminated += e.terminated
		if !e.inited {
			unborn++ // killed before Init
		}
	}
	if n := int(killed.Load()); terminated < rounds*each-n || unborn > n {
		t.Errorf("of %d sockets, of which %d were killed, Terminate has run for %d, Init not for %d", rounds*each, n, terminated, unborn)
	}
	h.wantEmpty()
}

// waitForCount waits until n sockets can be found, or could.
func (h *site) waitForCount(t *testing.T, n int) {
	t.Helper()
	for late := time.Now().Add(patience); ; h.yield() {
		h.mu.Lock()
		ended := h.ended
		h.mu.Unlock()
		if h.srv.Count()+ended >= n {
			return
		}
		if time.Now().After(late) {
			t.Fatalf("%d sockets, %d ended, want %d together", h.srv.Count(), ended, n)
		}
	}
}

func (h *site) yield() { time.Sleep(50 * time.Microsecond) }

// asked answers a text in one of several ways, each of which leaves the answer to another goroutine to flush.
func asked(way int) websock.Handler {
	hd := &handler{}
	answer := websock.Text("answer")
	switch way % 6 {
	case 0: // by the reader
		hd.in = func(context.Context, websock.Message) websock.Result { return websock.Push(answer) }
	case 1: // by the turn after it
		hd.in = func(ctx context.Context, _ websock.Message) websock.Result {
			actor.Self(ctx).Send("answer")
			return websock.OK()
		}
		hd.info = func(context.Context, any) websock.Result { return websock.Push(answer) }
	case 2: // by the fastlane, from another goroutine
		hd.in = func(ctx context.Context, _ websock.Message) websock.Result {
			self := actor.Self(ctx)
			go self.Send(answer)
			return websock.OK()
		}
	case 3: // by a task
		hd.in = func(ctx context.Context, _ websock.Message) websock.Result {
			actor.Async(ctx, func(context.Context) (string, error) { return "answer", nil })
			return websock.OK()
		}
		hd.info = func(context.Context, any) websock.Result { return websock.Push(answer) }
	case 4: // half by the reader, half by a worker at the same time
		hd.in = func(ctx context.Context, _ websock.Message) websock.Result {
			self := actor.Self(ctx)
			go self.Send("ignored")
			return websock.Push(answer)
		}
	default: // by Init, and then by the reader
		hd.init = func(context.Context) websock.Result { return websock.Push(websock.Ping(nil)) }
		hd.in = func(context.Context, websock.Message) websock.Result { return websock.Push(answer) }
	}
	return plain{hd}
}

// connectEchoClose is one connection: connect, ask, read the answer, close, read the answer. An answer that is left in a
// buffer blocks it until patience is over.
func connectEchoClose(h *site) error {
	c, resp, err := h.shake(rawclient.HandshakeOptions{})
	if c == nil {
		return fmt.Errorf("handshake: %+v, %w", resp, err)
	}
	defer c.Conn().Close()
	if err := c.Text("hello"); err != nil {
		return err
	}
	for {
		op, p, err := c.ReadMessage()
		if op == rawclient.OpPing && err == nil {
			continue
		}
		if err != nil || string(p) != "answer" {
			return fmt.Errorf("got %q, %w, want the answer", p, err)
		}
		break
	}
	if err := c.Close(1000, ""); err != nil {
		return err
	}
	op, p, err := c.ReadMessage()
	if err != nil || op != rawclient.OpClose || codeOf(p) != 1000 {
		return fmt.Errorf("got opcode %d, %q, %w, want Close 1000", op, p, err)
	}
	if f, err := c.ReadFrame(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("after the Close: got %v, %w, want io.EOF", f, err)
	}
	return nil
}

func stressConnections(t *testing.T, h *site, n int) {
	const workers = 8
	var wg sync.WaitGroup
	var done atomic.Int64
	for range workers {
		wg.Go(func() {
			for done.Add(1) <= int64(n) {
				if err := connectEchoClose(h); err != nil {
					t.Errorf("connection %d: %v", done.Load(), err)
					done.Add(int64(n))
					return
				}
			}
		})
	}
	wg.Wait()
	if !t.Failed() {
		h.wantEnds(n)
		h.wantEmpty()
	}
}

// No answer is ever left in a buffer. 3,000 connections; 100,000 with TROUPE_STRESS=1, as .ci/run does.
func TestStress_connectEchoClose(t *testing.T) {
	n := 3_000
	if os.Getenv("TROUPE_STRESS") != "" {
		n = 100_000
	}
	var way atomic.Int64
	h := memorySite(t, socket.Config{}, func() websock.Handler { return asked(int(way.Add(1))) })
	stressConnections(t, h, n)
}

// The same over a real network, because there the wire reads and writes descriptors and waits for them without a buffer.
func TestStress_connectEchoCloseOverTCP(t *testing.T) {
	n := 2_000
	if os.Getenv("TROUPE_STRESS") != "" {
		n = 20_000
	}
	var way atomic.Int64
	h := tcpSite(t, socket.Config{}, func() websock.Handler { return asked(int(way.Add(1))) })
	stressConnections(t, h, n)
}

// One socket, asked again and again while other processes push to it: every answer comes.
func TestStress_answersAmongMessages(t *testing.T) {
	n := 3_000
	if os.Getenv("TROUPE_STRESS") != "" {
		n = 50_000
	}
	for name, newSite := range map[string]func(testing.TB, socket.Config, func() websock.Handler) *site{"memory": memorySite, "tcp": tcpSite} {
		t.Run(name, func(t *testing.T) {
			h := newSite(t, socket.Config{MailboxLimit: 1 << 20, Compression: socket.Compression{On: true}}, func() websock.Handler { return plain{echo()} })
			c := h.connect(rawclient.HandshakeOptions{Deflate: name == "tcp"})
			h.waitForCount(t, 1)
			pid := h.idOf()
			stop := make(chan struct{})
			background(t, func() {
				big := websock.Text(strings.Repeat("pushed ", 3000))
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					if i%100 == 0 {
						pid.Send(big)
					} else {
						pid.Send(websock.Text("pushed"))
					}
					for full := true; full; { // no backlog: this is no test of overload
						info, err := actor.Inspect(pid)
						if full = err == nil && info.Mailbox > 20; full {
							h.yield()
						}
					}
				}
			})
			defer close(stop)
			for i := range n {
				want := fmt.Sprintf("question %d", i)
				if err := c.Text(want); err != nil {
					t.Fatalf("send: %v", err)
				}
				for {
					op, p, err := c.ReadMessage()
					if err != nil {
						t.Fatalf("question %d: %v", i, err)
					}
					if strings.HasPrefix(string(p), "question") {
						if op != rawclient.OpText || string(p) != want {
							t.Fatalf("got %q, want %q", p, want)
						}
						break
					}
				}
				if i%100 == 0 {
					c.Conn().SetDeadline(time.Now().Add(patience))
				}
			}
		})
	}
}
