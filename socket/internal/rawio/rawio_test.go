package rawio_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawio"
)

// reader is a rawio.Reader that tells of each time it has to wait.
type reader struct {
	room   []byte // nil: given back
	blocks chan struct{}
	err    error
}

func (r *reader) Room() []byte {
	r.room = make([]byte, 8)
	return r.room
}

func (r *reader) Block() error {
	r.room = nil
	r.blocks <- struct{}{}
	return r.err
}

func newReader(err error) *reader { return &reader{blocks: make(chan struct{}, 8), err: err} }

func open(conn net.Conn, timeout time.Duration) *rawio.Conn {
	c := new(rawio.Conn)
	c.Init(conn, &rawio.Settings{Epoch: time.Now(), WriteTimeout: timeout})
	return c
}

// ends returns both ends of a connection that can be waited for.
var ends = map[string]func(testing.TB) (near, far net.Conn){
	"memory": func(testing.TB) (net.Conn, net.Conn) {
		near, far := pipe.New(1 << 10)
		return near, far
	},
	"tcp":  func(t testing.TB) (net.Conn, net.Conn) { return dial(t, "tcp", "127.0.0.1:0") },
	"unix": func(t testing.TB) (net.Conn, net.Conn) { return dial(t, "unix", t.TempDir()+"/s") },
}

func dial(t testing.TB, network, address string) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if near, err = net.Dial(network, l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return near, far
}

func TestReceive(t *testing.T) {
	for name, ends := range ends {
		t.Run(name, func(t *testing.T) {
			near, far := ends(t)
			defer near.Close()
			defer far.Close()
			c := open(far, 0)

			r := newReader(errors.New("enough"))
			if n, err := c.Receive(r); n != 0 || err != r.err || r.room != nil || len(r.blocks) != 1 { //nolint:errorlint // itself
				t.Errorf("nothing to read, Block returns an error: %d, %v, room %v, blocked %d times", n, err, r.room, len(r.blocks))
			}

			r = newReader(nil)
			type result struct {
				n   int
				err error
			}
			done := make(chan result, 1)
			receive := func() {
				go func() {
					n, err := c.Receive(r)
					done <- result{n, err}
				}()
			}
			receive()
			<-r.blocks // it waits now, and has no room
			if _, err := near.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			if got := <-done; got.n != 5 || got.err != nil || string(r.room[:5]) != "hello" {
				t.Errorf("what came while it waited: %d, %v, %q", got.n, got.err, r.room)
			}

			receive()
			<-r.blocks
			far.SetReadDeadline(time.Unix(1, 0))
			if got := <-done; got.n != 0 || !errors.Is(got.err, os.ErrDeadlineExceeded) {
				t.Errorf("a deadline while it waited: %d, %v", got.n, got.err)
			}
			far.SetReadDeadline(time.Time{})

			receive()
			<-r.blocks
			near.Close()
			if got := <-done; got.n != 0 || !errors.Is(got.err, io.EOF) {
				t.Errorf("the end while it waited: %d, %v; want EOF", got.n, got.err)
			}
		})
	}
}

// wrapper may hold bytes that it has read already.
type wrapper struct{ net.Conn }

func TestReceive_blind(t *testing.T) {
	_, far := dial(t, "tcp", "127.0.0.1:0")
	defer far.Close()
	if n, err := open(wrapper{far}, 0).Receive(newReader(nil)); n != 0 || err != rawio.ErrBlind { //nolint:errorlint // itself
		t.Errorf("of a wrapped connection: %d, %v; want ErrBlind", n, err)
	}
}

// TestWrite: what is written arrives, in whatever pieces it is, and more of them than one system call takes.
func TestWrite(t *testing.T) {
	var many [][]byte
	for i := range 3000 {
		many = append(many, bytes.Repeat([]byte{byte(i)}, i%40))
	}
	long := [][]byte{bytes.Repeat([]byte("a"), 100_000), nil, []byte("b"), bytes.Repeat([]byte("c"), 40_000)}
	all := map[string]func(testing.TB) (net.Conn, net.Conn){
		"wrapped": func(t testing.TB) (net.Conn, net.Conn) {
			near, far := dial(t, "tcp", "127.0.0.1:0")
			return near, wrapper{far}
		},
	}
	for name, ends := range ends {
		all[name] = ends
	}
	for name, ends := range all {
		t.Run(name, func(t *testing.T) {
			near, far := ends(t)
			defer near.Close()
			c, w := open(far, time.Minute), new(rawio.Writer)
			want := bytes.Join(append(append([][]byte{[]byte("first")}, many...), long...), nil)
			written := make(chan error, 1)
			clone := func(parts [][]byte) [][]byte { return append([][]byte{}, parts...) } // they are used up
			go func() {
				written <- errors.Join(w.Write(c, []byte("first"), nil), w.Write(c, nil, clone(many)), w.Write(c, nil, clone(long)), far.Close())
			}()
			got, err := io.ReadAll(near)
			if err := errors.Join(err, <-written); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes, %v; want %d", len(got), err, len(want))
			}
		})
	}
}

func TestLimitWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := pipe.New(1 << 10)
		defer near.Close()
		defer far.Close()
		c, start := open(far, time.Hour), time.Now()
		c.LimitWrites(start.Add(3 * time.Second))
		c.LimitWrites(start.Add(5 * time.Second)) // the earliest stays
		for _, want := range []time.Duration{3 * time.Second, 3 * time.Second} {
			err := new(rawio.Writer).Write(c, make([]byte, 4<<10), nil)
			if took := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || took != want {
				t.Errorf("Write: %v after %v, want the deadline after %v", err, took, want)
			}
		}
	})
}
