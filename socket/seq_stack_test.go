package socket_test

import (
	"context"
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

// scripted is a handler that streams "x" without end for each "go", and calls next before each of them and deferred at the end. It
// notes what has ended, in order.
type scripted struct {
	*handler
	next, deferred func()
	log            []string
	reason         error
}

func newScripted() *scripted {
	h := &scripted{handler: puppet()}
	h.in = func(_ context.Context, m websock.Message) websock.Result {
		switch string(m.Data) {
		case "go":
			return websock.Stream(h.seq)
		case "end":
			return websock.Stop(websock.ErrNormal)
		}
		return websock.Push(m)
	}
	h.terminate = func(_ context.Context, reason error) { h.log, h.reason = append(h.log, "Terminate"), reason }
	return h
}

func (h *scripted) seq(yield func(websock.Message) bool) {
	defer func() {
		h.log = append(h.log, "stream")
		if h.deferred != nil {
			h.deferred()
		}
	}()
	for {
		if h.next != nil {
			h.next()
		}
		if !yield(websock.Text("x")) {
			return
		}
	}
}

// The functions of a user, whose names are to be in stacks.
func streamPanics() { panic("as asked") }
func streamWaits()  { time.Sleep(time.Hour) }

// The stack of a panic in a stream is that of the code that has panicked, and the value is what it has panicked with.
func TestSeq_panic(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		h := newScripted()
		h.next = streamPanics
		c := serve(t, socket.Config{}).dial(h)
		c.must(c.Text("go"))
		c.want(closeFrame(1011, ""))
		c.conn.Close()
		closed := c.end()
		for who, reason := range map[string]error{"Closed": closed.Reason, "Terminate": h.reason} {
			p, ok := errors.AsType[*actor.PanicError](reason)
			if !ok || p.Value != "as asked" || !strings.Contains(string(p.Stack), "socket_test.streamPanics") {
				t.Errorf("%s: the reason is %T: %v; want a *actor.PanicError of %q, with streamPanics in its stack", who, reason, reason, "as asked")
			}
		}
		line := c.rig.logs.of("socket closed", c.pid)[0]
		if !strings.Contains(line.attrs["stack"].String(), "socket_test.streamPanics") {
			t.Errorf("no streamPanics in the stack that is logged: %v", line.attrs["stack"])
		}
	})
}

// What is reported of a stream that does not return, in itself or in what it has deferred, is what it does, and not who waits for it.
// One that waits for its turn is not taken for the callback that is stuck.
func TestSeq_abandoned(t *testing.T) {
	paced := func() { time.Sleep(time.Millisecond) }
	for _, tt := range []struct {
		name           string
		next, deferred func()
		info           do
		end            error
		handling, in   string
	}{
		{name: "it", next: streamWaits, end: actor.ErrKilled, handling: "websock.Stream", in: "socket_test.streamWaits"},
		{name: "what it has deferred", next: paced, deferred: streamWaits, end: websock.ErrNormal, handling: "terminate", in: "socket_test.streamWaits"},
		{name: "another callback", next: paced, info: func(context.Context) websock.Result { time.Sleep(time.Hour); return websock.OK() },
			end: actor.ErrKilled, handling: "socket_test.do", in: "socket_test.TestSeq_abandoned.func"},
	} {
		bubble(t, tt.name, func(t *testing.T) {
			var j eventList
			h := newScripted()
			h.next, h.deferred = tt.next, tt.deferred
			c := serve(t, socket.Config{OnEvent: j.add, ShutdownTimeout: time.Second}).dial(h)
			c.must(c.Text("go"))
			go c.discard()
			time.Sleep(time.Second)
			if tt.info != nil {
				c.pid.Send(tt.info)
				time.Sleep(time.Second)
			}
			c.pid.Exit(tt.end)
			time.Sleep(time.Minute)
			var got []socket.Abandoned
			for _, e := range j.take() {
				if a, ok := e.(socket.Abandoned); ok {
					got = append(got, a)
				}
			}
			if len(got) != 1 || got[0].Handling != tt.handling || !strings.Contains(got[0].Stack, tt.in) {
				t.Errorf("got %+v\nwant one Abandoned, of %q, with %s in its stack", got, tt.handling, tt.in)
			}
			time.Sleep(2 * time.Hour)
		})
	}
}

// However a socket ends in order, its stream is over before Terminate begins, whatever that has deferred does.
func TestSeq_beforeTerminate(t *testing.T) {
	for name, end := range map[string]func(c *client){
		"an Exit":         func(c *client) { c.pid.Exit(errors.New("boom")) },
		"a Result":        func(c *client) { c.must(c.Text("end")) },
		"the client goes": func(c *client) { c.conn.Close() },
	} {
		for deferred, f := range map[string]func(){"": nil, ", a panic": streamPanics, ", a Goexit": runtime.Goexit} {
			bubble(t, name+deferred, func(t *testing.T) {
				h := newScripted()
				h.next, h.deferred = func() { time.Sleep(time.Millisecond) }, f
				c := serve(t, socket.Config{ShutdownTimeout: time.Second}).dial(h)
				c.must(c.Text("go"))
				go c.discard()
				time.Sleep(time.Second)
				end(c)
				closed := c.end()
				if want := []string{"stream", "Terminate"}; !slices.Equal(h.log, want) {
					t.Errorf("ended %q, want %q", h.log, want)
				}
				if errors.Is(closed.Reason, actor.ErrKilled) || errors.As(closed.Reason, new(*actor.PanicError)) {
					t.Errorf("the reason is %v, want that of the end", closed.Reason)
				}
				lines := c.rig.logs.of("panic while a process ended", c.pid)
				switch {
				case f == nil && len(lines) != 0:
					t.Errorf("logged %v, want nothing", lines)
				case f != nil && len(lines) != 1:
					t.Errorf("logged %v, want one line about it", lines)
				case deferred == ", a panic":
					if l := lines[0]; l.attrs["where"].String() != "websock.Stream" || !strings.Contains(l.attrs["stack"].String(), "socket_test.streamPanics") {
						t.Errorf("logged %v, want where=websock.Stream and a stack with streamPanics", l.text)
					}
				}
			})
		}
	}
}

// A panic of what a stream has deferred ends the socket when another one takes its place, as that is done by a Result.
func TestSeq_another_panics(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		h := newScripted()
		h.next, h.deferred = func() { time.Sleep(time.Millisecond) }, streamPanics
		c := serve(t, socket.Config{}).dial(h)
		c.must(c.Text("go"))
		go c.discard()
		time.Sleep(time.Second)
		c.must(c.Text("go"))
		closed := c.end()
		p, ok := errors.AsType[*actor.PanicError](closed.Reason)
		if !ok || p.Value != "as asked" || !strings.Contains(string(p.Stack), "socket_test.streamPanics") {
			t.Errorf("the reason is %T: %v; want a *actor.PanicError with streamPanics in its stack", closed.Reason, closed.Reason)
		}
		if want := []string{"stream", "Terminate"}; !slices.Equal(h.log, want) {
			t.Errorf("ended %q, want %q: the second stream has not begun", h.log, want)
		}
	})
}

// After a kill nobody waits for what a stream has deferred: a panic in it is logged, and ends nothing else.
func TestSeq_killed_panics(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		h := newScripted()
		h.next, h.deferred = func() { time.Sleep(time.Millisecond) }, streamPanics
		c := serve(t, socket.Config{}).dial(h)
		c.must(c.Text("go"))
		go c.discard()
		time.Sleep(time.Second)
		release := blockUntil(c, websock.OK())
		c.pid.Exit(actor.ErrKilled)
		c.end()
		synctest.Wait()
		lines := c.rig.logs.of("panic while a process ended", c.pid)
		if len(lines) != 1 || !strings.Contains(lines[0].attrs["stack"].String(), "socket_test.streamPanics") {
			t.Errorf("logged %v, want one line with streamPanics in its stack", lines)
		}
		release()
		synctest.Wait()
		if want := []string{"stream"}; !slices.Equal(h.log, want) {
			t.Errorf("ended %q, want %q", h.log, want)
		}
	})
}

// A kill that meets a pull: whoever closes the stream is the only one that looks at its panic. It is for the race detector.
func TestSeq_killedWhilePulled(t *testing.T) {
	rounds := 300
	if os.Getenv("TROUPE_STRESS") != "" {
		rounds = 5000
	}
	if runtime.GOMAXPROCS(0) == 1 { // client and stream wake each other: whoever yields waits ten milliseconds
		rounds /= 50
	}
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{})
		for i := range rounds {
			h := newScripted()
			h.deferred = streamPanics
			c := r.dial(h)
			go c.discard()
			c.must(c.Text("go"))
			for range i % 200 {
				runtime.Gosched()
			}
			c.pid.Exit(actor.ErrKilled)
			c.end()
			synctest.Wait()
			if len(h.log) > 1 || len(h.log) == 1 && h.log[0] != "stream" {
				t.Fatalf("round %d: ended %q, want the stream alone, if it had begun", i, h.log)
			}
		}
	})
}
