package wire_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// The tests of this file need descriptors: writing that arms a deadline only when it
// blocks works on nothing else, and package net does what it does on nothing else.

// overTCP joins a client and a Conn over loopback; wrap, if not nil, is put
// around the server's end.
func overTCP(t testing.TB, o wire.Options, deflate bool, wrap func(net.Conn) net.Conn) (*rawclient.Client, *wire.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if wrap != nil {
		far = wrap(far)
	}
	return over(t, near, far, o, deflate)
}

// overPlainTCP is overTCP without a wrapper.
func overPlainTCP(t testing.TB, o wire.Options, deflate bool) (*rawclient.Client, *wire.Conn) {
	t.Helper()
	return overTCP(t, o, deflate, nil)
}

func overUnix(t testing.TB, o wire.Options, deflate bool) (*rawclient.Client, *wire.Conn) {
	t.Helper()
	l, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return over(t, near, far, o, deflate)
}

// counting is a wrapper that inherits everything of a TCP connection, and whose
// own Read and Write must not be passed by.
type counting struct {
	*net.TCPConn
	mu            sync.Mutex
	read, written int
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	c.mu.Lock()
	c.read += n
	c.mu.Unlock()
	return n, err
}

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.TCPConn.Write(p)
	c.mu.Lock()
	c.written += n
	c.mu.Unlock()
	return n, err
}

func TestNetwork_echo(t *testing.T) {
	for name, open := range map[string]func(testing.TB, wire.Options, bool) (*rawclient.Client, *wire.Conn){
		"tcp": overPlainTCP, "unix": overUnix,
	} {
		t.Run(name, func(t *testing.T) {
			roles(t, func(t *testing.T, asClient bool, _ func([]byte) []byte) {
				client, c := open(t, wire.Options{MaxMessageSize: 4 * mb, WriteTimeout: time.Minute, Client: asClient}, false)
				echoes(t, client, c)
			})
		})
	}
}

// echoes exchanges messages of many sizes, some in one write.
func echoes(t *testing.T, client *rawclient.Client, c *wire.Conn) {
	t.Helper()
	sizes := []int{0, 1, 50, 64, 65, 125, 126, 4096, 16_370, 16_384, 16_385, 65_535, 65_536, 300_000, 3 * mb}
	var input []rawclient.Frame
	for _, n := range sizes {
		input = append(input, rawclient.Frame{Fin: true, Opcode: opBinary, Payload: []byte(noise(n))})
	}
	done := make(chan error, 1)
	go func() { done <- client.Write(input...) }()
	read := make(chan error, 1)
	go func() {
		for _, n := range sizes {
			op, p, err := client.ReadMessage()
			if err != nil || op != opBinary || string(p) != noise(n) {
				read <- errors.Join(err, errors.New("client: wrong echo of "+event(websock.Binary([]byte(noise(n))))))
				return
			}
		}
		read <- nil
	}()
	for _, n := range sizes {
		m, err := c.Next()
		if err != nil || string(m.Data) != noise(n) {
			t.Fatalf("Next: %v, %v; want %d bytes", m, err, n)
		}
		if err := c.Append(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(c.Flush(), <-done, <-read); err != nil {
		t.Error(err)
	}
}

func TestNetwork_wrapperIsNotPassedBy(t *testing.T) {
	var w *counting
	client, c := overTCP(t, wire.Options{MaxMessageSize: 4 * mb}, false, func(conn net.Conn) net.Conn {
		w = &counting{TCPConn: conn.(*net.TCPConn)}
		return w
	})
	w.read, w.written = 0, 0
	echoes(t, client, c)
	in, out := c.Counts().In.Binary, c.Counts().Out.Binary
	if int64(w.read) < in.Bytes || int64(w.written) < out.Bytes {
		t.Errorf("the wrapper saw %d bytes in and %d out, the wire %d and %d", w.read, w.written, in.Bytes, out.Bytes)
	}
}

func TestNetwork_tls(t *testing.T) {
	server := httptest.NewUnstartedServer(nil) // for its certificate
	server.StartTLS()
	defer server.Close()
	config := server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.ServerName = "example.com"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	near := tls.Client(raw, config)
	handshake := make(chan error, 1)
	go func() { handshake <- near.Handshake() }()
	secure := tls.Server(far, server.TLS)
	if err := errors.Join(secure.Handshake(), <-handshake); err != nil {
		t.Fatal(err)
	}
	client, c := over(t, near, secure, wire.Options{MaxMessageSize: 4 * mb, WriteTimeout: time.Minute}, false)
	echoes(t, client, c)

	if err := errors.Join(c.AppendClose(websock.CloseDetail{Code: 1000}), c.Flush(), c.CloseWrite()); err != nil {
		t.Fatal(err)
	}
	if f, err := client.ReadFrame(); f.Opcode != opClose || err != nil {
		t.Fatalf("client read %v, %v, want the Close frame", f, err)
	}
	if _, err := client.ReadFrame(); err != io.EOF {
		t.Errorf("then %v, want the end of the stream", err)
	}
	client.Close(1000, "")
	if _, err := c.Next(); verdict(err) != "remote 1000" {
		t.Errorf("Next: %v, want the peer's Close", err)
	}

	if err := c.Abort(); err != nil {
		t.Errorf("Abort: %v", err)
	}
}

func TestNetwork_interrupt(t *testing.T) {
	for name, call := range map[string]func(c *wire.Conn){
		"Interrupt": func(c *wire.Conn) { c.Interrupt(errIdle) },
		"Discard":   func(c *wire.Conn) { c.Discard() },
		"Abort":     func(c *wire.Conn) { c.Abort() },
	} {
		want := map[string]error{"Interrupt": errIdle, "Discard": wire.ErrStopped, "Abort": net.ErrClosed}[name]
		for _, sent := range [][]byte{nil, {0x81}, frame(fin, opBinary, str(100_000))[:60_000]} {
			// Many times, for the call may come before, at and after the wait.
			for range 50 {
				client, c := overTCP(t, wire.Options{MaxMessageSize: mb}, false, nil)
				client.WriteBytes(sent)
				done := make(chan error, 1)
				go func() {
					_, err := c.Next()
					done <- err
				}()
				call(c)
				if err := <-done; !errors.Is(err, want) {
					t.Fatalf("%s, %d bytes sent: Next: %v, want %v", name, len(sent), err, want)
				}
				client.Conn().Close()
				if err := c.Linger(time.Time{}, 0); err != nil && name != "Abort" && !errors.Is(err, os.ErrDeadlineExceeded) {
					// A reset is what a client that closes early may cause.
					t.Logf("%s: Linger: %v", name, err)
				}
				c.Abort()
			}
		}
	}
}

func TestNetwork_writeTimeout(t *testing.T) {
	client, c := overTCP(t, wire.Options{WriteTimeout: 50 * time.Millisecond}, false, nil)
	var err error
	for range 1000 { // until the kernel's buffers are full
		c.Append(websock.Text(str(10_000)))
		if err = c.Flush(); err != nil {
			break
		}
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Flush to a peer that does not read: %v, want a deadline error", err)
	}
	client.Conn().Close()
}

// TestNetwork_writeDeadlineIsTakenBack: the deadline of a write that blocked for
// a while does not meet a later one.
func TestNetwork_writeDeadlineIsTakenBack(t *testing.T) {
	const timeout = time.Second
	client, c := overTCP(t, wire.Options{WriteTimeout: timeout}, false, nil)
	blocked := make(chan error, 1)
	go func() {
		c.Append(websock.Text(str(15_000)))
		for c.Counts().Out.Text.Frames < 1000 {
			c.Append(websock.Text(str(15_000)))
		}
		blocked <- c.Flush()
	}()
	io.CopyN(io.Discard, client.Conn(), 1000*(15_000+4))
	if err := <-blocked; err != nil {
		t.Fatalf("a peer that reads: %v", err)
	}
	time.Sleep(2 * timeout) // on the clock of the kernel's deadline; no bubble reaches it
	if err := errors.Join(c.Append(websock.Text("later")), c.Flush()); err != nil {
		t.Errorf("a write after the deadline of the one before: %v", err)
	}
}

// TestNetwork_closeReachesAPeerThatStillWrites (inventory 133): half closing and
// draining keeps the RST away from our Close frame.
func TestNetwork_closeReachesAPeerThatStillWrites(t *testing.T) {
	for range 20 {
		client, c := overTCP(t, wire.Options{MaxMessageSize: 1000}, false, nil)
		written := make(chan struct{})
		go func() {
			defer close(written)
			client.WriteBytes(frame(fin, opBinary, str(2*mb)))
		}()
		_, err := c.Next()
		protocol, ok := errors.AsType[*websock.ProtocolError](err)
		if !ok || protocol.Code != websock.CloseMessageTooBig {
			t.Fatalf("Next: %v, want 1009", err)
		}
		if err := errors.Join(c.AppendClose(websock.CloseDetail{Code: protocol.Code}), c.Flush(), c.CloseWrite()); err != nil {
			t.Fatal(err)
		}
		go func() {
			<-written
			client.Close(1009, "")
		}()
		if err := c.Linger(time.Now(), time.Minute); err != nil {
			t.Errorf("Linger: %v", err)
		}
		c.Abort()
		f, err := client.ReadFrame()
		if err != nil || f.Opcode != opClose || string(f.Payload) != "\x03\xf1" {
			t.Errorf("client read %v, %v, want the Close frame 1009", f, err)
		}
	}
}

// heap is what is in use once the pools are empty.
func heap() uint64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
