package conn

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// TestConn_size: one size class more is 32 bytes for each of a million connections.
func TestConn_size(t *testing.T) {
	if strconv.IntSize != 64 {
		t.Skip("sizes are for 64 bits")
	}
	var c Conn
	if got, want := unsafe.Sizeof(c), uintptr(256); got > want {
		t.Errorf("a Conn has %d bytes, want at most %d", got, want)
	}
	if got, want := unsafe.Offsetof(c.port)+unsafe.Sizeof(c.port), uintptr(64); got != want {
		t.Errorf("what a message touches ends at byte %d, want the end of the first cache line, %d", got, want)
	}
}

// Two drains may kill one connection, which counts once.
func TestConn_Kill_twice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := connected(t, Options{HibernateAfter: -1})
		if first, second := c.Kill(), c.Kill(); !first || second {
			t.Errorf("Kill = %t, and again %t; want true, false", first, second)
		}
	})
}

// TestSpawn_killedMeanwhile: a System that is shut down without patience ends the process of a connection before Spawn has
// returned. It is for the race detector.
func TestSpawn_killedMeanwhile(t *testing.T) {
	impatient, cancel := context.WithCancel(context.Background())
	cancel()
	rounds := 40
	if os.Getenv("TROUPE_STRESS") != "" {
		rounds = 200
	}
	for range rounds {
		sys := newSystem(t)
		g := NewGroup(Options{System: sys, MailboxLimit: 1})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for {
					c, err := g.Spawn(nobody{}, nil)
					if err != nil {
						return
					}
					c.mu.Lock()
					if c.end != nil && c.end.label != "" {
						t.Errorf("label %q of a connection without one", c.end.label)
					}
					c.mu.Unlock()
				}
			})
		}
		sys.Shutdown(impatient)
		wg.Wait()
		sys.Shutdown(impatient) // what was spawned meanwhile
	}
}

// TestFallAsleep_notWhenReadingIsToEnd: the reader has found nothing to read, and before it falls asleep somebody says that
// reading is to end. Nobody would wake the connection then.
func TestFallAsleep_notWhenReadingIsToEnd(t *testing.T) {
	for name, tell := range map[string]func(c *Conn){
		"the peer was silent for too long": func(c *Conn) { c.Due(time.Now().Add(time.Hour)) },
		"the process ends":                 func(c *Conn) { c.beginEnding() },
		"the process has ended":            func(c *Conn) { c.beginEnding(); c.endEnding(true) },
		"TCP is closed":                    (*Conn).abort,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _ := connected(t, Options{IdleTimeout: time.Minute, HibernateAfter: time.Hour})
				tell(c)
				c.mu.Lock()
				before := c.reading
				c.mu.Unlock()
				if c.fallAsleep() {
					t.Errorf("reading is %d, and the connection falls asleep, with nobody to wake it", before)
					c.Wake(0) // for the end of the test
				}
			})
		})
	}
}

// TestDue_looksAheadOnly: what was due and has been done does not make the timer come again and again. A deadline in the
// past would be one of each millisecond, for each quiet connection.
func TestDue_looksAheadOnly(t *testing.T) {
	usual := Options{IdleTimeout: 60 * time.Second, PingInterval: 25 * time.Second, MessageTimeout: 60 * time.Second,
		WriteTimeout: 10 * time.Second, HibernateAfter: 15 * time.Second}
	for name, tt := range map[string]struct {
		change func(o *Options)
		talk   func(peer *rawclient.Client) error
	}{
		"a peer that answers no pings":   {func(*Options) {}, nil},
		"the same, and no IdleTimeout":   {func(o *Options) { o.IdleTimeout = -1 }, nil},
		"the same, and it may not sleep": {func(o *Options) { o.IdleTimeout, o.HibernateAfter = -1, -1 }, nil},
		"pings before it sleeps":         {func(o *Options) { o.IdleTimeout, o.PingInterval = -1, 5*time.Second }, nil},
		"half a frame, so that it does not sleep": {func(o *Options) { o.MessageTimeout = -1 },
			func(peer *rawclient.Client) error { return peer.WriteBytes([]byte{0x81}) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := usual
				tt.change(&o)
				c, peer := connected(t, o)
				if tt.talk != nil {
					if err := tt.talk(peer); err != nil {
						t.Fatal(err)
					}
				}
				for range 550 { // 55 s
					time.Sleep(100 * time.Millisecond)
					synctest.Wait()
					c.mu.Lock()
					now := c.group.at(time.Now())
					next, ok := c.nextDue(now)
					c.mu.Unlock()
					// What became due in this very millisecond is looked at in the next one.
					if !ok || next <= now-3*time.Second {
						t.Fatalf("%v after the upgrade the next deadline is at %v (there is one: %t), want one to come", now, next, ok)
					}
				}
			})
		})
	}
}

// TestOpen_killedBefore: a System that is shut down without patience ends the process while the handshake is under way. Nobody
// else would close TCP then.
func TestOpen_killedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := newSystem(t)
		reported := make(chan error, 1)
		g := NewGroup(Options{System: sys, MailboxLimit: 1, Opened: func(*Conn) {}, Closed: func(c *Conn) { reported <- c.End().Reason }})
		c, err := g.Spawn(nobody{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.PID().Exit(actor.ErrKilled)
		near, far := pipe.New(0)
		defer near.Close()
		c.Open(wire.NewOpener(wire.Options{}).Open(far, "", false, nil))
		synctest.Wait()
		select {
		case got := <-reported:
			if !errors.Is(got, actor.ErrKilled) {
				t.Errorf("it ended with %v, want ErrKilled", got)
			}
		default:
			t.Error("the end of a connection whose process was killed before is not reported")
		}
		if _, err := near.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("Read of the peer: %v, want that TCP is closed", err)
		}
		_ = sys.Shutdown(context.Background()) // nobody is left
	})
}

// TestWatch_ofShortCallbacks: a busy connection stands in the watch once, and when nothing goes on there is no timer.
func TestWatch_ofShortCallbacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := connected(t, Options{SlowCallback: time.Second, Slow: func(*Conn, string, time.Duration) { t.Error("a short callback is slow") }})
		w := &c.group.watches[c.watch]
		want := func(when string, conns int) {
			t.Helper()
			synctest.Wait()
			w.mu.Lock()
			defer w.mu.Unlock()
			if len(w.conns) != conns || w.runs != (conns > 0) {
				t.Errorf("%s: %d connections in the watch, which runs: %t; want %d", when, len(w.conns), w.runs, conns)
			}
		}
		time.Sleep(time.Second)
		want("at rest", 0)
		for range 1000 {
			if err := peer.Text("x"); err != nil {
				t.Fatal(err)
			}
		}
		want("after 1,000 messages in a moment", 1)
		time.Sleep(longCallback)
		want("after a look", 0)
		c.PID().Send("x")
		want("after a message of another process", 1)
		time.Sleep(longCallback)
		want("after another look", 0)
	})
}

// hears is a handler that does something when it hears its client.
type hears struct {
	nobody
	in func(ctx context.Context) websock.Result
}

func (h hears) HandleIn(ctx context.Context, _ websock.Message) websock.Result { return h.in(ctx) }

// TestWatch_ofEnded: a connection whose process ends on its reader's goroutine leaves the watch.
func TestWatch_ofEnded(t *testing.T) {
	for name, in := range map[string]func(ctx context.Context) websock.Result{
		"the peer's Close": nil,
		"Stop":             func(context.Context) websock.Result { return websock.Stop(websock.ErrNormal) },
		"a panic":          func(context.Context) websock.Result { panic("as asked") },
		"a kill":           func(ctx context.Context) websock.Result { actor.Self(ctx).Exit(actor.ErrKilled); return websock.OK() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := hears{in: in}
				if in == nil {
					h.in = func(context.Context) websock.Result { return websock.OK() }
				}
				c, peer := connectedTo(t, Options{}, h)
				time.Sleep(2 * longCallback) // nobody watches it for its Init any more
				if err := peer.Text("x"); err != nil {
					t.Fatal(err)
				}
				if in == nil {
					if err := peer.Close(1000, ""); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				w := &c.group.watches[c.watch]
				look := func() (conns int, alive bool) {
					w.mu.Lock()
					defer w.mu.Unlock()
					return len(w.conns), c.PID().Alive()
				}
				if n, alive := look(); n != 1 || alive {
					t.Errorf("at the end: %d connections in the watch, the process lives: %t; want 1, dead", n, alive)
				}
				time.Sleep(longCallback)
				synctest.Wait()
				if n, _ := look(); n != 0 {
					t.Errorf("after a look: %d connections in the watch, want none", n)
				}
			})
		})
	}
}

// BenchmarkEnter is what a callback costs whose connection is in the watch, and what it costs with a look after each.
func BenchmarkEnter(b *testing.B) {
	sys, err := actor.NewSystem(actor.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer sys.Shutdown(context.Background())
	g := NewGroup(Options{System: sys, MailboxLimit: 1, SlowCallback: 5 * time.Second})
	conns := make([]*Conn, 10_000)
	for i := range conns {
		if conns[i], err = g.Spawn(nobody{}, nil); err != nil {
			b.Fatal(err)
		}
		defer conns[i].PID().Exit(actor.ErrKilled)
	}
	b.Run("busy", func(b *testing.B) {
		for b.Loop() {
			if c := conns[0]; !c.watched.Load() {
				g.enter(c)
			}
		}
	})
	lookAtAll := func() {
		for i := range g.watches {
			if w := &g.watches[i]; len(w.conns) > 0 {
				w.look()
			}
		}
	}
	b.Run("quiet", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if c := conns[i%len(conns)]; !c.watched.Load() {
				g.enter(c)
			}
			if i%len(conns) == len(conns)-1 {
				lookAtAll()
			}
		}
	})
	b.Run("quiet, all processors", func(b *testing.B) { // each goroutine has connections of its own
		var part atomic.Int32
		b.RunParallel(func(pb *testing.PB) {
			own := conns[int(part.Add(1)-1)%8*len(conns)/8:][:len(conns)/8]
			for i := 0; pb.Next(); i++ {
				c := own[i%len(own)]
				if !c.watched.Load() {
					g.enter(c)
				}
				if i%len(own) == len(own)-1 {
					g.watches[c.watch].look()
				}
			}
		})
	})
}
