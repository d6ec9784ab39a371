package pipe_test

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/pipe"
)

// waker counts its calls, and uses the connection, which deadlocks when a lock
// is held.
type waker struct {
	c     *pipe.Conn
	calls atomic.Int32
}

func (w *waker) Wake() {
	if w.c.Readable() {
		w.calls.Add(1)
	}
}

func register(t *testing.T, c *pipe.Conn) *waker {
	t.Helper()
	w := &waker{c: c}
	if !c.NotifyReadable(w) {
		t.Fatal("NotifyReadable: got false, want true")
	}
	return w
}

func (w *waker) want(t *testing.T, calls int) {
	t.Helper()
	if got := int(w.calls.Load()); got != calls {
		t.Errorf("%d calls of Wake on a readable Conn, want %d", got, calls)
	}
}

// events make c readable before they return.
var events = []struct {
	name  string
	event func(c, peer *pipe.Conn)
}{
	{"data", func(_, peer *pipe.Conn) { _, _ = peer.Write([]byte("x")) }},
	{"half close", func(_, peer *pipe.Conn) { _ = peer.CloseWrite() }},
	{"close", func(_, peer *pipe.Conn) { _ = peer.Close() }},
	{"reset", func(_, peer *pipe.Conn) { peer.Reset() }},
	{"own close", func(c, _ *pipe.Conn) { _ = c.Close() }},
	{"own reset", func(c, _ *pipe.Conn) { c.Reset() }},
	{"write to a peer that is gone", func(c, peer *pipe.Conn) { _ = peer.Close(); _, _ = c.Write([]byte("x")) }},
	{"deadline in the past", func(c, _ *pipe.Conn) { _ = c.SetReadDeadline(time.Unix(1, 0)) }},
	{"deadline now", func(c, _ *pipe.Conn) { _ = c.SetDeadline(time.Now()) }},
}

func TestNotifyReadable(t *testing.T) {
	for _, tt := range events {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, peer := pipe.New(0)
				w := register(t, c)
				if c.Readable() {
					t.Error("Readable before: got true, want false")
				}
				w.want(t, 0)
				tt.event(c, peer)
				w.want(t, 1)
				if c.ForgetReadable() {
					t.Error("ForgetReadable after the call: got true, want false")
				}
				if c.NotifyReadable(w) {
					t.Error("NotifyReadable of what is readable: got true, want false")
				}
				_, _ = c.Close(), peer.Close()
				w.want(t, 1)
			})
		})
	}
}

func TestForgetReadable(t *testing.T) {
	for _, tt := range events {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, peer := pipe.New(0)
				if c.ForgetReadable() {
					t.Error("ForgetReadable of nothing: got true, want false")
				}
				w := register(t, c)
				if !c.ForgetReadable() {
					t.Error("ForgetReadable: got false, want true")
				}
				tt.event(c, peer)
				_, _ = c.Close(), peer.Close()
				w.want(t, 0)
			})
		})
	}
}

func TestNotifyReadable_notForWhatIsNotReadable(t *testing.T) {
	c, peer := pipe.New(4)
	w := register(t, c)
	for _, err := range []error{
		c.SetDeadline(time.Now().Add(time.Hour)), c.SetDeadline(time.Time{}), c.SetWriteDeadline(time.Unix(1, 0)),
		c.SetWriteDeadline(time.Time{}), c.CloseWrite(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := peer.Write(nil); err != nil {
		t.Fatal(err)
	}
	w.want(t, 0)
	if !c.ForgetReadable() {
		t.Error("ForgetReadable: got false, want true")
	}
}

func TestNotifyReadable_deadlineThatPasses(t *testing.T) {
	for _, before := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			c, _ := pipe.New(0)
			var w *waker
			if !before {
				w = register(t, c)
			}
			for _, d := range []time.Duration{time.Hour, time.Second, time.Minute} {
				if err := c.SetReadDeadline(time.Now().Add(d)); err != nil {
					t.Fatal(err)
				}
			}
			if before {
				w = register(t, c)
			}
			time.Sleep(time.Minute - 1)
			synctest.Wait()
			w.want(t, 0)
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			w.want(t, 1)
		})
	}
}

func TestNotifyReadable_beforeAWriteBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := pipe.New(4)
		w := register(t, c)
		done, got := start(t, func() (int, error) { return peer.Write([]byte("123456")) })
		w.want(t, 1)
		for range 2 {
			if _, err := c.Read(make([]byte, 4)); err != nil {
				t.Fatal(err)
			}
		}
		<-done
		if got.n != 6 || got.err != nil {
			t.Errorf("Write: got %d, %v, want 6", got.n, got.err)
		}
	})
}

// reader reads in its Wake all that there is and registers itself again, so
// that no goroutine but the writer's is needed.
type reader struct {
	t   *testing.T
	c   *pipe.Conn
	got int
}

func (r *reader) Wake() {
	for !r.c.NotifyReadable(r) {
		n, err := r.c.Read(make([]byte, 3))
		if err != nil {
			return
		}
		r.got += n
	}
}

func TestNotifyReadable_readInWake(t *testing.T) {
	c, peer := pipe.New(10)
	r := &reader{t: t, c: c}
	r.Wake()
	if n, err := peer.Write(make([]byte, 1000)); n != 1000 || err != nil {
		t.Fatalf("Write: got %d, %v, want 1000", n, err)
	}
	_ = peer.Close()
	if r.got != 1000 {
		t.Errorf("%d bytes were read, want 1000", r.got)
	}
}

func TestNotifyReadable_twicePanics(t *testing.T) {
	c, peer := pipe.New(0)
	w := register(t, c)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the second NotifyReadable did not panic")
			}
		}()
		c.NotifyReadable(w)
	}()
	_ = peer.Close()
	w.want(t, 1)
}

// once is a waker whose calls are all counted.
type once struct {
	calls atomic.Int32
	done  chan struct{}
}

func (o *once) Wake() {
	o.calls.Add(1)
	o.done <- struct{}{}
}

func TestNotifyReadable_concurrentUse(t *testing.T) {
	for seed := range uint64(500) {
		rnd := rand.New(rand.NewPCG(seed, 4))
		c, peer := pipe.New(4)
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 20 {
				if _, err := peer.Write([]byte("abcdefg")[:1+rnd.IntN(7)]); err != nil {
					t.Errorf("write: %v", err)
				}
			}
			_ = peer.CloseWrite()
		})
		turn := rand.New(rand.NewPCG(seed, 5))
		for {
			o := &once{done: make(chan struct{}, 10)}
			want := 0
			if c.NotifyReadable(o) {
				if turn.IntN(2) == 0 || !c.ForgetReadable() {
					<-o.done
					want = 1
				}
			}
			if want == 0 {
				if err := c.WaitRead(); err != nil {
					t.Fatal(err)
				}
			}
			_, err := c.Read(make([]byte, 3))
			if got := int(o.calls.Load()); got != want {
				t.Fatalf("seed %d: %d calls of Wake, want %d", seed, got, want)
			}
			if err != nil {
				break
			}
		}
		wg.Wait()
	}
}

// TestConn_isSmall keeps what a million pairs need below 300 MB, also when
// all that waiting needs was used before.
func TestConn_isSmall(t *testing.T) {
	const pairs, most = 10_000, 300
	conns := make([]*pipe.Conn, 0, 2*pairs)
	w := &once{done: make(chan struct{}, 1)}
	p := make([]byte, 100)
	before := heap()
	for range pairs {
		a, b := pipe.New(0)
		conns = append(conns, a, b)
		for _, c := range []*pipe.Conn{a, b} {
			if err := c.SetWriteDeadline(time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := a.Write(p); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Read(p); err != nil {
			t.Fatal(err)
		}
		if err := b.SetReadDeadline(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		if err := b.WaitRead(); err == nil {
			t.Fatal("WaitRead after the deadline: got nil")
		}
		if err := b.SetDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		if !b.NotifyReadable(w) {
			t.Fatal("NotifyReadable: got false, want true")
		}
	}
	got := (heap() - before) / pairs
	t.Logf("%d bytes for a pair", got)
	if got > most {
		t.Errorf("an idle pair holds %d bytes, want at most %d", got, most)
	}
	runtime.KeepAlive(conns)
}
