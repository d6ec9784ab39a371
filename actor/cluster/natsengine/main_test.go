package natsengine_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/goleak"

	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/natsengine"
)

func TestMain(m *testing.M) {
	if text := os.Getenv(childEnv); text != "" {
		if err := child(text); err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// patience bounds what a test waits for. It is no statement about speed. These tests run on a real clock and a real
// network, since nats.go and nats-server do, on machines that may stand still for minutes.
const patience = 3 * time.Minute

var silent = slog.New(slog.DiscardHandler)

// startServer starts a NATS server of its own, as an operator would, at port, 0: any.
func startServer(t testing.TB, port int, change func(*server.Options)) *server.Server {
	t.Helper()
	if port == 0 {
		port = server.RANDOM_PORT
	}
	opts := &server.Options{Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true}
	if change != nil {
		change(opts)
	}
	s, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { stopServer(s) })
	if !s.ReadyForConnections(patience) {
		t.Fatalf("no NATS server at %v", s.Addr())
	}
	return s
}

func stopServer(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

func newEngine(t testing.TB, cfg natsengine.Config) *natsengine.Engine {
	t.Helper()
	e, err := natsengine.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// member is one node's place, with what it has received.
type member struct {
	cluster.Conn
	arrived chan string
}

func join(t testing.TB, e cluster.Engine, name string, self uint64) *member {
	t.Helper()
	m := &member{arrived: make(chan string, 1024)}
	c, err := e.Open(context.Background(), name, self, func(p []byte) { m.arrived <- string(p) })
	if err != nil {
		t.Fatalf("Open(%q, %x): %v", name, self, err)
	}
	m.Conn = c
	leave := sync.OnceFunc(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	t.Cleanup(leave)
	return m
}

// next is what arrives next.
func (m *member) next(t testing.TB) string {
	t.Helper()
	select {
	case got := <-m.arrived:
		return got
	case <-time.After(patience):
		t.Fatal("nothing arrives")
		return ""
	}
}

// until publishes text until it has arrived at to: an engine may lose what is sent while it connects.
func (m *member) until(t testing.TB, to *member, self uint64, text string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.After(patience)
	for {
		err := m.Publish(self, []byte(text))
		select {
		case got := <-to.arrived:
			if strings.HasPrefix(got, text) {
				return
			}
		case <-tick.C:
		case <-end:
			t.Fatalf("%q does not arrive; the last error of Publish: %v", text, err)
		}
	}
}

func waitFor(t testing.TB, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !done(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not so after %v: %s", patience, what)
		}
	}
}

func portOf(t testing.TB, addr string) int {
	t.Helper()
	_, text, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return port
}
