package pipe_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/troupe-dev/troupe/socket/internal/pipe"
)

// step is one call on an end of a pipe and what it must return.
type step struct {
	end  string // "a" or "b"
	call string // write, read, waitread, close, closewrite, reset
	data string // to write, or wanted from read
	err  error
}

func TestConn_endings(t *testing.T) {
	tests := []struct {
		name  string
		steps []step
	}{
		{"bytes arrive in order and in both directions", []step{
			{"a", "write", "one", nil}, {"a", "write", "two", nil}, {"b", "write", "back", nil},
			{"b", "read", "onetwo", nil}, {"a", "read", "back", nil},
		}},
		{"empty reads and writes do not block", []step{
			{"a", "write", "", nil}, {"b", "read", "", nil},
		}},
		{"close: the peer reads the rest, then EOF for ever", []step{
			{"a", "write", "rest", nil}, {"a", "close", "", nil},
			{"b", "read", "rest", nil}, {"b", "read", "", io.EOF}, {"b", "read", "", io.EOF},
			{"b", "waitread", "", nil}, {"b", "close", "", nil},
		}},
		{"close: own calls fail", []step{
			{"a", "close", "", nil},
			{"a", "read", "", net.ErrClosed}, {"a", "write", "x", net.ErrClosed}, {"a", "write", "", net.ErrClosed},
			{"a", "waitread", "", net.ErrClosed}, {"a", "closewrite", "", net.ErrClosed}, {"a", "close", "", net.ErrClosed},
		}},
		{"close with unread data takes the close frame from the peer", []step{
			{"b", "write", "unread", nil}, {"a", "write", "close frame", nil}, {"a", "close", "", nil},
			{"b", "read", "", pipe.ErrReset}, {"b", "read", "", pipe.ErrReset}, {"b", "waitread", "", nil},
			{"b", "write", "x", pipe.ErrReset}, {"b", "closewrite", "", pipe.ErrReset}, {"b", "close", "", nil},
		}},
		{"close after reading everything leaves the close frame", []step{
			{"b", "write", "unread", nil}, {"a", "write", "close frame", nil},
			{"a", "read", "unread", nil}, {"a", "close", "", nil},
			{"b", "read", "close frame", nil}, {"b", "read", "", io.EOF},
		}},
		{"writing to a closed peer resets", []step{
			{"a", "write", "close frame", nil}, {"a", "close", "", nil},
			{"b", "write", "late", pipe.ErrReset}, {"b", "read", "", pipe.ErrReset},
		}},
		{"writing nothing to a closed peer does not reset", []step{
			{"a", "write", "rest", nil}, {"a", "close", "", nil},
			{"b", "write", "", nil}, {"b", "read", "rest", nil},
		}},
		{"half close: the peer sees EOF and can still send", []step{
			{"a", "write", "rest", nil}, {"a", "closewrite", "", nil}, {"a", "closewrite", "", nil},
			{"a", "write", "x", pipe.ErrWriteClosed},
			{"b", "read", "rest", nil}, {"b", "read", "", io.EOF}, {"b", "write", "answer", nil},
			{"a", "waitread", "", nil}, {"a", "read", "answer", nil}, {"a", "close", "", nil},
			{"b", "read", "", io.EOF},
		}},
		{"half close, then a close with unread data", []step{
			{"a", "write", "close frame", nil}, {"a", "closewrite", "", nil},
			{"b", "write", "unread", nil}, {"a", "close", "", nil},
			{"b", "read", "", pipe.ErrReset},
		}},
		{"both half closed", []step{
			{"a", "closewrite", "", nil}, {"b", "closewrite", "", nil},
			{"a", "read", "", io.EOF}, {"b", "read", "", io.EOF},
			{"a", "close", "", nil}, {"b", "read", "", io.EOF}, {"b", "close", "", nil},
		}},
		{"reset loses what the peer had not read", []step{
			{"a", "write", "lost", nil}, {"a", "reset", "", nil},
			{"b", "read", "", pipe.ErrReset}, {"b", "write", "x", pipe.ErrReset},
			{"a", "read", "", net.ErrClosed}, {"a", "close", "", net.ErrClosed}, {"a", "reset", "", nil},
		}},
		{"a reset after close does nothing", []step{
			{"a", "write", "rest", nil}, {"a", "close", "", nil}, {"a", "reset", "", nil},
			{"b", "read", "rest", nil}, {"b", "read", "", io.EOF},
		}},
		{"close with unread data when the peer is gone", []step{
			{"a", "write", "unread", nil}, {"a", "close", "", nil},
			{"b", "close", "", nil}, {"a", "read", "", net.ErrClosed},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, b := pipe.New(0)
			for i, s := range tt.steps {
				c := a
				if s.end == "b" {
					c = b
				}
				if err := do(c, s); err != nil {
					t.Fatalf("step %d, %s %s: %v", i, s.end, s.call, err)
				}
			}
		})
	}
}

// do runs s on c and says what was not as wanted.
func do(c *pipe.Conn, s step) error {
	var err error
	var got string
	want := ""
	switch s.call {
	case "write":
		_, err = c.Write([]byte(s.data))
	case "read":
		p := make([]byte, 100)
		if s.data == "" && s.err == nil {
			p = nil
		}
		var n int
		n, err = c.Read(p)
		got, want = string(p[:n]), s.data
	case "waitread":
		err = c.WaitRead()
	case "close":
		err = c.Close()
	case "closewrite":
		err = c.CloseWrite()
	case "reset":
		c.Reset()
	default:
		return errors.New("unknown call")
	}
	return errors.Join(wantErr(err, s.err), wantText(got, want))
}

func wantErr(got, want error) error {
	if !errors.Is(got, want) || want == io.EOF && got != io.EOF { // io.EOF must be bare
		return errors.New("error: got " + text(got) + ", want " + text(want))
	}
	return nil
}

func wantText(got, want string) error {
	if got != want {
		return errors.New("bytes: got " + got + ", want " + want)
	}
	return nil
}

func text(err error) string {
	if err == nil {
		return "nil"
	}
	return err.Error()
}

func TestConn_errorsAreThoseOfTCP(t *testing.T) {
	a, b := pipe.New(0)
	a.Reset()
	_, err := b.Read(make([]byte, 1))
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read after a reset: got %v, want ECONNRESET", err)
	}
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Op != "read" || op.Net != "pipe" || op.Source != b.LocalAddr() || op.Addr != b.RemoteAddr() {
		t.Errorf("got %#v, want a *net.OpError for read on pipe with both addresses", err)
	}
	c, d := pipe.New(0)
	defer d.Close()
	defer c.Close()
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write after CloseWrite: got %v, want EPIPE", err)
	}
}

func TestConn_addresses(t *testing.T) {
	a, b := pipe.New(0)
	for _, addr := range []net.Addr{a.LocalAddr(), a.RemoteAddr(), b.LocalAddr(), b.RemoteAddr()} {
		if addr.Network() != "pipe" {
			t.Errorf("network of %v: got %q, want pipe", addr, addr.Network())
		}
		if _, _, err := net.SplitHostPort(addr.String()); err != nil {
			t.Errorf("address is not host:port: %v", err)
		}
	}
	if a.LocalAddr() != b.RemoteAddr() || b.LocalAddr() != a.RemoteAddr() || a.LocalAddr() == b.LocalAddr() {
		t.Errorf("got a %v to %v, b %v to %v", a.LocalAddr(), a.RemoteAddr(), b.LocalAddr(), b.RemoteAddr())
	}
}

// result is what a call in the background returned.
type result struct {
	n   int
	err error
}

// start runs call and waits until it is blocked. done is closed when it
// returned.
func start(t *testing.T, call func() (int, error)) (done chan struct{}, r *result) {
	t.Helper()
	done, r = make(chan struct{}), new(result)
	go func() {
		defer close(done)
		r.n, r.err = call()
	}()
	synctest.Wait()
	select {
	case <-done:
		t.Fatalf("the call returned %d, %v, want it to block", r.n, r.err)
	default:
	}
	return done, r
}

func TestConn_wakesBlockedCalls(t *testing.T) {
	read := func(c *pipe.Conn) (int, error) { return c.Read(make([]byte, 4)) }
	wait := func(c *pipe.Conn) (int, error) { return 0, c.WaitRead() }
	write := func(c *pipe.Conn) (int, error) { return c.Write([]byte("12345678")) } // the buffer holds 4
	peerWrites := func(_, peer *pipe.Conn) { _, _ = peer.Write([]byte("abc")) }
	peerReads := func(_, peer *pipe.Conn) { _, _ = io.ReadFull(peer, make([]byte, 8)) }
	peerCloses := func(_, peer *pipe.Conn) { _ = peer.Close() }
	peerHalfCloses := func(_, peer *pipe.Conn) { _ = peer.CloseWrite() }
	peerResets := func(_, peer *pipe.Conn) { peer.Reset() }
	closes := func(c, _ *pipe.Conn) { _ = c.Close() }
	halfCloses := func(c, _ *pipe.Conn) { _ = c.CloseWrite() }

	tests := []struct {
		name    string
		blocked func(*pipe.Conn) (int, error)
		event   func(c, peer *pipe.Conn)
		want    result
	}{
		{"Read, peer writes", read, peerWrites, result{3, nil}},
		{"Read, peer closes", read, peerCloses, result{0, io.EOF}},
		{"Read, peer half closes", read, peerHalfCloses, result{0, io.EOF}},
		{"Read, peer resets", read, peerResets, result{0, pipe.ErrReset}},
		{"Read, own Close", read, closes, result{0, net.ErrClosed}},
		{"WaitRead, peer writes", wait, peerWrites, result{0, nil}},
		{"WaitRead, peer closes", wait, peerCloses, result{0, nil}},
		{"WaitRead, peer half closes", wait, peerHalfCloses, result{0, nil}},
		{"WaitRead, peer resets", wait, peerResets, result{0, nil}},
		{"WaitRead, own Close", wait, closes, result{0, net.ErrClosed}},
		{"Write, peer reads", write, peerReads, result{8, nil}},
		{"Write, peer closes", write, peerCloses, result{4, pipe.ErrReset}},
		{"Write, peer resets", write, peerResets, result{4, pipe.ErrReset}},
		{"Write, own Close", write, closes, result{4, net.ErrClosed}},
		{"Write, own CloseWrite", write, halfCloses, result{4, pipe.ErrWriteClosed}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, peer := pipe.New(4)
				done, got := start(t, func() (int, error) { return tt.blocked(c) })
				tt.event(c, peer)
				<-done
				if got.n != tt.want.n || !errors.Is(got.err, tt.want.err) {
					t.Errorf("got %d, %v, want %d, %v", got.n, got.err, tt.want.n, tt.want.err)
				}
			})
		})
	}
}

func TestConn_halfCloseDoesNotWakeAWriterOfThePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe.New(4)
		done, got := start(t, func() (int, error) { return a.Write([]byte("12345678")) })
		if err := b.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		select {
		case <-done:
			t.Fatalf("Write returned %d, %v, want it to block", got.n, got.err)
		default:
		}
		p := make([]byte, 8)
		if _, err := io.ReadFull(b, p); err != nil || string(p) != "12345678" {
			t.Fatalf("read %q, %v, want 12345678", p, err)
		}
		<-done
	})
}

func TestConn_WaitReadTakesNothing(t *testing.T) {
	a, b := pipe.New(0)
	if _, err := a.Write([]byte("data")); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := b.WaitRead(); err != nil {
			t.Fatal(err)
		}
	}
	p := make([]byte, 10)
	if n, err := b.Read(p); err != nil || string(p[:n]) != "data" {
		t.Errorf("got %q, %v, want data", p[:n], err)
	}
}

func TestConn_bufferSize(t *testing.T) {
	for _, tt := range []struct{ buffer, want int }{{0, 64 << 10}, {-1, 64 << 10}, {1, 1}, {1000, 1000}} {
		synctest.Test(t, func(t *testing.T) {
			a, b := pipe.New(tt.buffer)
			done, got := start(t, func() (int, error) { return a.Write(make([]byte, 100<<10)) })
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			<-done
			if got.n != tt.want {
				t.Errorf("New(%d): %d bytes were taken, want %d", tt.buffer, got.n, tt.want)
			}
		})
	}
}

func TestConn_transfersThroughSmallBuffers(t *testing.T) {
	for _, buffer := range []int{1, 2, 7, 64, 4096, 0} {
		want := make([]byte, 16<<10)
		rnd := rand.New(rand.NewPCG(1, uint64(buffer)))
		for i := range want {
			want[i] = byte(rnd.Uint32())
		}
		// Both directions at once, in pieces of random size.
		a, b := pipe.New(buffer)
		var wg sync.WaitGroup
		for i, c := range []*pipe.Conn{a, b} {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(2, uint64(i)))
				for p := want; len(p) > 0; {
					n := min(len(p), rnd.IntN(3000))
					if _, err := c.Write(p[:n]); err != nil {
						t.Errorf("buffer %d: write: %v", buffer, err)
						return
					}
					p = p[n:]
				}
				if err := c.CloseWrite(); err != nil {
					t.Errorf("buffer %d: half close: %v", buffer, err)
				}
			})
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(3, uint64(i)))
				var got []byte
				for {
					p := make([]byte, 1+rnd.IntN(2000))
					n, err := c.Read(p)
					got = append(got, p[:n]...)
					if err == io.EOF { // io.EOF must be bare
						break
					}
					if err != nil {
						t.Errorf("buffer %d: read: %v", buffer, err)
						return
					}
				}
				if !bytes.Equal(got, want) {
					t.Errorf("buffer %d: %d bytes arrived, want the %d that were sent", buffer, len(got), len(want))
				}
			})
		}
		wg.Wait()
	}
}

func TestConn_concurrentWritesAreNotMixed(t *testing.T) {
	const writers, size = 8, 100
	a, b := pipe.New(7)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for range 20 {
				if _, err := a.Write(bytes.Repeat([]byte{byte('a' + w)}, size)); err != nil {
					t.Errorf("write: %v", err)
				}
			}
		})
	}
	wg.Go(func() {
		p := make([]byte, size)
		for range writers * 20 {
			if _, err := io.ReadFull(b, p); err != nil {
				t.Errorf("read: %v", err)
				return
			}
			if bytes.Count(p, p[:1]) != size {
				t.Errorf("got %q, want %d times one letter", p, size)
			}
		}
	})
	wg.Wait()
}

func TestConn_aQueuedWriteFollowsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe.New(8)
		first, _ := start(t, func() (int, error) { return a.Write([]byte("123456789012")) })
		second, _ := start(t, func() (int, error) { return a.Write([]byte("ab")) })
		p := make([]byte, 8)
		if _, err := io.ReadFull(b, p); err != nil {
			t.Fatal(err)
		}
		// There is room for both now: neither needs another read.
		<-first
		<-second
		if n, err := b.Read(p); err != nil || string(p[:n]) != "9012ab" {
			t.Errorf("got %q, %v, want 9012ab", p[:n], err)
		}
	})
}

func TestConn_concurrentUse(t *testing.T) {
	// Everything at once; the race detector and the end of all calls are the
	// test.
	for range 20 {
		a, b := pipe.New(16)
		var wg sync.WaitGroup
		for _, c := range []*pipe.Conn{a, b} {
			wg.Go(func() { _, _ = io.Copy(io.Discard, c) })
			wg.Go(func() {
				for c.WaitRead() == nil {
					if _, err := c.Read(make([]byte, 3)); err != nil {
						return
					}
				}
			})
			wg.Go(func() { _, _ = c.Write(make([]byte, 5000)) })
			wg.Go(func() { _, _ = c.Write(make([]byte, 5000)); _ = c.CloseWrite() })
		}
		wg.Wait()
		_ = a.Close()
		b.Reset()
	}
}

func TestConn_idlePipeHoldsNoBuffer(t *testing.T) {
	const pipes, size = 100, 64 << 10
	conns := make([]*pipe.Conn, 0, 2*pipes)
	big := make([]byte, size)
	before := heap()
	for range pipes {
		a, b := pipe.New(0)
		if _, err := a.Write(big); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(b, big); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, a, b)
	}
	// The buffers would be 6.4 MB.
	if got := (heap() - before) / pipes; got > size/4 {
		t.Errorf("an idle pipe holds %d bytes, want no buffer of %d", got, size)
	}
	runtime.KeepAlive(conns)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestConn_SetReadBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe.New(100)
		defer a.Close()
		defer b.Close()
		written := 0
		write := func(n int) {
			go func() {
				m, err := a.Write(make([]byte, n))
				if m != n || err != nil {
					t.Errorf("Write of %d bytes: got %d, %v", n, m, err)
				}
				written += m
			}()
			synctest.Wait()
		}
		set := func(n int) {
			t.Helper()
			if err := b.SetReadBuffer(n); err != nil {
				t.Errorf("SetReadBuffer(%d): got %v, want nil", n, err)
			}
			synctest.Wait()
		}

		write(60)
		set(10) // less than what waits
		write(30)
		if written != 60 {
			t.Errorf("with a buffer of 10: got %d bytes written, want 60", written)
		}
		set(89)
		if written != 60 {
			t.Errorf("with a buffer of 89: got %d bytes written, want 60", written)
		}
		set(90)
		if written != 90 {
			t.Errorf("with a buffer of 90: got %d bytes written, want 90", written)
		}
		set(0)
		write(64<<10 - 90)
		if written != 64<<10 {
			t.Errorf("with the default buffer: got %d bytes written, want %d", written, 64<<10)
		}

		a.Reset()
		b.Close()
		if err := b.SetReadBuffer(1); !errors.Is(err, net.ErrClosed) {
			t.Errorf("SetReadBuffer after Close: got %v, want net.ErrClosed", err)
		}
	})
}
