package notify_test

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/notify"
	"github.com/troupe-dev/troupe/socket/internal/pipe"
)

// events are all that can be waited for.
var events = []notify.Event{notify.Readable, notify.HalfClosed, notify.Gone}

// flag is a Waker that keeps what it was told.
type flag struct{ c chan notify.Event }

func newFlag() *flag { return &flag{c: make(chan notify.Event, 100)} }

func (f *flag) Wake(what notify.Event) { f.c <- what }

// want fails the test when no wake comes, and returns what the wake has told.
func (f *flag) want(t *testing.T) (what notify.Event) {
	t.Helper()
	select {
	case what = <-f.c:
	case <-time.After(20 * time.Second):
		t.Fatal("no wake")
	}
	return what
}

// none fails the test when there was a wake. The caller has made sure that one
// that is wrong would have come: events are handled in the order of their coming.
func (f *flag) none(t *testing.T) {
	t.Helper()
	if len(f.c) > 0 {
		t.Fatal("a wake that must not be")
	}
}

// mustArm fails the test when c is not armed.
func mustArm(t testing.TB, n *notify.Notifier, s *notify.Sleeper, c net.Conn, w notify.Waker, want notify.Event) {
	t.Helper()
	if already, err := n.Arm(s, c, w, want); already != 0 || err != nil {
		t.Fatalf("Arm for %v: got %v, %v, want armed", want, already, err)
	}
}

// halfCloser is what the tests need of a connection.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

// transport makes connections of one kind. The tests need a real network: what
// they test is the kernel's side of it.
type transport struct {
	name  string
	dial  func(t testing.TB) (c, peer halfCloser)
	reset func(c, peer halfCloser) // by the peer
}

func transports(t testing.TB) []transport {
	lingerless := func(_, peer halfCloser) {
		_ = peer.(*net.TCPConn).SetLinger(0)
		_ = peer.Close()
	}
	unread := func(c, peer halfCloser) {
		_, _ = c.Write([]byte("unread"))
		_ = peer.Close()
	}
	tcp := listener(t, "tcp", "127.0.0.1:0")
	dir, err := os.MkdirTemp("", "notify")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	unix := listener(t, "unix", filepath.Join(dir, "s"))
	return []transport{
		{"tcp", func(t testing.TB) (c, peer halfCloser) { return dial(t, tcp) }, lingerless},
		{"unix", func(t testing.TB) (c, peer halfCloser) { return dial(t, unix) }, unread},
		{"pipe", func(testing.TB) (c, peer halfCloser) { return pipe.New(0) }, func(_, peer halfCloser) { peer.(*pipe.Conn).Reset() }},
	}
}

func listener(t testing.TB, network, address string) net.Listener {
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// dial returns both ends of a connection to l, which nobody else uses.
func dial(t testing.TB, l net.Listener) (c, peer halfCloser) {
	p, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return s.(halfCloser), p.(halfCloser)
}
