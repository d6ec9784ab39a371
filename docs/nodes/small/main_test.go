package main

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = time.Minute

func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start runs the program until the end of the test, or stop.
func start(t *testing.T, args ...string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, args) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil && ctx.Err() == nil {
			t.Errorf("run(%q) = %v", args, err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// dial connects to a node, once it is ready, and returns the PID of the socket.
func dial(t *testing.T, addr string) (*websocket.Conn, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		r, err := http.Get("http://" + addr + "/readyz")
		if err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				break
			}
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s is not ready: %v", addr, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
	c, _, err := websocket.Dial(ctx, "ws://"+addr+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	return c, read(t, c)
}

func read(t *testing.T, c *websocket.Conn) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, b, err := c.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func say(t *testing.T, c *websocket.Conn, text string) {
	t.Helper()
	if err := c.Write(context.Background(), websocket.MessageText, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// heard are the messages that come.
func heard(t *testing.T, c *websocket.Conn) <-chan string {
	texts := make(chan string, 1<<10)
	go func() {
		defer close(texts)
		for {
			_, b, err := c.Read(context.Background())
			if err != nil {
				return
			}
			texts <- string(b)
		}
	}()
	return texts
}

// until says text again and again until want is heard: nodes find each other, and lose each other, in their time.
func until(t *testing.T, c *websocket.Conn, text string, at <-chan string, want string) {
	t.Helper()
	last := "nothing"
	for end := time.Now().Add(patience); time.Now().Before(end); {
		say(t, c, text)
		select {
		case last = <-at:
			if last == want {
				return
			}
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Fatalf("said %q, heard %q at last, want %q", text, last, want)
}

// TestSmall does what the page has a reader do, over real servers, as the reader does.
func TestSmall(t *testing.T) {
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	web1, web2, nats1, nats2 := freeAddr(t), freeAddr(t), freeAddr(t), freeAddr(t)
	start(t, "-name", "web-1", "-addr", web1, "-listen", nats1)
	stop2 := start(t, "-name", "web-2", "-addr", web2, "-listen", nats2, "-routes", nats1)
	c1, _ := dial(t, web1)
	c2, pid := dial(t, web2)
	if !strings.HasSuffix(pid, "@web-2") {
		t.Fatalf("the PID at web-2 is %q", pid)
	}
	one, two := heard(t, c1), heard(t, c2)
	until(t, c1, pid+" hello from node 1", two, "hello from node 1")
	until(t, c1, "whoever hello", one, "that is no PID")
	stop2()
	until(t, c1, pid+" still there?", one, "cannot be reached")
}
