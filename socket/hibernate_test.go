package socket_test

import (
	"context"
	"runtime"
	"runtime/metrics"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// sleeps fails the test unless the socket of c is in the state that is wanted, once all has come to rest.
func (c *client) sleeps(want bool) {
	c.t.Helper()
	synctest.Wait()
	info, err := c.rig.srv.Info(c.pid)
	if err != nil || info.Hibernated != want {
		c.t.Fatalf("Info: hibernated %t, error %v; want %t", info.Hibernated, err, want)
	}
}

// sleepsAfter fails the test unless the socket of c falls asleep when it has been silent for d from now on.
func (c *client) sleepsAfter(d time.Duration) {
	c.t.Helper()
	time.Sleep(d - 1)
	c.sleeps(false)
	time.Sleep(d/16 + 2*time.Millisecond) // deadlines are coarse
	c.sleeps(true)
}

// awake has the socket of c, whose handler echoes, stay awake for now: two messages come one soon after the other.
func (c *client) awake() {
	c.t.Helper()
	wantEcho(c.t, c.Client, "hello")
	time.Sleep(10 * time.Millisecond)
	wantEcho(c.t, c.Client, "hello")
	c.sleeps(false)
}

// hibernating serves h and waits until its socket sleeps.
func hibernating(t *testing.T, cfg socket.Config, h websock.Handler) *client {
	t.Helper()
	c := serve(t, cfg).dial(h)
	c.sleeps(false)
	time.Sleep(16 * time.Second)
	c.sleeps(true)
	return c
}

func TestHibernateAfter(t *testing.T) {
	bubble(t, "a silent socket sleeps after a second, and messages wake it", func(t *testing.T) {
		c := serve(t, socket.Config{}).dial(echo())
		c.sleepsAfter(time.Second)
		c.awake()
	})
	bubble(t, "one that has talked sleeps after two seconds", func(t *testing.T) {
		c := serve(t, socket.Config{}).dial(echo())
		wantEcho(t, c.Client, "hello")
		c.sleepsAfter(2 * time.Second)
	})
	bubble(t, "after a long silence it sleeps at once, unless there is more", func(t *testing.T) {
		c := hibernating(t, socket.Config{PingInterval: -1, IdleTimeout: -1}, echo())
		for range 3 {
			wantEcho(t, c.Client, "hello")
			c.sleeps(true)
			time.Sleep(20 * time.Second)
		}
		for range 3 {
			wantEcho(t, c.Client, "hello")
			time.Sleep(100 * time.Millisecond)
		}
		c.sleeps(false)
	})
	bubble(t, "what has come together with the message that wakes it is handled", func(t *testing.T) {
		c := hibernating(t, socket.Config{PingInterval: -1, IdleTimeout: -1}, echo())
		two := append(masked(text("one")), masked(text("two"))...)
		c.must(c.WriteBytes(append(two, masked(text("three"))[:4]...)))
		wantMessage(t, c.Client, rawclient.OpText, "one")
		wantMessage(t, c.Client, rawclient.OpText, "two")
		c.sleeps(false) // half a frame
		c.must(c.WriteBytes(masked(text("three"))[4:]))
		wantMessage(t, c.Client, rawclient.OpText, "three")
		c.sleeps(true)
	})
	bubble(t, "later each time it was too soon, up to HibernateAfter, and anew after a long silence", func(t *testing.T) {
		c := serve(t, socket.Config{HibernateAfter: 15 * time.Second, PingInterval: -1, IdleTimeout: -1}).dial(echo())
		c.sleepsAfter(time.Second)
		for _, after := range []time.Duration{2, 4, 8, 15, 2, 4, 8, 15, 2} {
			c.awake()
			c.sleepsAfter(after * time.Second)
		}
		time.Sleep(40 * time.Second)
		c.awake()
		c.sleepsAfter(2 * time.Second)
	})
	bubble(t, "a peer that talks all the time stays awake, and sleeps after HibernateAfter", func(t *testing.T) {
		c := serve(t, socket.Config{HibernateAfter: 15 * time.Second, PingInterval: -1}).dial(echo())
		for range 100 {
			wantEcho(t, c.Client, "hello")
			time.Sleep(700 * time.Millisecond)
			c.sleeps(false)
		}
		wantEcho(t, c.Client, "hello")
		c.sleepsAfter(15 * time.Second)
	})
	bubble(t, "a peer that talks all the time, at whatever pace", func(t *testing.T) {
		for _, pause := range []time.Duration{50, 170, 430, 1100, 2300} {
			c := serve(t, socket.Config{HibernateAfter: 15 * time.Second, PingInterval: -1}).dial(echo())
			for range 5 * time.Minute / (pause * time.Millisecond) {
				wantEcho(t, c.Client, "hello")
				time.Sleep(pause * time.Millisecond)
			}
			wantEcho(t, c.Client, "hello")
			c.sleepsAfter(15 * time.Second)
		}
	})
	bubble(t, "what is written to all the time sleeps after HibernateAfter", func(t *testing.T) {
		c := serve(t, socket.Config{HibernateAfter: 15 * time.Second, PingInterval: -1}).dial(echo())
		for range 144 {
			c.pid.Send(websock.Text("news"))
			wantMessage(t, c.Client, rawclient.OpText, "news")
			c.sleeps(false)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(600 * time.Millisecond) // 15 s in all, and what a deadline may be late
		c.pid.Send(websock.Text("news"))
		time.Sleep(500 * time.Millisecond)
		c.sleeps(true)
	})
	bubble(t, "a HibernateAfter below a second", func(t *testing.T) {
		c := serve(t, socket.Config{HibernateAfter: 300 * time.Millisecond}).dial(echo())
		c.sleepsAfter(300 * time.Millisecond)
		for range 3 {
			c.awake()
			c.sleepsAfter(300 * time.Millisecond)
		}
	})
	bubble(t, "asleep it has no goroutine", func(t *testing.T) {
		r := serve(t, socket.Config{PingInterval: -1, IdleTimeout: -1})
		var cs []*client
		for range 50 {
			cs = append(cs, r.dial(echo()))
		}
		synctest.Wait()
		awake := runtime.NumGoroutine()
		time.Sleep(16 * time.Second)
		synctest.Wait()
		if n := awake - runtime.NumGoroutine(); n < len(cs)-10 {
			t.Errorf("%d goroutines less for %d sockets that sleep", n, len(cs))
		}
	})
	bubble(t, "half a frame keeps it awake", func(t *testing.T) {
		c := serve(t, socket.Config{PingInterval: -1}).dial(echo())
		c.must(c.WriteBytes([]byte{0x81}))
		time.Sleep(40 * time.Second)
		c.sleeps(false)
	})
	bubble(t, "half a message keeps it awake", func(t *testing.T) {
		c := serve(t, socket.Config{PingInterval: -1}).dial(echo())
		c.must(c.Write(rawclient.Frame{Opcode: rawclient.OpText, Payload: []byte("half")}))
		time.Sleep(40 * time.Second)
		c.sleeps(false)
		c.must(c.Write(rawclient.Frame{Fin: true, Opcode: rawclient.OpContinuation, Payload: []byte(" whole")}))
		wantMessage(t, c.Client, rawclient.OpText, "half whole")
		time.Sleep(16 * time.Second)
		c.sleeps(true)
	})
	bubble(t, "half a frame wakes it, and MessageTimeout runs", func(t *testing.T) {
		c := hibernating(t, socket.Config{PingInterval: -1, IdleTimeout: -1, MessageTimeout: 10 * time.Second}, echo())
		began := time.Now()
		c.must(c.WriteBytes([]byte{0x81, 0x85, 1}))
		c.sleeps(false)
		wantClosed(t, c.Client, 1002)
		if d := time.Since(began); d < 10*time.Second || d > 10*time.Second+10*time.Second/16 {
			t.Errorf("ended %v after the first byte, want 10 s", d)
		}
	})
	bubble(t, "a ping is answered, and it sleeps on", func(t *testing.T) {
		h := &controlHandler{}
		c := hibernating(t, socket.Config{}, h)
		c.must(c.Ping([]byte("p")))
		wantMessage(t, c.Client, rawclient.OpPong, "p")
		c.sleeps(true)
		if n := len(h.log()); n != 2 { // init and this
			t.Errorf("callbacks %v", h.log())
		}
	})
	bubble(t, "our pings and their pongs let it sleep on", func(t *testing.T) {
		c := hibernating(t, socket.Config{}, echo())
		for range 10 {
			op, p, err := c.ReadMessage()
			if err != nil || op != rawclient.OpPing {
				t.Fatalf("got opcode %#x, error %v; want a ping", op, err)
			}
			c.must(c.Pong(p))
			c.sleeps(true)
		}
		if info, _ := c.rig.srv.Info(c.pid); info.RTT == 0 || info.Read.Pong.Frames != 10 {
			t.Errorf("Info: %+v, want an RTT and 10 pongs", info)
		}
	})
	bubble(t, "pings and pongs do not keep it awake: ours", func(t *testing.T) {
		c := serve(t, socket.Config{HibernateAfter: 30 * time.Second}).dial(echo())
		for range 4 { // after 25, 50, 75 and 100 seconds
			op, p, err := c.ReadMessage()
			if err != nil || op != rawclient.OpPing {
				t.Fatalf("got opcode %#x, error %v; want a ping", op, err)
			}
			c.must(c.Pong(p))
		}
		c.sleeps(true)
	})
	bubble(t, "pings and pongs do not keep it awake: the peer's", func(t *testing.T) {
		c := serve(t, socket.Config{PingInterval: -1}).dial(echo())
		wantEcho(t, c.Client, "hello")
		for range 4 {
			time.Sleep(10 * time.Second)
			c.must(c.Ping(nil))
			wantMessage(t, c.Client, rawclient.OpPong, "")
		}
		c.sleeps(true)
		c.awake()
	})
	bubble(t, "messages of other processes reach the peer and let it sleep on", func(t *testing.T) {
		c := hibernating(t, socket.Config{}, puppet())
		c.pid.Send(do(func(ctx context.Context) websock.Result {
			if !socket.Info(ctx).Hibernated {
				t.Errorf("awake in HandleInfo")
			}
			return websock.Push(websock.Text("news"))
		}))
		wantMessage(t, c.Client, rawclient.OpText, "news")
		c.pid.Send(websock.Text("more"))
		wantMessage(t, c.Client, rawclient.OpText, "more")
		c.sleeps(true)
	})
	bubble(t, "IdleTimeout goes on", func(t *testing.T) {
		c := serve(t, socket.Config{PingInterval: -1}).dial(echo())
		wantEcho(t, c.Client, "hello")
		began := time.Now()
		wantClosed(t, c.Client, 1002)
		if d := time.Since(began); d < time.Minute || d > time.Minute+time.Minute/16 {
			t.Errorf("ended after a silence of %v, want a minute", d)
		}
	})
	bubble(t, "negative: never", func(t *testing.T) {
		c := serve(t, socket.Config{HibernateAfter: -1, PingInterval: -1, IdleTimeout: -1}).dial(echo())
		time.Sleep(59 * time.Minute)
		c.sleeps(false)
	})
	bubble(t, "a callback that blocks does not keep it awake, and frames wait for it", func(t *testing.T) {
		h := puppet()
		c := serve(t, socket.Config{PingInterval: -1, IdleTimeout: -1}).dial(h)
		synctest.Wait() // what waits when Init returns is handled by the reader
		release := make(chan struct{})
		c.pid.Send(do(func(context.Context) websock.Result { <-release; return websock.Push(websock.Text("done")) }))
		time.Sleep(16 * time.Second)
		c.sleeps(true)
		c.must(c.Text("behind"))
		time.Sleep(16 * time.Second)
		c.sleeps(true) // it waits in the mailbox
		c.must(c.Text("one more"))
		time.Sleep(16 * time.Second)
		c.sleeps(false) // this one waits for its place there
		close(release)
		wantMessage(t, c.Client, rawclient.OpText, "done")
		wantMessage(t, c.Client, rawclient.OpText, "behind")
		wantMessage(t, c.Client, rawclient.OpText, "one more")
	})
}

// TestHibernate_end is the ends of a socket that sleeps.
func TestHibernate_end(t *testing.T) {
	bubble(t, "Exit, and the peer answers", func(t *testing.T) {
		h := puppet()
		c := hibernating(t, socket.Config{}, h)
		c.pid.Exit(actor.ErrShutdown)
		wantClosed(t, c.Client, 1001)
		c.must(c.Close(1001, ""))
		began := time.Now()
		if cl := c.end(); cl.Sent == nil || cl.Received == nil || time.Since(began) != 0 {
			t.Errorf("Closed %+v after %v", cl, time.Since(began))
		}
		if n := len(h.terminated()); n != 1 {
			t.Errorf("Terminate was called %d times", n)
		}
	})
	bubble(t, "Exit, and the peer is silent", func(t *testing.T) {
		c := hibernating(t, socket.Config{}, puppet())
		began := time.Now()
		c.pid.Exit(actor.ErrShutdown)
		c.end()
		if d := time.Since(began); d < 5*time.Second || d > 6*time.Second {
			t.Errorf("TCP was closed after %v, want CloseTimeout", d)
		}
	})
	bubble(t, "Exit, and CloseTimeout is off", func(t *testing.T) {
		c := hibernating(t, socket.Config{CloseTimeout: -1}, puppet())
		began := time.Now()
		c.pid.Exit(actor.ErrShutdown)
		c.end()
		if d := time.Since(began); d != 0 {
			t.Errorf("TCP was closed after %v", d)
		}
	})
	bubble(t, "a kill", func(t *testing.T) {
		c := hibernating(t, socket.Config{}, puppet())
		c.pid.Exit(actor.ErrKilled)
		began := time.Now()
		if cl := c.end(); cl.Sent != nil || time.Since(began) != 0 {
			t.Errorf("Closed %+v after %v", cl, time.Since(began))
		}
	})
	bubble(t, "the peer closes", func(t *testing.T) {
		c := hibernating(t, socket.Config{}, puppet())
		c.must(c.Close(1000, ""))
		wantClosed(t, c.Client, 1000)
		c.end()
	})
	bubble(t, "the peer vanishes", func(t *testing.T) {
		c := hibernating(t, socket.Config{}, puppet())
		c.conn.Reset()
		began := time.Now()
		c.end()
		if d := time.Since(began); d != 0 {
			t.Errorf("noticed after %v", d)
		}
	})
	bubble(t, "the peer ends TCP", func(t *testing.T) {
		c := hibernating(t, socket.Config{}, puppet())
		c.conn.CloseWrite()
		c.end()
	})
	bubble(t, "a callback panics", func(t *testing.T) {
		c := hibernating(t, socket.Config{}, puppet())
		c.pid.Send(do(func(context.Context) websock.Result { panic("oops") }))
		wantClosed(t, c.Client, 1011)
		c.end()
	})
	bubble(t, "a callback leaves its goroutine on the reader that was woken", func(t *testing.T) {
		h := &handler{in: func(context.Context, websock.Message) websock.Result { runtime.Goexit(); return websock.OK() }}
		c := hibernating(t, socket.Config{}, h)
		c.must(c.Text("go"))
		wantClosed(t, c.Client, 1011)
		c.end()
	})
	bubble(t, "Shutdown of the server", func(t *testing.T) {
		c := hibernating(t, socket.Config{}, puppet())
		done := make(chan error)
		go func() { done <- c.rig.srv.Shutdown(context.Background()) }()
		wantClosed(t, c.Client, 1001)
		c.must(c.Close(1001, ""))
		if err := <-done; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
}

// TestHibernate_answeredClose: a peer that answers our Close at once, and leaves the end of TCP to us as it should, does
// not have to wait for it, whoever of the process and the reader sees what first.
func TestHibernate_answeredClose(t *testing.T) {
	for _, asleep := range []bool{false, true} {
		bubble(t, map[bool]string{false: "awake", true: "asleep"}[asleep], func(t *testing.T) {
			r := serve(t, socket.Config{PingInterval: -1, IdleTimeout: -1})
			var cs []*client
			for range 500 {
				cs = append(cs, r.dial(plain{puppet()}))
			}
			if asleep {
				time.Sleep(16 * time.Second)
			}
			began := time.Now()
			for _, c := range cs {
				background(t, func() {
					if _, _, err := c.ReadMessage(); err == nil {
						c.Close(1001, "")
					}
				})
			}
			for _, c := range cs {
				c.pid.Exit(actor.ErrShutdown)
			}
			for _, c := range cs {
				c.end()
			}
			if d := time.Since(began); d != 0 {
				t.Errorf("TCP was open for %v", d)
			}
		})
	}
}

// TestHibernate_drain: to end sockets that sleep takes no goroutine for each, neither to write the Close frames nor to
// wait for silent peers.
func TestHibernate_drain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := serve(t, socket.Config{PingInterval: -1, IdleTimeout: -1})
		var cs []*client
		for range 500 {
			cs = append(cs, r.dial(puppet()))
		}
		time.Sleep(16 * time.Second)
		synctest.Wait()
		before := runtime.NumGoroutine()
		most := 0
		for _, c := range cs {
			c.pid.Exit(actor.ErrShutdown)
			most = max(most, runtime.NumGoroutine()-before)
		}
		synctest.Wait()
		most = max(most, runtime.NumGoroutine()-before)
		if most > 100 {
			t.Errorf("%d goroutines to end %d sockets that sleep", most, len(cs))
		}
		for _, c := range cs {
			c.end()
		}
	})
}

// TestPulse_duringALongCallback: while a callback runs nothing can be due, and the deadlines are looked at every few
// seconds, not all the time.
func TestPulse_duringALongCallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &handler{in: func(context.Context, websock.Message) websock.Result { time.Sleep(time.Hour); return websock.OK() }}
		c := serve(t, socket.Config{}).dial(h)
		time.Sleep(10 * time.Second)
		c.must(c.Text("begin"))
		synctest.Wait()
		before := goroutinesCreated()
		time.Sleep(time.Hour - 1)
		if n := goroutinesCreated() - before; n > 1000 { // a goroutine for each look
			t.Errorf("looked %d times in an hour", n)
		}
		time.Sleep(time.Second)
	})
}

func goroutinesCreated() uint64 {
	s := []metrics.Sample{{Name: "/sched/goroutines-created:goroutines"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// goexiting is an exit reason that ends the goroutine which looks into it.
type goexiting struct{}

func (goexiting) Error() string { return "goexiting" }
func (goexiting) As(any) bool   { runtime.Goexit(); return false }

func TestExit_withAReasonThatEndsGoroutines(t *testing.T) {
	for _, asleep := range []bool{false, true} {
		bubble(t, map[bool]string{false: "awake", true: "asleep"}[asleep], func(t *testing.T) {
			c := serve(t, socket.Config{PingInterval: -1, IdleTimeout: -1}).dial(puppet())
			if asleep {
				time.Sleep(16 * time.Second)
			}
			synctest.Wait()
			c.pid.Exit(goexiting{})
			c.end()
			if n := c.rig.srv.Count(); n != 0 {
				t.Errorf("%d sockets are left", n)
			}
		})
	}
}
