package socket_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/websock"
)

// blocker blocks in every callback until it is released.
type blocker struct{ release chan struct{} }

func (b blocker) Init(context.Context) websock.Result { return websock.OK() }
func (b blocker) HandleIn(context.Context, websock.Message) websock.Result {
	<-b.release
	return websock.OK()
}
func (b blocker) HandleControl(context.Context, websock.Message) websock.Result {
	<-b.release
	return websock.OK()
}
func (b blocker) HandleInfo(context.Context, any) websock.Result {
	<-b.release
	return websock.OK()
}

// Who looks at a socket sees what it is doing, not how it is built.
func TestInspect_saysWhatASocketHandles(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(c *sockettest.Conn)
		want string
	}{
		{"text", func(c *sockettest.Conn) { c.Send(websock.Text("x")) }, "websock.Message text"},
		{"binary", func(c *sockettest.Conn) { c.Send(websock.Binary(nil)) }, "websock.Message binary"},
		{"ping", func(c *sockettest.Conn) { c.Send(websock.Ping(nil)) }, "websock.Message ping"},
		{"pong", func(c *sockettest.Conn) { c.Send(websock.Pong(nil)) }, "websock.Message pong"},
		{"info", func(c *sockettest.Conn) { c.PID.Send(int8(1)) }, "int8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := blocker{make(chan struct{})}
				c := sockettest.Serve(t, socket.Config{}, b)
				tt.do(c)
				synctest.Wait()
				info, err := actor.Inspect(c.PID)
				if err != nil || info.Handling != tt.want {
					t.Errorf("Handling = %q, %v, want %q", info.Handling, err, tt.want)
				}
				close(b.release)
			})
		})
	}
}

// called is a handler each of whose optional callbacks takes a second, and whose streams do.
type called struct{ *handler }

func (called) HandleDrain(context.Context, time.Time) websock.Result {
	time.Sleep(time.Second)
	return websock.OK()
}
func (called) HandleExpiry(context.Context) websock.Result {
	time.Sleep(time.Second)
	return websock.OK()
}
func (called) HandleLag(context.Context, websock.Lag) websock.Result {
	time.Sleep(time.Second)
	return websock.OK()
}
func (called) Describe() any { time.Sleep(time.Second); return nil }

// callings have one of those callbacks called, within a second.
var callings = []struct {
	name, recorded string
	call           func(r *rig, c *client)
}{
	{"HandleDrain", "drain", func(r *rig, _ *client) {
		go r.srv.Drain(context.Background(), socket.Drain{Delay: 5 * time.Second})
		time.Sleep(time.Second / 2)
	}},
	{"HandleExpiry", "expiry", func(_ *rig, c *client) {
		c.pid.Send(do(func(ctx context.Context) websock.Result {
			socket.Expire(ctx, time.Now().Add(30*time.Minute+time.Second/2))
			return websock.OK()
		}))
		time.Sleep(30*time.Minute - 9*time.Second) // ExpiryWarning is 10 s
	}},
	{"HandleLag", "lag", func(_ *rig, c *client) {
		c.pid.Send(do(func(context.Context) websock.Result { time.Sleep(100 * time.Millisecond); return websock.OK() }))
		time.Sleep(50 * time.Millisecond)
		c.pid.Send(websock.Text("left out").Deliver(websock.Delivery{Volatile: true}))
		time.Sleep(time.Second / 2)
	}},
	{"Describe", "", func(r *rig, c *client) {
		go r.srv.Describe(context.Background(), c.pid)
		time.Sleep(time.Second / 2)
	}},
	{"websock.Stream", "", func(_ *rig, c *client) {
		c.pid.Send(do(func(context.Context) websock.Result {
			return websock.Stream(func(func(websock.Message) bool) { time.Sleep(time.Second) })
		}))
		time.Sleep(time.Second / 2)
	}},
}

// Whoever looks at a socket, or at what a socket was, sees the names of callbacks, and no message that only this library knows.
func TestInspect_saysWhichCallback(t *testing.T) {
	for _, tt := range callings {
		bubble(t, tt.name, func(t *testing.T) {
			r := serve(t, socket.Config{Record: 1, ExpiryWarning: 10 * time.Second, IdleTimeout: -1, PingInterval: -1})
			c := r.dial(called{puppet()})
			synctest.Wait()
			tt.call(r, c)
			info, err := actor.Inspect(c.pid)
			if err != nil || info.Handling != tt.name {
				t.Errorf("Handling = %q, %v, want %q", info.Handling, err, tt.name)
			}
			record, err := r.srv.Recorded(c.pid)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range record {
				if !e.Sent && e.What != "init" && e.What != "socket_test.do" && e.What != "websock.Message to the client" {
					got = append(got, fmt.Sprintf("%s, returned: %t", e.What, e.Took >= 0))
				}
			}
			var want []string
			if tt.recorded != "" {
				want = []string{tt.recorded + ", returned: false"}
			}
			if !slices.Equal(got, want) {
				t.Errorf("recorded %q, want %q", got, want)
			}
			time.Sleep(2 * time.Second)
			if record, err = r.srv.Recorded(c.pid); err != nil {
				t.Fatal(err)
			}
			if last := record[len(record)-1]; tt.recorded != "" && (last.What != tt.recorded || last.Took != time.Second) {
				t.Errorf("the last entry is %q, want %s, which took 1s", last, tt.recorded)
			}
			c.pid.Exit(actor.ErrKilled)
			c.end()
			time.Sleep(time.Minute) // until the drain is over
		})
	}
}

// Closed.Dropped counts what other processes have sent; that the peer has closed is no message.
func TestClosed_droppedCountsMessagesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := blocker{make(chan struct{})}
		closed := make(chan socket.Closed, 1)
		c := sockettest.Serve(t, socket.Config{OnClose: func(cl socket.Closed) { closed <- cl }}, b)
		c.Send(websock.Text("x"))
		synctest.Wait()
		c.PID.Exit(websock.ErrNormal)
		c.PID.Send("after the end")
		c.Close(websock.CloseNormal, "")
		synctest.Wait()
		close(b.release)
		if cl := <-closed; cl.Dropped != 1 {
			t.Errorf("Dropped = %d, want 1", cl.Dropped)
		}
	})
}

// A request with a body is no handshake: its bytes would be taken for frames.
func TestServer_refusesARequestWithABody(t *testing.T) {
	for name, change := range map[string]func(*http.Request){
		"Content-Length": func(r *http.Request) { r.ContentLength = 11 },
		"chunked":        func(r *http.Request) { r.TransferEncoding = []string{"chunked"} },
	} {
		t.Run(name, func(t *testing.T) {
			s, err := socket.New(socket.Config{System: sockettest.NewSystem(t)})
			if err != nil {
				t.Fatal(err)
			}
			r := goodRequest()
			change(r)
			_, err = s.Upgrade(deafWriter{}, r, blocker{})
			if ue, ok := err.(*socket.UpgradeError); !ok || ue.Status != http.StatusBadRequest {
				t.Errorf("got %v, want *UpgradeError with status 400", err)
			}
		})
	}
}

type deafWriter struct{}

func (deafWriter) Header() http.Header         { return http.Header{} }
func (deafWriter) Write(p []byte) (int, error) { return len(p), nil }
func (deafWriter) WriteHeader(int)             {}

// smallThenLarge pushes a little, and after it what takes long to compress.
type smallThenLarge struct{ blocker }

func (smallThenLarge) HandleIn(context.Context, websock.Message) websock.Result {
	return websock.Push(websock.Text("small"), websock.Text(strings.Repeat("large", 20_000)))
}

// writeLog notes how much each Write had.
type writeLog struct {
	net.Conn
	mu    sync.Mutex
	sizes []int
}

func (w *writeLog) Write(p []byte) (int, error) {
	w.mu.Lock()
	w.sizes = append(w.sizes, len(p))
	w.mu.Unlock()
	return w.Conn.Write(p)
}

type writeLogListener struct {
	*pipe.Listener
	accepted chan *writeLog
}

func (l writeLogListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	w := &writeLog{Conn: c}
	l.accepted <- w
	return w, nil
}

// What was pushed leaves before something is compressed that may take more than a millisecond.
func TestPush_doesNotWaitForALongCompression(t *testing.T) {
	s, err := socket.New(socket.Config{System: sockettest.NewSystem(t), Compression: socket.Compression{On: true}})
	if err != nil {
		t.Fatal(err)
	}
	l := writeLogListener{pipe.NewListener(), make(chan *writeLog, 1)}
	srv := &http.Server{Handler: s.Handler(func(*http.Request) (websock.Handler, error) { return smallThenLarge{}, nil })}
	served := make(chan struct{})
	go func() { srv.Serve(l); close(served) }()
	t.Cleanup(func() { s.Shutdown(context.Background()); srv.Close(); <-served })
	conn, err := l.Dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := rawclient.Handshake(conn, rawclient.HandshakeOptions{Deflate: true})
	if err != nil || c == nil {
		t.Fatalf("handshake: %v", err)
	}
	c.Text("go")
	for range 2 {
		if _, _, err := c.ReadMessage(); err != nil {
			t.Fatal(err)
		}
	}
	conn.Close()
	w := <-l.accepted
	w.mu.Lock()
	defer w.mu.Unlock()
	if want := len("\x81\x05small"); len(w.sizes) < 3 || w.sizes[1] != want {
		t.Errorf("sizes of writes %v, want the second (after the 101) to have %d bytes", w.sizes, want)
	}
}
