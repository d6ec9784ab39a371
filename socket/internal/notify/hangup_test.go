package notify_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/notify"
	"github.com/troupe-dev/troupe/socket/internal/pipe"
)

// act is what a peer does, in the order of its letters: bytes, FIN, reset, close.
func act(t *testing.T, tr transport, c, peer halfCloser, what string) {
	t.Helper()
	for _, a := range what {
		var err error
		switch a {
		case 'b':
			_, err = peer.Write([]byte("bytes"))
		case 'f':
			err = peer.CloseWrite()
		case 'r':
			tr.reset(c, peer)
		case 'c':
			err = peer.Close()
		default:
			t.Fatalf("unknown act %q", a)
		}
		if err != nil {
			t.Fatalf("%q of %q: %v", a, what, err)
		}
	}
}

// settled returns when what has happened before has been told: events are handled in the order of their coming.
func settled(t *testing.T, tr transport, n *notify.Notifier) {
	t.Helper()
	var s notify.Sleeper
	c, peer := tr.dial(t)
	f := newFlag()
	mustArm(t, n, &s, c, f, notify.Readable)
	_ = peer.Close()
	f.want(t)
	n.Release(&s, c)
	_ = c.Close()
}

// unread reads what c still has, which ends with the end of the stream or with nothing.
func unread(t *testing.T, c net.Conn, want string, eof bool) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second)) // a test that fails does not hang
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Errorf("unread bytes: got %q, %v, want %q", got, err, want)
	}
	if eof {
		if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("after them: got %d bytes, %v, want io.EOF", n, err)
		}
	}
}

// TestNotifier_hangUps: what is told of what a peer does, before c is armed or after it, and what is left to read.
func TestNotifier_hangUps(t *testing.T) {
	const nothing = notify.Event(0)
	for _, tt := range []struct {
		name   string
		want   notify.Event // what c is armed for
		does   string       // the peer; see act
		told   notify.Event
		unread string // if it was not reset
	}{
		{"bytes", notify.HalfClosed, "bb", nothing, "bytesbytes"},
		{"bytes", notify.Gone, "b", nothing, "bytes"},
		{"silence as of a peer that is cut off", notify.HalfClosed, "", nothing, ""},
		{"half close", notify.HalfClosed, "f", notify.HalfClosed, ""},
		{"half close", notify.Gone, "f", nothing, ""},
		{"half close after bytes", notify.HalfClosed, "bf", notify.HalfClosed, "bytes"},
		{"close", notify.HalfClosed, "c", notify.HalfClosed, ""},
		{"close after bytes", notify.HalfClosed, "bc", notify.HalfClosed, "bytes"},
		{"close after bytes", notify.Gone, "bc", nothing, "bytes"},
		{"reset", notify.HalfClosed, "r", notify.Gone, ""},
		{"reset", notify.Gone, "r", notify.Gone, ""},
		{"reset after bytes", notify.HalfClosed, "br", notify.Gone, ""},
		{"reset after a half close", notify.Gone, "fr", notify.Gone, ""},
		{"reset after bytes and a half close", notify.Gone, "bfr", notify.Gone, ""},
	} {
		for _, before := range []bool{true, false} {
			name := tt.name + " for " + tt.want.String() + "/after Arm"
			if before {
				name = tt.name + " for " + tt.want.String() + "/before Arm"
			}
			t.Run(name, func(t *testing.T) {
				eachTransport(t, func(t *testing.T, tr transport, n *notify.Notifier, c, peer halfCloser) {
					var s notify.Sleeper
					f := newFlag()
					if before {
						act(t, tr, c, peer, tt.does)
					}
					told, err := n.Arm(&s, c, f, tt.want)
					if err != nil || told != nothing && !(before && tr.name == "pipe") {
						t.Fatalf("Arm: got %v, %v, want armed", told, err)
					}
					armed := told == nothing
					if !before {
						act(t, tr, c, peer, tt.does)
					}
					switch {
					case tt.told == nothing:
						settled(t, tr, n)
					case armed:
						told, armed = f.want(t), false
					}
					f.none(t)
					if told != tt.told {
						t.Errorf("a peer that does %q: told %v, want %v", tt.does, told, tt.told)
					}
					if got := n.Disarm(&s, c); got != armed {
						t.Errorf("Disarm: got %v, want %v", got, armed)
					}
					if tt.told != notify.Gone {
						unread(t, c, tt.unread, strings.ContainsAny(tt.does, "fc"))
					}
					n.Release(&s, c)
					f.none(t)
				})
			})
		}
	}
}

// TestNotifier_halfCloseThenReset is how whoever does not read follows a peer that leaves: the half close is told once,
// the reset after it, each at once, and nothing fires meanwhile.
func TestNotifier_halfCloseThenReset(t *testing.T) {
	eachTransport(t, func(t *testing.T, tr transport, n *notify.Notifier, c, peer halfCloser) {
		var s notify.Sleeper
		f := newFlag()
		mustArm(t, n, &s, c, f, notify.HalfClosed)
		act(t, tr, c, peer, "bf")
		if got := f.want(t); got != notify.HalfClosed {
			t.Errorf("after the half close: told %v, want %v", got, notify.HalfClosed)
		}
		for range 3 {
			mustArm(t, n, &s, c, f, notify.Gone)
			settled(t, tr, n)
			f.none(t)
			if !n.Disarm(&s, c) {
				t.Error("Disarm after the half close: got false, want true")
			}
		}
		mustArm(t, n, &s, c, f, notify.Gone)
		act(t, tr, c, peer, "r")
		if got := f.want(t); got != notify.Gone {
			t.Errorf("after the reset: told %v, want %v", got, notify.Gone)
		}
		n.Release(&s, c)
		f.none(t)
	})
}

// TestNotifier_writeToAPeerThatHasClosed: the close is a half close until something is written. Then the peer's kernel
// answers with a reset; that of a unix socket lets the write fail, and tells nothing.
func TestNotifier_writeToAPeerThatHasClosed(t *testing.T) {
	eachTransport(t, func(t *testing.T, tr transport, n *notify.Notifier, c, peer halfCloser) {
		var s notify.Sleeper
		f := newFlag()
		mustArm(t, n, &s, c, f, notify.HalfClosed)
		act(t, tr, c, peer, "c")
		if got := f.want(t); got != notify.HalfClosed {
			t.Errorf("after the close: told %v, want %v", got, notify.HalfClosed)
		}
		mustArm(t, n, &s, c, f, notify.Gone)
		_, err := c.Write([]byte("x"))
		if tr.name == "unix" {
			if !errors.Is(err, syscall.EPIPE) {
				t.Errorf("Write: got %v, want EPIPE", err)
			}
			settled(t, tr, n)
			if !n.Disarm(&s, c) {
				t.Error("Disarm: got false, want true")
			}
		} else if got := f.want(t); got != notify.Gone {
			t.Errorf("after the reset: told %v, want %v", got, notify.Gone)
		}
		n.Release(&s, c)
		f.none(t)
	})
}

// TestNotifier_bothHalfClosed: when both directions have ended in order the kernel says that on and on. It is told as the
// half close that it is, once.
func TestNotifier_bothHalfClosed(t *testing.T) {
	eachTransport(t, func(t *testing.T, tr transport, n *notify.Notifier, c, peer halfCloser) {
		var s notify.Sleeper
		f := newFlag()
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		mustArm(t, n, &s, c, f, notify.HalfClosed)
		settled(t, tr, n)
		f.none(t)
		act(t, tr, c, peer, "bf")
		if got := f.want(t); got != notify.HalfClosed {
			t.Errorf("told %v, want %v", got, notify.HalfClosed)
		}
		mustArm(t, n, &s, c, f, notify.Gone)
		settled(t, tr, n)
		f.none(t)
		if !n.Disarm(&s, c) {
			t.Error("Disarm: got false, want true")
		}
		unread(t, c, "bytes", true)
		n.Release(&s, c)
	})
}

// TestNotifier_changesWhatItWaitsFor: with one Sleeper, from bytes to hangups and back.
func TestNotifier_changesWhatItWaitsFor(t *testing.T) {
	eachTransport(t, func(t *testing.T, tr transport, n *notify.Notifier, c, peer halfCloser) {
		var s notify.Sleeper
		gone, f := newFlag(), newFlag()
		for range 10 {
			mustArm(t, n, &s, c, gone, notify.Readable)
			if !n.Disarm(&s, c) {
				t.Error("Disarm: got false, want true")
			}
			mustArm(t, n, &s, c, gone, notify.HalfClosed)
			act(t, tr, c, peer, "b")
			settled(t, tr, n)
			gone.none(t)
			if !n.Disarm(&s, c) {
				t.Error("Disarm: got false, want true")
			}
			if already, err := n.Arm(&s, c, f, notify.Readable); err != nil || (already == 0) != (tr.name != "pipe") {
				t.Fatalf("Arm: got %v, %v, want armed with a descriptor only", already, err)
			} else if already == 0 {
				already = f.want(t)
				if already != notify.Readable {
					t.Errorf("told %v, want %v", already, notify.Readable)
				}
			}
			mustArm(t, n, &s, c, gone, notify.Gone)
			if !n.Disarm(&s, c) {
				t.Error("Disarm: got false, want true")
			}
			unread(t, c, "bytes", false)
		}
		mustArm(t, n, &s, c, f, notify.HalfClosed)
		act(t, tr, c, peer, "c")
		if got := f.want(t); got != notify.HalfClosed {
			t.Errorf("told %v, want %v", got, notify.HalfClosed)
		}
		n.Release(&s, c)
		gone.none(t)
	})
}

// TestNotifier_tls: what is watched is the connection below.
func TestNotifier_tls(t *testing.T) {
	eachTransport(t, func(t *testing.T, tr transport, n *notify.Notifier, c, peer halfCloser) {
		overTLS := tls.Server(c, &tls.Config{}) // no handshake is needed
		var s notify.Sleeper
		gone, f := newFlag(), newFlag()
		mustArm(t, n, &s, overTLS, f, notify.Readable)
		act(t, tr, c, peer, "b")
		if got := f.want(t); got != notify.Readable {
			t.Errorf("told %v, want %v", got, notify.Readable)
		}
		mustArm(t, n, &s, overTLS, gone, notify.HalfClosed)
		if !n.Disarm(&s, overTLS) {
			t.Error("Disarm: got false, want true")
		}
		mustArm(t, n, &s, overTLS, gone, notify.HalfClosed)
		n.Release(&s, overTLS)
		if n.Disarm(&s, overTLS) {
			t.Error("Disarm after Release: got true, want false")
		}
		mustArm(t, n, &s, overTLS, f, notify.HalfClosed)
		act(t, tr, c, peer, "bf")
		if got := f.want(t); got != notify.HalfClosed {
			t.Errorf("told %v, want %v", got, notify.HalfClosed)
		}
		mustArm(t, n, &s, overTLS, f, notify.Gone)
		act(t, tr, c, peer, "r")
		if got := f.want(t); got != notify.Gone {
			t.Errorf("told %v, want %v", got, notify.Gone)
		}
		n.Release(&s, overTLS)
		gone.none(t)
	})
}

// TestNotifier_hangUpsInABubble: a connection in memory tells of a hangup before the call returns that makes it, and
// neither time nor a read deadline wakes.
func TestNotifier_hangUpsInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n notify.Notifier
		var s notify.Sleeper
		c, peer := pipe.New(0)
		f := newFlag()
		if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		mustArm(t, &n, &s, c, f, notify.HalfClosed)
		time.Sleep(time.Hour)
		synctest.Wait()
		f.none(t)
		_ = peer.CloseWrite()
		if len(f.c) != 1 {
			t.Fatal("no wake when CloseWrite returned")
		}
		f.want(t)
		mustArm(t, &n, &s, c, f, notify.Gone)
		time.Sleep(time.Hour)
		synctest.Wait()
		f.none(t)
		peer.Reset()
		if len(f.c) != 1 || f.want(t) != notify.Gone {
			t.Error("no wake for the reset when Reset returned")
		}
		n.Release(&s, c)
		n.Wait()
	})
}

// TestNotifier_armsWithoutMemory: what has a place once is armed again for nothing.
func TestNotifier_armsWithoutMemory(t *testing.T) {
	eachTransport(t, func(t *testing.T, _ transport, n *notify.Notifier, c, _ halfCloser) {
		var s notify.Sleeper
		f := newFlag()
		for _, want := range events {
			got := testing.AllocsPerRun(100, func() {
				mustArm(t, n, &s, c, f, want)
				n.Disarm(&s, c)
			})
			if got > 0 {
				t.Errorf("Arm for %v and Disarm: %v allocations, want 0", want, got)
			}
		}
		n.Release(&s, c)
		f.none(t)
	})
}
