package pipe_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/notify"
	"github.com/troupe-dev/troupe/socket/internal/pipe"
)

// waker counts its calls, and uses the connection, which deadlocks when a lock
// is held.
type waker struct {
	c     *pipe.Conn
	calls atomic.Int32
	told  atomic.Uint32 // the last notify.Event
}

func (w *waker) Wake(what notify.Event) {
	if w.c.Readable() {
		w.calls.Add(1)
	}
	w.told.Store(uint32(what))
}

func register(t *testing.T, c *pipe.Conn, want notify.Event) *waker {
	t.Helper()
	w := &waker{c: c}
	if already := c.Notify(w, want); already != 0 {
		t.Fatalf("Notify for %v: got %v, want 0", want, already)
	}
	return w
}

func (w *waker) want(t *testing.T, calls int) {
	t.Helper()
	if got := int(w.calls.Load()); got != calls {
		t.Errorf("%d calls of Wake on a readable Conn, want %d", got, calls)
	}
}

// events happen to c before they return.
var events = []struct {
	name  string
	event func(c, peer *pipe.Conn)
	what  notify.Event
}{
	{"data", func(_, peer *pipe.Conn) { _, _ = peer.Write([]byte("x")) }, notify.Readable},
	{"deadline in the past", func(c, _ *pipe.Conn) { _ = c.SetReadDeadline(time.Unix(1, 0)) }, notify.Readable},
	{"deadline now", func(c, _ *pipe.Conn) { _ = c.SetDeadline(time.Now()) }, notify.Readable},
	{"half close", func(_, peer *pipe.Conn) { _ = peer.CloseWrite() }, notify.HalfClosed},
	{"close", func(_, peer *pipe.Conn) { _ = peer.Close() }, notify.HalfClosed},
	{"reset", func(_, peer *pipe.Conn) { peer.Reset() }, notify.Gone},
	{"own close", func(c, _ *pipe.Conn) { _ = c.Close() }, notify.Gone},
	{"own reset", func(c, _ *pipe.Conn) { c.Reset() }, notify.Gone},
}

// eachEvent runs f for each event and each thing that a Waker can wait for.
func eachEvent(t *testing.T, f func(t *testing.T, event func(c, peer *pipe.Conn), what, want notify.Event)) {
	for _, tt := range events {
		for _, want := range []notify.Event{notify.Readable, notify.HalfClosed, notify.Gone} {
			t.Run(tt.name+", registered for "+want.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { f(t, tt.event, tt.what, want) })
			})
		}
	}
}

func TestNotify(t *testing.T) {
	eachEvent(t, func(t *testing.T, event func(c, peer *pipe.Conn), what, want notify.Event) {
		c, peer := pipe.New(0)
		w := register(t, c, want)
		if c.Readable() {
			t.Error("Readable before: got true, want false")
		}
		w.want(t, 0)
		event(c, peer)
		if what < want {
			w.want(t, 0)
			if !c.Forget() {
				t.Error("Forget: got false, want true")
			}
			return
		}
		w.want(t, 1)
		if got := notify.Event(w.told.Load()); got != what {
			t.Errorf("told %v, want %v", got, what)
		}
		if c.Forget() {
			t.Error("Forget after the call: got true, want false")
		}
		if got := c.Notify(w, want); got != what {
			t.Errorf("Notify of what has happened: got %v, want %v", got, what)
		}
		_, _ = c.Close(), peer.Close()
		w.want(t, 1)
	})
}

func TestForget(t *testing.T) {
	eachEvent(t, func(t *testing.T, event func(c, peer *pipe.Conn), _, want notify.Event) {
		c, peer := pipe.New(0)
		if c.Forget() {
			t.Error("Forget of nothing: got true, want false")
		}
		w := register(t, c, want)
		if !c.Forget() {
			t.Error("Forget: got false, want true")
		}
		event(c, peer)
		_, _ = c.Close(), peer.Close()
		w.want(t, 0)
	})
}

// TestNotify_follows a peer that leaves, for whoever does not read: bytes, half close, and the reset that answers a
// write.
func TestNotify_follows(t *testing.T) {
	for _, resets := range []func(c, peer *pipe.Conn){
		func(_, peer *pipe.Conn) { peer.Reset() },
		func(c, peer *pipe.Conn) { _, _ = c.Write([]byte("x")); _ = peer.Close() }, // with unread bytes
		func(c, peer *pipe.Conn) { _ = peer.Close(); _, _ = c.Write([]byte("x")) },
	} {
		synctest.Test(t, func(t *testing.T) {
			c, peer := pipe.New(0)
			if err := c.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
				t.Fatal(err)
			}
			w := register(t, c, notify.HalfClosed)
			if _, err := peer.Write([]byte("bytes")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour) // the read deadline does not count
			synctest.Wait()
			w.want(t, 0)
			_ = peer.CloseWrite()
			w.want(t, 1)
			for range 2 {
				w = register(t, c, notify.Gone)
				time.Sleep(time.Hour)
				synctest.Wait()
				w.want(t, 0)
				if !c.Forget() {
					t.Error("Forget after the half close: got false, want true")
				}
			}
			if err := c.SetReadDeadline(time.Time{}); err != nil {
				t.Fatal(err)
			}
			p := make([]byte, 10)
			if n, err := c.Read(p); string(p[:n]) != "bytes" || err != nil {
				t.Errorf("read after the half close: got %q, %v, want the bytes before it", p[:n], err)
			}
			w = register(t, c, notify.Gone)
			resets(c, peer)
			w.want(t, 1)
			if got := notify.Event(w.told.Load()); got != notify.Gone {
				t.Errorf("told %v, want %v", got, notify.Gone)
			}
		})
	}
}

// TestNotify_deadlineOfARead is for the Read that waits, not for a Waker of hangups beside it.
func TestNotify_deadlineOfARead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := pipe.New(0)
		register(t, c, notify.HalfClosed)
		if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		done, got := start(t, func() (int, error) { return c.Read(make([]byte, 1)) })
		if !c.Forget() {
			t.Error("Forget: got false, want true")
		}
		w := register(t, c, notify.Gone)
		<-done
		if !errors.Is(got.err, os.ErrDeadlineExceeded) {
			t.Errorf("Read: got %v, want os.ErrDeadlineExceeded", got.err)
		}
		w.want(t, 0)
		peer.Reset()
		w.want(t, 1)
	})
}

// TestNotify_aWriteThatBlocks goes on to wait for room when a Waker does not wait for bytes.
func TestNotify_aWriteThatBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := pipe.New(4)
		w := register(t, c, notify.HalfClosed)
		done, got := start(t, func() (int, error) { return peer.Write([]byte("123456")) })
		w.want(t, 0)
		c.Reset()
		<-done
		if got.n != 4 || got.err == nil {
			t.Errorf("Write: got %d, %v, want 4 and an error", got.n, got.err)
		}
		w.want(t, 1)
	})
}

func TestNotify_notForWhatIsNotReadable(t *testing.T) {
	c, peer := pipe.New(4)
	w := register(t, c, notify.Readable)
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
	if !c.Forget() {
		t.Error("Forget: got false, want true")
	}
}

func TestNotify_deadlineThatPasses(t *testing.T) {
	for _, before := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			c, _ := pipe.New(0)
			var w *waker
			if !before {
				w = register(t, c, notify.Readable)
			}
			for _, d := range []time.Duration{time.Hour, time.Second, time.Minute} {
				if err := c.SetReadDeadline(time.Now().Add(d)); err != nil {
					t.Fatal(err)
				}
			}
			if before {
				w = register(t, c, notify.Readable)
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

func TestNotify_beforeAWriteBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := pipe.New(4)
		w := register(t, c, notify.Readable)
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

func (r *reader) Wake(notify.Event) {
	for r.c.Notify(r, notify.Readable) != 0 {
		n, err := r.c.Read(make([]byte, 3))
		if err != nil {
			return
		}
		r.got += n
	}
}

func TestNotify_readInWake(t *testing.T) {
	c, peer := pipe.New(10)
	r := &reader{t: t, c: c}
	r.Wake(notify.Readable)
	if n, err := peer.Write(make([]byte, 1000)); n != 1000 || err != nil {
		t.Fatalf("Write: got %d, %v, want 1000", n, err)
	}
	_ = peer.Close()
	if r.got != 1000 {
		t.Errorf("%d bytes were read, want 1000", r.got)
	}
}

func TestNotify_twicePanics(t *testing.T) {
	c, peer := pipe.New(0)
	w := register(t, c, notify.Readable)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the second Notify did not panic")
			}
		}()
		c.Notify(w, notify.Gone)
	}()
	_ = peer.Close()
	w.want(t, 1)
}

// once is a waker whose calls are all counted.
type once struct {
	calls atomic.Int32
	done  chan struct{}
}

func (o *once) Wake(notify.Event) {
	o.calls.Add(1)
	o.done <- struct{}{}
}

func TestNotify_concurrentUse(t *testing.T) {
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
			if c.Notify(o, notify.Readable) == 0 {
				if turn.IntN(2) == 0 || !c.Forget() {
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
		if already := b.Notify(w, notify.Readable); already != 0 {
			t.Fatalf("Notify: got %v, want 0", already)
		}
	}
	got := (heap() - before) / pairs
	t.Logf("%d bytes for a pair", got)
	if got > most {
		t.Errorf("an idle pair holds %d bytes, want at most %d", got, most)
	}
	runtime.KeepAlive(conns)
}
