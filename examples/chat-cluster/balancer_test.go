package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// fakeNode is a node as the balancer sees it: it says its name at /, who is asked for at /host, and echoes at /ws. The network is
// real, since the balancer is about connections.
type fakeNode struct {
	*httptest.Server
	name  string
	ready atomic.Bool
	asked atomic.Int32 // requests but for /ready
}

func newFakeNode(t *testing.T, name string) *fakeNode {
	n := &fakeNode{name: name}
	n.ready.Store(true)
	n.Server = httptest.NewServer(n)
	t.Cleanup(n.Close)
	return n
}

func (n *fakeNode) addr() string { return n.Listener.Addr().String() }

func (n *fakeNode) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/ready" {
		if !n.ready.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return
	}
	n.asked.Add(1)
	switch r.URL.Path {
	case "/ws":
		conn, err := websocket.Accept(w, r, nil) // it compares Origin and Host
		if err != nil {
			return
		}
		defer conn.CloseNow()
		for {
			typ, data, err := conn.Read(r.Context())
			if err != nil {
				return
			}
			if err := conn.Write(r.Context(), typ, []byte(n.name+" "+string(data))); err != nil {
				return
			}
		}
	case "/host":
		fmt.Fprint(w, r.Host, " for ", r.Header.Get("X-Forwarded-For"))
	default:
		fmt.Fprint(w, n.name)
	}
}

// balance runs a balancer until the end of the test, or until stop is called.
func balance(t *testing.T, addrs ...string) (b *balancer, addr string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b = newBalancer()
	for _, a := range addrs {
		b.add(a)
	}
	ctx, cancel := context.WithCancel(context.Background())
	serving, served := make(chan struct{}), make(chan error, 1)
	go func() { served <- b.serve(ctx, l, func() { close(serving) }) }()
	done := false
	stop = func() {
		if done {
			return
		}
		done = true
		cancel()
		select {
		case err := <-served:
			if err != nil {
				t.Errorf("serve: %v, want nil", err)
			}
		case <-time.After(patience):
			t.Error("serve does not return")
		}
	}
	t.Cleanup(stop)
	<-serving
	return b, l.Addr().String(), stop
}

// get is the answer to a request.
func get(t *testing.T, addr, path string) (status int, body string) {
	t.Helper()
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + addr + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// open opens a WebSocket as a page of the chat does, and returns the node that it is on.
func open(t *testing.T, addr string) (conn *websocket.Conn, node string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "ws://"+addr+"/ws", &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {"http://" + addr}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseNow() })
	return conn, echo(t, conn, "hello")
}

// echo sends a text, and returns the node that it comes back from.
func echo(t *testing.T, conn *websocket.Conn, text string) (node string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := conn.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		t.Fatal(err)
	}
	_, data, err := conn.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	node, ok := strings.CutSuffix(string(data), " "+text)
	if !ok {
		t.Fatalf("sent %q, got %q back", text, data)
	}
	return node
}

// await waits until the balancer has noticed something.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !done(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not so after %v: %s", patience, what)
		}
	}
}

// wantBusy waits until there are n requests in progress: a client may have its answer before the balancer has noted the end.
func (b *balancer) wantBusy(t *testing.T, n int) {
	t.Helper()
	await(t, fmt.Sprintf("%d requests in progress", n), func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		sum := 0
		for _, node := range b.nodes {
			sum += node.busy
		}
		return sum == n
	})
}

func (b *balancer) readyNodes() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, node := range b.nodes {
		if node.ready {
			n++
		}
	}
	return n
}

func TestBalancer_spreadsSockets(t *testing.T) {
	a, b, c := newFakeNode(t, "a"), newFakeNode(t, "b"), newFakeNode(t, "c")
	bal, addr, _ := balance(t, a.addr(), b.addr(), c.addr())
	on := map[string]int{}
	var conns []*websocket.Conn
	var first string
	for i := range 6 {
		get(t, addr, "/") // pages do not change where the next socket goes
		bal.wantBusy(t, i)
		conn, node := open(t, addr)
		if i == 0 {
			first = node
		}
		conns = append(conns, conn)
		on[node]++
	}
	for _, n := range []*fakeNode{a, b, c} {
		if on[n.name] != 2 {
			t.Errorf("of 6 sockets %d are on node %s, want 2", on[n.name], n.name)
		}
	}
	conns[0].Close(websocket.StatusNormalClosure, "")
	bal.wantBusy(t, 5)
	if _, node := open(t, addr); node != first {
		t.Errorf("after the end of a socket of node %s the next one is on %s", first, node)
	}
}

func TestBalancer_passesHostOn(t *testing.T) {
	n := newFakeNode(t, "a")
	_, addr, _ := balance(t, n.addr())
	if status, body := get(t, addr, "/host"); status != http.StatusOK || body != addr+" for 127.0.0.1" {
		t.Errorf("the node sees %d %q, want the Host %s and the client 127.0.0.1", status, body, addr)
	}
}

// A node that is killed is noticed at the next request, not at the next probe.
func TestBalancer_nodeThatIsGone(t *testing.T) {
	a, b := newFakeNode(t, "a"), newFakeNode(t, "b")
	_, addr, _ := balance(t, a.addr(), b.addr())
	conn, node := open(t, addr)
	other := b
	if node == "b" {
		other = a
	}
	for _, n := range []*fakeNode{a, b} {
		if n.name == node {
			n.Listener.Close() // the socket lives
		}
	}
	for range 3 {
		if status, body := get(t, addr, "/"); status != http.StatusOK || body != other.name {
			t.Errorf("got %d %q, want the answer of node %s", status, body, other.name)
		}
		if _, node := open(t, addr); node != other.name {
			t.Errorf("a socket is on %s, want %s", node, other.name)
		}
	}
	if got := echo(t, conn, "still here"); got != node {
		t.Errorf("the socket of before is on %s, want %s", got, node)
	}
}

// A node that drains gets no new requests. When none is ready, clients are told to come back.
func TestBalancer_nodeThatDrains(t *testing.T) {
	a, b := newFakeNode(t, "a"), newFakeNode(t, "b")
	bal, addr, _ := balance(t, a.addr(), b.addr())
	a.ready.Store(false)
	await(t, "one node is not ready", func() bool { return bal.readyNodes() == 1 })
	asked := a.asked.Load()
	for range 4 {
		if _, body := get(t, addr, "/"); body != "b" {
			t.Errorf("got the answer of node %q, want b", body)
		}
	}
	if got := a.asked.Load(); got != asked {
		t.Errorf("the node that drains was asked %d times", got-asked)
	}
	b.ready.Store(false)
	await(t, "no node is ready", func() bool { return bal.readyNodes() == 0 })
	if status, body := get(t, addr, "/"); status != http.StatusServiceUnavailable || !strings.Contains(body, errNoNode.Error()) {
		t.Errorf("got %d %q, want 503 with %q", status, body, errNoNode)
	}
	a.ready.Store(true)
	await(t, "one is ready again", func() bool { return bal.readyNodes() == 1 })
	if status, body := get(t, addr, "/"); status != http.StatusOK || body != "a" {
		t.Errorf("got %d %q, want the answer of node a", status, body)
	}
}

// What has a body is not sent twice.
func TestBalancer_bodyIsSentOnce(t *testing.T) {
	a := newFakeNode(t, "a")
	var got atomic.Int32
	breaks := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ready" {
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		got.Add(1)
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(breaks.Close)
	_, addr, _ := balance(t, breaks.Listener.Addr().String(), a.addr())
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Post("http://"+addr+"/", "text/plain", strings.NewReader("once"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable || got.Load() != 1 || a.asked.Load() != 0 {
		t.Errorf("status %d, asked %d and %d times; want 503, and the first node asked once, the second never", resp.StatusCode,
			got.Load(), a.asked.Load())
	}
}

// At the end no connection is left, WebSockets included. TestMain looks for goroutines.
func TestBalancer_end(t *testing.T) {
	n := newFakeNode(t, "a")
	b, addr, stop := balance(t, n.addr())
	conn, _ := open(t, addr)
	stop()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, _, err := conn.Read(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("a socket after the end of the balancer: %v, want the end of its connection", err)
	}
	b.wantBusy(t, 0)
}
