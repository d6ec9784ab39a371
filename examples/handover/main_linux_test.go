package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/coder/websocket"
)

// TestMain is the program itself when a test has started it as one.
func TestMain(m *testing.M) {
	if args, ok := os.LookupEnv("HANDOVER_ARGS"); ok {
		os.Args = append(os.Args[:1], strings.Fields(args)...)
		main()
		return
	}
	os.Exit(m.Run())
}

// start starts the program as a process of its own and returns when it listens, with its address.
func start(t *testing.T, args string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "HANDOVER_ARGS="+args)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("%s has not said that it listens: %v", args, err)
		}
		if _, url, ok := strings.Cut(line, "ws://"); ok {
			go io.Copy(io.Discard, lines)
			return cmd, strings.TrimSuffix(strings.TrimSpace(url), "/")
		}
	}
}

// dial connects, and returns who has answered; or the status with which it was refused, 0 if the connection was lost.
func dial(addr string) (c *websocket.Conn, name string, status int) {
	c, resp, err := websocket.Dial(context.Background(), "ws://"+addr+"/", &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}})
	if err != nil {
		if resp != nil {
			return nil, "", resp.StatusCode
		}
		return nil, "", 0
	}
	_, p, err := c.Read(context.Background())
	if err != nil {
		c.CloseNow()
		return nil, "", 0
	}
	return c, string(p), 101
}

// handOver has clients on an old process, starts a new one beside it, ends the old one, and dials all the while. It
// returns how many upgrades were refused, and how many connections were lost before an answer. The network is a
// real one: the test is about how the kernel spreads connections over two processes.
func handOver(t *testing.T, flags string) (refused, lost int64) {
	const clients = 40
	old, addr := start(t, "-name old -drain-over 1s -addr 127.0.0.1:0 "+flags)
	var conns []*websocket.Conn
	for range clients {
		c, name, status := dial(addr)
		if name != "old" {
			t.Fatalf("before the handover: got %q, status %d; want old", name, status)
		}
		defer c.CloseNow()
		conns = append(conns, c)
	}
	next, _ := start(t, "-name new -drain-over 0 -addr "+addr)

	var refusals, losses atomic.Int64
	come := func() (*websocket.Conn, string) { // until somebody answers
		for {
			c, name, status := dial(addr)
			switch status {
			case 101:
				return c, name
			case http.StatusServiceUnavailable:
				refusals.Add(1)
			case 0:
				losses.Add(1)
			default:
				t.Errorf("an upgrade: got status %d, want 101 or 503", status)
			}
		}
	}
	var wg sync.WaitGroup
	if err := old.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for _, c := range conns {
		wg.Go(func() {
			_, _, err := c.Read(context.Background())
			var closed websocket.CloseError
			if !errors.As(err, &closed) || closed.Code != websocket.StatusServiceRestart || !strings.HasPrefix(closed.Reason, "new version retry-after=") {
				t.Errorf("a client of the old process: got %v, want 1012 and when to come back", err)
			}
			c, _ := come() // at once, which is the hardest case
			c.CloseNow()
		})
	}
	over := make(chan struct{})
	wg.Go(func() {
		for {
			c, _ := come()
			c.CloseNow()
			select {
			case <-over:
				return
			default:
			}
		}
	})
	if err := old.Wait(); err != nil {
		t.Errorf("the old process has ended with %v, want status 0", err)
	}
	close(over)
	wg.Wait()
	if c, name := come(); name != "new" {
		t.Errorf("after the handover: got %q, want new", name)
	} else {
		c.CloseNow()
	}
	next.Process.Signal(syscall.SIGTERM)
	if err := next.Wait(); err != nil {
		t.Errorf("the new process has ended with %v, want status 0", err)
	}
	return refusals.Load(), losses.Load()
}

// HTTP stops first: nobody is refused.
func TestHandover(t *testing.T) {
	refused, lost := handOver(t, "")
	t.Logf("%d upgrades refused, %d connections lost", refused, lost)
	if refused != 0 {
		t.Errorf("got %d upgrades refused, want none", refused)
	}
}

// HTTP stops last, as a load balancer wants it: the kernel goes on giving connections to the old process, which refuses
// them.
func TestHandover_balanced(t *testing.T) {
	refused, lost := handOver(t, "-balanced")
	t.Logf("%d upgrades refused, %d connections lost", refused, lost)
	if refused == 0 {
		t.Error("got no upgrade refused, so the page that says which order is for what is wrong")
	}
}
