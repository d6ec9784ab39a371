//go:build !troupe_nosyscalls

package rawio_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/troupe-dev/troupe/socket/internal/rawio"
)

// resting returns a TCP connection that rests.
func resting(t *testing.T, timeout time.Duration) (near net.Conn, c *rawio.Conn) {
	t.Helper()
	near, far := dial(t, "tcp", "127.0.0.1:0")
	c = open(far, timeout)
	t.Cleanup(func() {
		near.Close()
		c.Close()
	})
	c.Rest()
	if c.MayRest() {
		t.Fatal("it does not rest")
	}
	return near, c
}

// received is what one Receive gets.
func received(t *testing.T, c *rawio.Conn) string {
	t.Helper()
	r := newReader(nil)
	n, err := c.Receive(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(r.room[:n])
}

func TestRest(t *testing.T) {
	t.Run("what is there is read, and what is taken is written, and it rests on", func(t *testing.T) {
		near, c := resting(t, time.Minute)
		for range 3 {
			near.Write([]byte("hello"))
			await(t, c)
			if got := received(t, c); got != "hello" {
				t.Errorf("received %q", got)
			}
			if err := new(rawio.Writer).Write(c, nil, [][]byte{[]byte("good"), []byte("bye")}); err != nil {
				t.Error(err)
			}
			p := make([]byte, 7)
			if _, err := io.ReadFull(near, p); err != nil || string(p) != "goodbye" {
				t.Errorf("the peer got %q, %v", p, err)
			}
		}
		enough := newReader(errors.New("enough"))
		if _, err := c.Receive(enough); err != enough.err { //nolint:errorlint // itself
			t.Errorf("nothing to read, Block returns an error: %v", err)
		}
		if c.MayRest() {
			t.Error("nobody had to wait, and it does not rest any more")
		}
	})
	t.Run("a reader waits, is woken by a deadline, and by bytes", func(t *testing.T) {
		near, c := resting(t, 0)
		r, done := newReader(nil), make(chan error)
		receive := func() {
			_, err := c.Receive(r)
			done <- err
		}
		go receive()
		<-r.blocks // while it rests
		<-r.blocks // in the poller
		c.SetReadDeadline(time.Unix(1, 0))
		if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after a deadline: %v", err)
		}
		c.SetReadDeadline(time.Time{})
		if !c.MayRest() {
			t.Error("it rests although a reader has waited")
		}
		go receive()
		<-r.blocks
		near.Write([]byte("hello"))
		if err := <-done; err != nil || string(r.room[:5]) != "hello" {
			t.Errorf("received %q, %v", r.room, err)
		}
	})
	t.Run("a write waits for room, no longer than WriteTimeout, and goes on when there is some", func(t *testing.T) {
		_, c := resting(t, 50*time.Millisecond)
		if err := new(rawio.Writer).Write(c, make([]byte, 32<<20), nil); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("to a peer that reads nothing: %v", err)
		}
		near, c := resting(t, time.Minute)
		want := bytes.Repeat([]byte("0123456789"), 3<<20)
		written := make(chan error, 1)
		go func() { written <- errors.Join(new(rawio.Writer).Write(c, want, nil), c.Close()) }()
		got, err := io.ReadAll(near)
		if err := errors.Join(err, <-written); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes, %v; want %d", len(got), err, len(want))
		}
	})
	t.Run("LimitWrites holds, and it does not rest after it", func(t *testing.T) {
		_, c := resting(t, 0)
		c.LimitWrites(time.Now().Add(50 * time.Millisecond))
		c.Rest()
		if err := new(rawio.Writer).Write(c, make([]byte, 32<<20), nil); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("to a peer that reads nothing: %v", err)
		}
	})
	t.Run("Close, once", func(t *testing.T) {
		near, c := resting(t, time.Minute)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if n, err := near.Read(make([]byte, 1)); n != 0 || err != io.EOF { //nolint:errorlint // itself
			t.Errorf("the peer read %d, %v", n, err)
		}
		_, received := c.Receive(newReader(nil))
		for what, err := range map[string]error{
			"Close": c.Close(), "Receive": received, "Write": new(rawio.Writer).Write(c, []byte("x"), nil),
			"SetReadDeadline": c.SetReadDeadline(time.Now()),
		} {
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s after Close: %v", what, err)
			}
		}
		c.Rest()
	})
	t.Run("Close wakes a reader", func(t *testing.T) {
		_, c := resting(t, 0)
		r, done := newReader(nil), make(chan error)
		go func() {
			_, err := c.Receive(r)
			done <- err
		}()
		<-r.blocks
		<-r.blocks
		c.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("it got %v", err)
		}
	})
	t.Run("what it tells of itself", func(t *testing.T) {
		near, far := dial(t, "tcp", "127.0.0.1:0")
		defer near.Close()
		c := open(far, 50*time.Millisecond)
		defer c.Close()
		before := c.RemoteAddr().String()
		for range 2 {
			c.Rest()
			if got := c.RemoteAddr().String(); got != before || c.RemoteAddr().Network() != "tcp" {
				t.Errorf("RemoteAddr %s, want %s", got, before)
			}
			c.SetReadDeadline(time.Time{}) // somebody waits
		}
		c.Rest()
		new(rawio.Writer).Write(c, make([]byte, 32<<20), nil)
		c.Rest()
		if c.Unsent() == 0 || c.MayRest() {
			t.Errorf("Unsent %d, want that the peer's kernel has not got all", c.Unsent())
		}
		if got, want := c.LocalAddr().String(), near.RemoteAddr().String(); got != want {
			t.Errorf("LocalAddr %s, want %s", got, want)
		}
		c.Close()
		if got := c.RemoteAddr().String(); got != before {
			t.Errorf("RemoteAddr %s after Close, want %s", got, before)
		}
	})
	t.Run("the half close", func(t *testing.T) {
		near, c := resting(t, 0)
		if err := c.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if n, err := near.Read(make([]byte, 1)); n != 0 || err != io.EOF { //nolint:errorlint // itself
			t.Errorf("the peer read %d, %v", n, err)
		}
		near.Write([]byte("hello"))
		await(t, c)
		if got := received(t, c); got != "hello" {
			t.Errorf("received %q", got)
		}
	})
	t.Run("a Unix connection does not", func(t *testing.T) {
		near, far := dial(t, "unix", t.TempDir()+"/s")
		defer near.Close()
		c := open(far, 0)
		defer c.Close()
		if c.MayRest() {
			t.Error("it may")
		}
		c.Rest()
		near.Write([]byte("hello"))
		if got := received(t, c); got != "hello" {
			t.Errorf("received %q", got)
		}
	})
	t.Run("the end of the peer", func(t *testing.T) {
		for name, linger := range map[string]int{"FIN": -1, "RST": 0} {
			near, c := resting(t, 0)
			near.(*net.TCPConn).SetLinger(linger)
			near.Close()
			await(t, c)
			_, err := c.Receive(newReader(nil))
			if want := map[string]error{"FIN": io.EOF, "RST": syscall.ECONNRESET}[name]; !errors.Is(err, want) {
				t.Errorf("after %s: %v, want %v", name, err, want)
			}
		}
	})
}

// numbered calls f with the descriptor of c.
func numbered(t *testing.T, c *rawio.Conn, f func(fd int)) {
	t.Helper()
	if err := c.Conn.(interface {
		Control(f func(fd uintptr)) error
	}).Control(func(fd uintptr) { f(int(fd)) }); err != nil {
		t.Fatal(err)
	}
}

// await waits until there is something to read.
func await(t *testing.T, c *rawio.Conn) {
	t.Helper()
	numbered(t, c, func(fd int) {
		for {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
			if n > 0 {
				return
			}
			if err != nil && err != unix.EINTR { //nolint:errorlint // itself
				t.Fatal(err)
			}
		}
	})
}

// TestRest_descriptors: a connection has one descriptor, however often it rests, and none after Close.
func TestRest_descriptors(t *testing.T) {
	near, far := dial(t, "tcp", "127.0.0.1:0")
	defer near.Close()
	c := open(far, 0)
	var stat unix.Stat_t
	numbered(t, c, func(fd int) {
		if err := unix.Fstat(fd, &stat); err != nil {
			t.Fatal(err)
		}
	})
	want := func(n int) {
		t.Helper()
		links, err := filepath.Glob("/proc/self/fd/*")
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range links {
			if to, _ := os.Readlink(link); to == fmt.Sprintf("socket:[%d]", stat.Ino) {
				n--
			}
		}
		if n != 0 {
			t.Errorf("%d descriptors too few", n)
		}
	}
	for range 100 {
		want(1)
		c.Rest()
		c.SetReadDeadline(time.Time{})
	}
	c.Rest()
	want(1)
	c.Close()
	want(0)
}

// TestRest_noNumber: without another number the connection stays as it is.
func TestRest_noNumber(t *testing.T) {
	near, far := dial(t, "tcp", "127.0.0.1:0")
	defer near.Close()
	c := open(far, 0)
	defer c.Close()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	c.Rest()
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if !c.MayRest() {
		t.Error("it rests")
	}
	near.Write([]byte("hello"))
	if got := received(t, c); got != "hello" {
		t.Errorf("received %q", got)
	}
}

// TestRest_blocking: a program that has asked for the file of its net.Conn, for a socket option, has made it a blocking one.
func TestRest_blocking(t *testing.T) {
	near, far := dial(t, "tcp", "127.0.0.1:0")
	defer near.Close()
	f, err := far.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	f.Fd()
	f.Close()
	c := open(far, 0)
	defer c.Close()
	c.Rest()
	r, got := newReader(nil), make(chan string)
	go func() {
		n, _ := c.Receive(r)
		got <- string(r.room[:n])
	}()
	<-r.blocks
	near.Write([]byte("hello"))
	if got := <-got; got != "hello" {
		t.Errorf("received %q", got)
	}
}

// TestRest_closedByOthers: a number that its owner has closed is nobody's: it may be another connection's by now.
func TestRest_closedByOthers(t *testing.T) {
	near, far := dial(t, "tcp", "127.0.0.1:0")
	defer near.Close()
	c := open(far, 0)
	defer c.Close()
	far.Close()
	other, _ := dial(t, "tcp", "127.0.0.1:0") // it gets the number
	defer other.Close()
	c.Rest()
	if err := c.Conn.(interface{ CloseWrite() error }).CloseWrite(); err == nil || c.Unsent() != 0 {
		t.Errorf("CloseWrite has done something: %v", err)
	}
	if n, err := c.Receive(newReader(nil)); err == nil {
		t.Errorf("received %d bytes", n)
	}
}

// TestStress_rest: one end rests all the time, while the writer writes and others set deadlines. In every second round somebody closes
// it in the middle; else what arrives is what was written, both ways.
func TestStress_rest(t *testing.T) {
	rounds := 30
	if os.Getenv("TROUPE_STRESS") != "" {
		rounds = 1000
	}
	for round := range rounds {
		near, far := dial(t, "tcp", "127.0.0.1:0")
		c := open(far, time.Minute)
		closes := round%2 == 1
		ended := func(what string, err error) bool {
			if err != nil && !closes {
				t.Errorf("%s: %v", what, err)
			}
			return err != nil
		}
		var mu sync.Mutex // the right to write, as package wire has it
		var all, peer sync.WaitGroup
		sent := bytes.Repeat([]byte("0123456789"), 20_000)
		peer.Go(func() {
			got, err := io.ReadAll(near)
			if !ended("the peer's read", err) && !closes && !bytes.Equal(got, sent) {
				t.Errorf("the peer got %d bytes, want %d", len(got), len(sent))
			}
		})
		peer.Go(func() {
			for p := sent; len(p) > 0; p = p[min(len(p), 1000):] {
				if _, err := near.Write(p[:min(len(p), 1000)]); ended("the peer's write", err) {
					return
				}
			}
		})
		all.Go(func() { // the writer
			for p := sent; len(p) > 0; {
				n := min(len(p), 1+len(p)%5000)
				mu.Lock()
				err := new(rawio.Writer).Write(c, p[:n], nil)
				mu.Unlock()
				if ended("write", err) {
					return
				}
				p = p[n:]
			}
		})
		all.Go(func() { // the reader, which rests whenever there is nothing
			var got []byte
			for len(got) < len(sent) {
				r := newReader(nil)
				if len(got)%3 > 0 {
					r.err = errors.New("nothing yet")
				}
				n, err := c.Receive(r)
				switch {
				case err == nil:
					got = append(got, r.room[:n]...)
				case err == r.err || errors.Is(err, os.ErrDeadlineExceeded): //nolint:errorlint // itself
					if mu.TryLock() {
						c.Rest()
						mu.Unlock()
					}
					c.SetReadDeadline(time.Time{})
				default:
					ended("receive", err)
					return
				}
			}
			if !bytes.Equal(got, sent) {
				t.Error("it got something else")
			}
		})
		all.Go(func() {
			for range 50 {
				c.SetReadDeadline(time.Unix(1, 0))
				c.Unsent()
				c.RemoteAddr()
				runtime.Gosched()
			}
		})
		if closes {
			all.Go(func() {
				for range round {
					runtime.Gosched()
				}
				c.Close()
			})
		}
		all.Wait()
		c.Close()
		peer.Wait()
		near.Close()
	}
}
