package notify_test

import (
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/pipe"
)

// flag is a Waker that counts.
type flag struct {
	wakes atomic.Int32
	c     chan struct{}
}

func newFlag() *flag { return &flag{c: make(chan struct{}, 100)} }

func (f *flag) Wake() {
	f.wakes.Add(1)
	f.c <- struct{}{}
}

// want fails the test when no wake comes.
func (f *flag) want(t *testing.T) {
	t.Helper()
	select {
	case <-f.c:
	case <-time.After(20 * time.Second):
		t.Fatal("no wake")
	}
}

// none fails the test when there was a wake. The caller has made sure that one
// that is wrong would have come: events are handled in the order of their coming.
func (f *flag) none(t *testing.T) {
	t.Helper()
	if len(f.c) > 0 {
		t.Fatal("a wake that must not be")
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
	reset func(c halfCloser)
}

func transports(t testing.TB) []transport {
	lingerless := func(c halfCloser) {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
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
		{"unix", func(t testing.TB) (c, peer halfCloser) { return dial(t, unix) }, func(c halfCloser) { _ = c.Close() }},
		{"pipe", func(testing.TB) (c, peer halfCloser) { return pipe.New(0) }, func(c halfCloser) { c.(*pipe.Conn).Reset() }},
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
