package notify_test

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/troupe-dev/troupe/socket/internal/notify"
	"github.com/troupe-dev/troupe/socket/internal/pipe"
)

// eachTransport runs f with a Notifier and both ends of a connection. Afterwards
// nothing may be left of the Notifier.
func eachTransport(t *testing.T, f func(t *testing.T, tr transport, n *notify.Notifier, c, peer halfCloser)) {
	for _, tr := range transports(t) {
		t.Run(tr.name, func(t *testing.T) {
			var n notify.Notifier
			c, peer := tr.dial(t)
			f(t, tr, &n, c, peer)
			_, _ = c.Close(), peer.Close()
			n.Wait()
		})
	}
}

func TestNotifier_wakes(t *testing.T) {
	write := func(_ transport, _, peer halfCloser) { _, _ = peer.Write([]byte("x")) }
	for _, tt := range []struct {
		name  string
		event func(tr transport, c, peer halfCloser)
	}{
		{"bytes", write},
		{"half close", func(_ transport, _, peer halfCloser) { _ = peer.CloseWrite() }},
		{"close", func(_ transport, _, peer halfCloser) { _ = peer.Close() }},
		{"reset", func(tr transport, c, peer halfCloser) { tr.reset(c, peer) }},
		{"bytes and close", func(tr transport, c, peer halfCloser) { write(tr, c, peer); _ = peer.Close() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Run("after Arm", func(t *testing.T) {
				eachTransport(t, func(t *testing.T, tr transport, n *notify.Notifier, c, peer halfCloser) {
					var s notify.Sleeper
					f := newFlag()
					mustArm(t, n, &s, c, f, notify.Readable)
					tt.event(tr, c, peer)
					f.want(t)
					if n.Disarm(&s, c) {
						t.Error("Disarm after the wake: got true, want false")
					}
					n.Release(&s, c)
					f.none(t)
				})
			})
			t.Run("before Arm", func(t *testing.T) {
				eachTransport(t, func(t *testing.T, tr transport, n *notify.Notifier, c, peer halfCloser) {
					var s notify.Sleeper
					f := newFlag()
					tt.event(tr, c, peer)
					already, err := n.Arm(&s, c, f, notify.Readable)
					if err != nil || (already == 0) != (tr.name != "pipe") {
						t.Fatalf("Arm: got %v, %v, want armed with a descriptor only", already, err)
					}
					if already == 0 {
						f.want(t)
					}
					n.Release(&s, c)
					f.none(t)
				})
			})
		})
	}
}

func TestNotifier_wakesOnceForEachArm(t *testing.T) {
	eachTransport(t, func(t *testing.T, _ transport, n *notify.Notifier, c, peer halfCloser) {
		var s notify.Sleeper
		f := newFlag()
		p := make([]byte, 10)
		for range 100 {
			mustArm(t, n, &s, c, f, notify.Readable)
			for range 2 { // the second finds it disarmed
				if _, err := peer.Write([]byte("12345")); err != nil {
					t.Fatal(err)
				}
			}
			f.want(t)
			for got := 0; got < 10; {
				m, err := c.Read(p)
				if err != nil {
					t.Fatal(err)
				}
				got += m
			}
		}
		n.Release(&s, c)
		f.none(t)
	})
}

func TestNotifier_Disarm(t *testing.T) {
	eachTransport(t, func(t *testing.T, tr transport, n *notify.Notifier, c, peer halfCloser) {
		var s, other notify.Sleeper
		if n.Disarm(&s, c) {
			t.Error("Disarm before Arm: got true, want false")
		}
		gone, f := newFlag(), newFlag()
		for range 10 {
			mustArm(t, n, &s, c, gone, notify.Readable)
			if !n.Disarm(&s, c) {
				t.Error("Disarm: got false, want true")
			}
			if n.Disarm(&s, c) {
				t.Error("second Disarm: got true, want false")
			}
		}
		if _, err := peer.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		// The event of the ended generation is dropped, before that of another
		// connection.
		c2, peer2 := tr.dial(t)
		mustArm(t, n, &other, c2, f, notify.Readable)
		_ = peer2.Close()
		f.want(t)
		gone.none(t)
		n.Release(&other, c2)
		_ = c2.Close()
		n.Release(&s, c)
	})
}

func TestNotifier_Release(t *testing.T) {
	eachTransport(t, func(t *testing.T, _ transport, n *notify.Notifier, c, peer halfCloser) {
		var s notify.Sleeper
		n.Release(&s, c) // never armed
		f := newFlag()
		for range 3 { // the last Release ends the goroutine, the next Arm starts one
			mustArm(t, n, &s, c, f, notify.Readable)
			n.Release(&s, c)
			n.Release(&s, c)
			n.Wait()
			if n.Disarm(&s, c) {
				t.Error("Disarm after Release: got true, want false")
			}
		}
		if _, err := peer.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		f.none(t)
	})
}

// inWake releases its own connection when it is woken, as a socket does that
// ends.
type inWake struct {
	n    *notify.Notifier
	mu   sync.Mutex // of s
	s    notify.Sleeper
	c    net.Conn
	done chan struct{}
}

func (w *inWake) Wake(notify.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n.Release(&w.s, w.c)
	close(w.done)
}

func TestNotifier_ReleaseInWake(t *testing.T) {
	eachTransport(t, func(t *testing.T, _ transport, n *notify.Notifier, c, peer halfCloser) {
		w := &inWake{n: n, c: c, done: make(chan struct{})}
		w.mu.Lock()
		already, err := n.Arm(&w.s, c, w, notify.Readable)
		w.mu.Unlock()
		if already != 0 || err != nil {
			t.Fatalf("Arm: got %v, %v, want armed", already, err)
		}
		if _, err := peer.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		<-w.done
	})
}

func TestNotifier_ArmOfWhatIsArmedPanics(t *testing.T) {
	eachTransport(t, func(t *testing.T, _ transport, n *notify.Notifier, c, _ halfCloser) {
		var s notify.Sleeper
		mustArm(t, n, &s, c, newFlag(), notify.Readable)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the second Arm did not panic")
				}
			}()
			_, _ = n.Arm(&s, c, newFlag(), notify.HalfClosed)
		}()
		n.Release(&s, c)
	})
}

func TestNotifier_closedConn(t *testing.T) {
	eachTransport(t, func(t *testing.T, tr transport, n *notify.Notifier, c, _ halfCloser) {
		var s notify.Sleeper
		f := newFlag()
		_ = c.Close()
		for _, want := range events {
			already, err := n.Arm(&s, c, f, want)
			if tr.name == "pipe" && already != notify.Gone || tr.name != "pipe" && !errors.Is(err, net.ErrClosed) {
				t.Errorf("Arm of a closed connection: got %v, %v, want net.ErrClosed, or gone in memory", already, err)
			}
		}
		n.Wait() // nothing is registered
		f.none(t)
	})
}

// wrapper is a connection that may hold bytes which it has read.
type wrapper struct{ net.Conn }

func TestSupported(t *testing.T) {
	for _, tr := range transports(t) {
		c, peer := tr.dial(t)
		if !notify.Supported(c) {
			t.Errorf("%s: got false, want true", tr.name)
		}
		overTLS := tls.Server(c, &tls.Config{})
		if !notify.Supported(overTLS) {
			t.Errorf("TLS over %s: got false, want true", tr.name)
		}
		for _, wrapped := range []net.Conn{wrapper{c}, tls.Server(wrapper{c}, &tls.Config{}), tls.Server(overTLS, &tls.Config{})} {
			for _, want := range events {
				unsupported(t, wrapped, want)
			}
		}
		_, _ = c.Close(), peer.Close()
	}
}

func unsupported(t *testing.T, c net.Conn, want notify.Event) {
	t.Helper()
	if notify.Supported(c) {
		t.Errorf("Supported(%T): got true, want false", c)
	}
	var n notify.Notifier
	var s notify.Sleeper
	if already, err := n.Arm(&s, c, newFlag(), want); already != 0 || !errors.Is(err, notify.ErrUnsupported) {
		t.Errorf("Arm of a %T, %v: got %v, %v, want ErrUnsupported", c, want, already, err)
	}
	if n.Disarm(&s, c) {
		t.Errorf("Disarm of a %T: got true, want false", c)
	}
	n.Release(&s, c)
	n.Wait()
}

// TestNotifier_bubble shows that connections in memory start nothing: a
// goroutine that waits for the network would keep the bubble's time standing.
func TestNotifier_bubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n notify.Notifier
		var s notify.Sleeper
		c, peer := pipe.New(0)
		f := newFlag()
		mustArm(t, &n, &s, c, f, notify.Readable)
		time.Sleep(time.Hour)
		synctest.Wait()
		f.none(t)
		if _, err := peer.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if len(f.c) != 1 {
			t.Error("no wake when Write returned")
		}
		n.Release(&s, c)
		n.Wait()
	})
}

func TestSleeper_isSmall(t *testing.T) {
	if got := unsafe.Sizeof(notify.Sleeper{}); got > 8 {
		t.Errorf("a Sleeper has %d bytes, want at most 8", got)
	}
}
