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
	write := func(_ transport, peer halfCloser) { _, _ = peer.Write([]byte("x")) }
	for _, tt := range []struct {
		name  string
		event func(tr transport, peer halfCloser)
	}{
		{"bytes", write},
		{"half close", func(_ transport, peer halfCloser) { _ = peer.CloseWrite() }},
		{"close", func(_ transport, peer halfCloser) { _ = peer.Close() }},
		{"reset", func(tr transport, peer halfCloser) { tr.reset(peer) }},
		{"bytes and close", func(tr transport, peer halfCloser) { write(tr, peer); _ = peer.Close() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Run("after Arm", func(t *testing.T) {
				eachTransport(t, func(t *testing.T, tr transport, n *notify.Notifier, c, peer halfCloser) {
					var s notify.Sleeper
					f := newFlag()
					if armed, err := n.Arm(&s, c, f); !armed || err != nil {
						t.Fatalf("Arm: got %v, %v, want armed", armed, err)
					}
					tt.event(tr, peer)
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
					tt.event(tr, peer)
					armed, err := n.Arm(&s, c, f)
					if err != nil || armed != (tr.name != "pipe") {
						t.Fatalf("Arm: got %v, %v, want armed with a descriptor only", armed, err)
					}
					if armed {
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
			if armed, err := n.Arm(&s, c, f); !armed || err != nil {
				t.Fatalf("Arm: got %v, %v, want armed", armed, err)
			}
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
			if armed, err := n.Arm(&s, c, gone); !armed || err != nil {
				t.Fatalf("Arm: got %v, %v, want armed", armed, err)
			}
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
		if armed, err := n.Arm(&other, c2, f); !armed || err != nil {
			t.Fatalf("Arm: got %v, %v, want armed", armed, err)
		}
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
			if armed, err := n.Arm(&s, c, f); !armed || err != nil {
				t.Fatalf("Arm: got %v, %v, want armed", armed, err)
			}
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

func (w *inWake) Wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n.Release(&w.s, w.c)
	close(w.done)
}

func TestNotifier_ReleaseInWake(t *testing.T) {
	eachTransport(t, func(t *testing.T, _ transport, n *notify.Notifier, c, peer halfCloser) {
		w := &inWake{n: n, c: c, done: make(chan struct{})}
		w.mu.Lock()
		armed, err := n.Arm(&w.s, c, w)
		w.mu.Unlock()
		if !armed || err != nil {
			t.Fatalf("Arm: got %v, %v, want armed", armed, err)
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
		if armed, err := n.Arm(&s, c, newFlag()); !armed || err != nil {
			t.Fatalf("Arm: got %v, %v, want armed", armed, err)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the second Arm did not panic")
				}
			}()
			_, _ = n.Arm(&s, c, newFlag())
		}()
		n.Release(&s, c)
	})
}

func TestNotifier_closedConn(t *testing.T) {
	eachTransport(t, func(t *testing.T, tr transport, n *notify.Notifier, c, _ halfCloser) {
		var s notify.Sleeper
		f := newFlag()
		_ = c.Close()
		armed, err := n.Arm(&s, c, f)
		if armed || tr.name != "pipe" && !errors.Is(err, net.ErrClosed) {
			t.Errorf("Arm of a closed connection: got %v, %v, want net.ErrClosed", armed, err)
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
		for _, wrapped := range []net.Conn{wrapper{c}, tls.Server(c, &tls.Config{})} {
			if notify.Supported(wrapped) {
				t.Errorf("%s in a %T: got true, want false", tr.name, wrapped)
			}
			var n notify.Notifier
			var s notify.Sleeper
			if armed, err := n.Arm(&s, wrapped, newFlag()); armed || !errors.Is(err, notify.ErrUnsupported) {
				t.Errorf("Arm of %s in a %T: got %v, %v, want ErrUnsupported", tr.name, wrapped, armed, err)
			}
			if n.Disarm(&s, wrapped) {
				t.Errorf("Disarm of %s in a %T: got true, want false", tr.name, wrapped)
			}
			n.Release(&s, wrapped)
			n.Wait()
		}
		_, _ = c.Close(), peer.Close()
	}
}

// TestNotifier_bubble shows that connections in memory start nothing: a
// goroutine that waits for the network would keep the bubble's time standing.
func TestNotifier_bubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n notify.Notifier
		var s notify.Sleeper
		c, peer := pipe.New(0)
		f := &flag{c: make(chan struct{}, 1)}
		if armed, err := n.Arm(&s, c, f); !armed || err != nil {
			t.Fatalf("Arm: got %v, %v, want armed", armed, err)
		}
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
