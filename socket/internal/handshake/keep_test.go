package handshake_test

import (
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/handshake"
	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
)

// sink is a connection that keeps nothing but whether it was closed.
type sink struct{ closed bool }

func (*sink) Read([]byte) (int, error)         { return 0, net.ErrClosed }
func (*sink) Write(p []byte) (int, error)      { return len(p), nil }
func (s *sink) Close() error                   { s.closed = true; return nil }
func (*sink) LocalAddr() net.Addr              { return pipe.Addr(1) }
func (*sink) RemoteAddr() net.Addr             { return pipe.Addr(2) }
func (*sink) SetDeadline(time.Time) error      { return nil }
func (*sink) SetReadDeadline(time.Time) error  { return nil }
func (*sink) SetWriteDeadline(time.Time) error { return nil }

// TestAccept_keepsNothing: websocket.Accept makes a websocket.Conn, with a finalizer that closes. Nothing of it stays: no
// memory, no goroutine, and no finalizer that would close the connection.
func TestAccept_keepsNothing(t *testing.T) {
	const n = 2000
	sinks := make([]sink, n)
	accepted := make([]handshake.Accepted, n)
	goroutines, before := runtime.NumGoroutine(), heap()
	for i := range sinks {
		a, err := handshake.Accept(direct{&sinks[i]}, request("Sec-WebSocket-Extensions", "permessage-deflate"), handshake.Options{Compress: true})
		if err != nil {
			t.Fatal(err)
		}
		accepted[i] = a
	}
	const most = 64 // bytes a connection, for what the test and the runtime have besides
	if per := (int64(heap()) - int64(before)) / n; per > most {
		t.Errorf("a handshake keeps %d bytes, want at most %d", per, most)
	}
	if got := runtime.NumGoroutine(); got > goroutines {
		t.Errorf("%d goroutines after %d handshakes, %d before", got, n, goroutines)
	}
	for i := range sinks {
		if sinks[i].closed {
			t.Fatalf("connection %d was closed by the garbage collector", i)
		}
	}
	runtime.KeepAlive(accepted)
}

// heap is the memory that is in use, after finalizers have run and what they held is gone.
func heap() uint64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestAccept_longLists: a client decides how long the lists in its headers are. They are looked through, and not split.
func TestAccept_longLists(t *testing.T) {
	const most = 64 << 10
	for _, name := range []string{"Connection", "Upgrade", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"} {
		r := request()
		r.Header.Set(name, strings.Repeat("a,", 500_000)+r.Header.Get(name))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		refusal := handshake.CheckRequest(r)
		_, err := handshake.Accept(direct{new(sink)}, r, handshake.Options{Subprotocols: []string{"chat"}})
		runtime.ReadMemStats(&after)
		if refusal != nil || err != nil {
			t.Errorf("%s: CheckRequest %v, Accept %v; want no error", name, refusal, err)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > most {
			t.Errorf("%s: 1 MB in it made %d bytes of memory, want at most %d", name, got, most)
		}
	}
}

// TestAccept_concurrently: handshakes at the same time do not see each other's.
func TestAccept_concurrently(t *testing.T) {
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			early := map[string][]byte{}
			for j := range 200 {
				name := fmt.Sprintf("p%d.%d", i, j)
				key := fmt.Sprintf("%021d", i*1000+j) + "A=="
				conn := new(script)
				w := &hijackable{conn: conn, header: http.Header{"X-Name": {name}}, leftover: name}
				if j%3 == 0 {
					w.header.Set("X-Long", strings.Repeat("x", 5000)) // more than is kept of an answer
				}
				r := request("Sec-WebSocket-Key", key, "Sec-WebSocket-Protocol", name)
				a, err := handshake.Accept(w, r, handshake.Options{Subprotocols: []string{name}})
				head := string(conn.written)
				for _, line := range []string{"Sec-WebSocket-Protocol: " + name, "X-Name: " + name, "Sec-WebSocket-Accept: " + rawclient.Accept(key)} {
					if err != nil || !strings.Contains(head, "\r\n"+line+"\r\n") {
						t.Errorf("%v; the 101 is\n%s\nwant the line %s", err, head, line)
						return
					}
				}
				if a.Conn != conn || string(a.Early) != name || a.Subprotocol != name || conn.closed.Load() {
					t.Errorf("%s: got %+v, closed %t", name, a, conn.closed.Load())
					return
				}
				early[name] = a.Early
			}
			for name, p := range early {
				if string(p) != name {
					t.Errorf("%s: its early bytes became %q", name, p)
				}
			}
		})
	}
	all.Wait()
}
