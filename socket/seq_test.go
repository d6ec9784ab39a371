package socket_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/websock"
)

// lines is a handler that streams numbered messages for each "go", until "stop".
type lines struct {
	idleHandler
	n, size int
	stopped bool
	pulled  atomic.Int64
	begun   atomic.Int64
	over    atomic.Int64
	next    func(i int) websock.Message // nil: numbered ones
}

func (h *lines) seq() iter.Seq[websock.Message] {
	return func(yield func(websock.Message) bool) {
		h.begun.Add(1)
		defer h.over.Add(1)
		for i := 0; i < h.n && !h.stopped; i++ {
			h.pulled.Add(1)
			m := websock.Text(fmt.Sprintf("%*d", h.size, i))
			if h.next != nil {
				m = h.next(i)
			}
			if !yield(m) {
				return
			}
		}
	}
}

func (h *lines) HandleIn(_ context.Context, msg websock.Message) websock.Result {
	switch string(msg.Data) {
	case "go":
		r := websock.Stream(h.seq())
		r.Push = []websock.Message{websock.Text("begins")}
		return r
	case "stop":
		h.stopped = true
		return websock.Push(websock.Text("stopped"))
	case "end":
		return websock.Stop(websock.ErrNormal)
	}
	return websock.Push(msg)
}

func number(i, size int) websock.Message { return websock.Text(fmt.Sprintf("%*d", size, i)) }

// A stream is written in order, and what comes meanwhile has its turn.
func TestSeq(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &lines{n: 5000, size: 100}
		c := sockettest.Serve(t, socket.Config{Logger: quiet}, h)
		c.Pause(1 << 10)
		c.Send(websock.Text("go"))
		c.Want(websock.Text("begins"))
		others := 0
		for i := 0; i < h.n; {
			switch i {
			case 10:
				c.PID.Send(websock.Text("sent"))
			case 20:
				c.Send(websock.Text("echo"))
			}
			m := c.Next()
			if m.Equal(websock.Text("sent")) || m.Equal(websock.Text("echo")) {
				others++
				continue
			}
			if !m.Equal(number(i, h.size)) {
				t.Fatalf("got %v, want number %d", m, i)
			}
			i++
			if ahead := int(h.pulled.Load()) - i; ahead > (2*64<<10+2<<10)/h.size {
				t.Fatalf("%d messages of %d bytes were asked for before the client has taken them", ahead, h.size)
			}
		}
		c.WantNothing(time.Second)
		if others != 2 || h.over.Load() != 1 {
			t.Errorf("%d messages came in between, want 2; what the stream has deferred ran %d times, want once", others, h.over.Load())
		}
	})
}

// starts is a handler whose Init returns a stream.
type starts struct{ lines }

func (h *starts) Init(context.Context) websock.Result { return websock.Stream(h.seq()) }

func TestSeq_ofInit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &starts{lines{n: 3, size: 1}}
		c := sockettest.Serve(t, socket.Config{Logger: quiet}, h)
		c.Want(number(0, 1), number(1, 1), number(2, 1))
		c.Send(websock.Text("echo"))
		c.Want(websock.Text("echo"))
		c.WantNothing(time.Second)
	})
}

// What a stream writes passes no callback.
func TestSeq_timed(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{TimeCallbacks: true})
		c := r.dial(&starts{lines{n: 3, size: 1}})
		for i := range 3 {
			c.want(textFrame(fmt.Sprint(i)))
		}
		synctest.Wait()
		if got, want := timed(r.srv.Stats()), "Init 10µs:1 sum 0"; got != want {
			t.Errorf("after a stream of Init: got %s, want %s", got, want)
		}
	})
}

// The handler's own fields stop a stream.
func TestSeq_stop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &lines{n: 1 << 30, size: 100}
		c := sockettest.Serve(t, socket.Config{Logger: quiet}, h)
		c.Pause(1 << 10)
		c.Send(websock.Text("go"))
		c.Want(websock.Text("begins"))
		c.Send(websock.Text("stop"))
		for !c.Next().Equal(websock.Text("stopped")) {
		}
		c.WantNothing(time.Second)
		if h.over.Load() != 1 {
			t.Errorf("what the stream has deferred ran %d times, want once", h.over.Load())
		}
	})
}

// A stream takes the place of the one before it.
func TestSeq_another(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &lines{n: 3000, size: 100}
		c := sockettest.Serve(t, socket.Config{Logger: quiet}, h)
		c.Pause(1 << 10)
		for range 3 {
			c.Send(websock.Text("go"))
		}
		for last := 0; last < 3; {
			if c.Next().Equal(websock.Text("begins")) {
				last++
			}
		}
		for i := range h.n {
			c.Want(number(i, h.size))
		}
		c.WantNothing(time.Second)
		if h.begun.Load() != h.over.Load() {
			t.Errorf("%d streams have begun, and %d are over", h.begun.Load(), h.over.Load())
		}
	})
}

// However a socket ends, its stream is stopped, once.
func TestSeq_end(t *testing.T) {
	boom := errors.New("boom")
	for name, tt := range map[string]struct {
		end  func(c *sockettest.Conn)
		next func(i int) websock.Message
		want func(err error) bool
	}{
		"the client goes":          {end: func(c *sockettest.Conn) { c.Drop() }},
		"an Exit":                  {end: func(c *sockettest.Conn) { c.PID.Exit(boom); c.Resume() }, want: func(err error) bool { return err == boom }},
		"a kill":                   {end: func(c *sockettest.Conn) { c.PID.Exit(actor.ErrKilled) }, want: func(err error) bool { return errors.Is(err, actor.ErrKilled) }},
		"a Result":                 {end: func(c *sockettest.Conn) { c.Send(websock.Text("end")); c.Resume() }, want: func(err error) bool { return err == websock.ErrNormal }},
		"a panic in it":            {next: func(int) websock.Message { panic(boom) }, want: func(err error) bool { return errors.As(err, new(*actor.PanicError)) }},
		"a Goexit in it":           {next: func(int) websock.Message { runtime.Goexit(); panic("not reached") }, want: func(err error) bool { return errors.As(err, new(*actor.PanicError)) }},
		"an illegal message of it": {next: func(int) websock.Message { return websock.Text("\xff") }, want: func(err error) bool { return errors.As(err, new(*websock.ResultError)) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &lines{n: 1 << 30, size: 100, next: tt.next}
				ends := make(chan socket.Closed, 1)
				c := sockettest.Serve(t, socket.Config{Logger: quiet, Record: 1, OnClose: func(cl socket.Closed) { ends <- cl }}, h)
				c.Pause(1 << 10)
				c.Send(websock.Text("go"))
				c.Want(websock.Text("begins"))
				synctest.Wait()
				if tt.end != nil {
					tt.end(c)
				}
				cl := <-ends
				synctest.Wait()
				if tt.want != nil && !tt.want(cl.Reason) {
					t.Errorf("ended with %v", cl.Reason)
				}
				if h.begun.Load() != 1 || h.over.Load() != 1 {
					t.Errorf("%d streams have begun, and what they have deferred ran %d times, want 1, 1", h.begun.Load(), h.over.Load())
				}
			})
		})
	}
}

// A kill while a message is being looked for: the stream is stopped when that returns.
func TestSeq_killedInIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := &lines{n: 10, next: func(int) websock.Message { <-release; return websock.Text("x") }}
		c := sockettest.Serve(t, socket.Config{Logger: quiet}, h)
		c.Send(websock.Text("go"))
		time.Sleep(time.Second)
		c.PID.Exit(actor.ErrKilled)
		time.Sleep(time.Second)
		if h.over.Load() != 0 {
			t.Error("the stream is over while it runs")
		}
		close(release)
		synctest.Wait()
		if h.over.Load() != 1 || h.pulled.Load() != 1 {
			t.Errorf("what the stream has deferred ran %d times after %d messages, want once, after 1", h.over.Load(), h.pulled.Load())
		}
	})
}

// watched is lines with a LagHandler.
type watched struct {
	lines
	told []uint64
}

func (h *watched) HandleLag(_ context.Context, l websock.Lag) websock.Result {
	h.told = append(h.told, l.LeftOut)
	return websock.OK()
}

// What is left out during a stream is told of after it.
func TestSeq_lag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &watched{lines: lines{n: 2000, size: 100}}
		c := sockettest.Serve(t, socket.Config{Logger: quiet}, h)
		c.Pause(1 << 10)
		c.Send(websock.Text("go"))
		c.Want(websock.Text("begins"))
		time.Sleep(10 * time.Millisecond) // until a write waits
		for range 5 {
			c.PID.Send(websock.Text("volatile").Deliver(websock.Delivery{Volatile: true}))
		}
		for i := range h.n {
			c.Want(number(i, h.size))
		}
		c.WantNothing(time.Second)
		synctest.Wait()
		if len(h.told) != 1 || h.told[0] != 5 {
			t.Errorf("HandleLag was told %v, want 5 once", h.told)
		}
	})
}
