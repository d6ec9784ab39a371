package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
)

// start runs the program until the test ends. It returns its address, that of its numbers, and a function that ends it and waits.
func start(t *testing.T, args ...string) (addr, watch string, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, append([]string{"-addr", "127.0.0.1:0"}, args...), in)
		in.Close()
		done <- err
	}()
	stopped := false
	stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-done
	}
	t.Cleanup(func() { stop() })
	addr, watch = address(t, out)
	return addr, watch, stop
}

// address reads the address of the program and that of its numbers from its output, and drops what comes after them.
func address(t *testing.T, out io.Reader) (addr, watch string) {
	t.Helper()
	r := bufio.NewReader(out)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("the program ended without its address: %v", err)
		}
		if rest, ok := strings.CutPrefix(line, "chat: numbers at http://"); ok {
			watch, _, _ = strings.Cut(rest, "/")
		}
		if rest, ok := strings.CutPrefix(line, "chat: http://"); ok {
			go io.Copy(io.Discard, r)
			addr, _, _ = strings.Cut(rest, "/")
			return addr, watch
		}
	}
}

// patience bounds what a broken program could make a test wait for. The tests of this file run over real TCP, because the program
// with its listener and its signals is what they are about.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("os/signal.loop"), goleak.IgnoreTopFunction("os/signal.signal_recv"))
}

// message has what these tests look at of all that the server says.
type message struct{ Type, Name, Text string }

// visit connects as a page does and enters the lobby.
func visit(t *testing.T, addr, name string) *websocket.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, _, err := websocket.Dial(ctx, "ws://"+addr+"/ws", &websocket.DialOptions{CompressionMode: websocket.CompressionNoContextTakeover})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	key := strings.Repeat(name, 16)
	send(t, c, map[string]string{"type": "hello", "name": name, "key": key, "session": key})
	send(t, c, map[string]string{"type": "join", "room": "lobby"})
	read(t, c, "joined")
	return c
}

func send(t *testing.T, c *websocket.Conn, request map[string]string) {
	t.Helper()
	data, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Write(t.Context(), websocket.MessageText, data); err != nil {
		t.Fatal(err)
	}
}

// read is the next message of that type.
func read(t *testing.T, c *websocket.Conn, typ string) (m message) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for m.Type != typ {
		_, data, err := c.Read(ctx)
		if err != nil {
			t.Fatalf("waiting for a message of type %q: %v", typ, err)
		}
		m = message{}
		if err := json.Unmarshal(data, &m); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// end reads to the end of the connection, and returns how it has ended.
func end(t *testing.T, c *websocket.Conn) (err error) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for err == nil {
		_, _, err = c.Read(ctx)
	}
	return err
}

func TestChat_overTCP(t *testing.T) {
	addr, _, stop := start(t, "-come-back", "7s")
	ann, bob := visit(t, addr, "Ann"), visit(t, addr, "Bob")
	text := strings.Repeat("a long one ", 80) // so long that it is compressed
	send(t, ann, map[string]string{"type": "say", "text": text})
	for _, c := range []*websocket.Conn{ann, bob} {
		if m := read(t, c, "message"); m.Name != "Ann" || m.Text != strings.TrimSpace(text) {
			t.Errorf("got %+v, want Ann's long message", m)
		}
	}

	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	hint := regexp.MustCompile(`^retry-after=[1-7]$`)
	for _, c := range []*websocket.Conn{ann, bob} {
		err := end(t, c)
		var ce websocket.CloseError
		if !errors.As(err, &ce) || ce.Code != websocket.StatusGoingAway || !hint.MatchString(ce.Reason) {
			t.Errorf("at the end of the program: %v, want close code 1001 with a hint when to come back", err)
		}
	}
	if err := <-ended; err != nil {
		t.Errorf("run: %v", err)
	}
}

func TestChat_page(t *testing.T) {
	addr, _, _ := start(t)
	for path, want := range map[string]string{
		"/": "Troupe chat", "/chat.js": "client.js", "/client.js": "class Connection", "/style.css": "prefers-reduced-motion", "/ready": "",
	} {
		resp, err := http.Get("http://" + addr + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 || !strings.Contains(string(body), want) {
			t.Errorf("GET %s: status %d, body %.80q, want 200 and %q in it", path, resp.StatusCode, body, want)
		}
	}
}

func TestChat_refusesBadArguments(t *testing.T) {
	for _, args := range [][]string{{"-nonsense"}, {"surplus"}, {"-addr", "nowhere:-1"}, {"-come-back", "soon"}} {
		if err := run(t.Context(), args, io.Discard); err == nil {
			t.Errorf("run(%q): no error", args)
		}
	}
}

// TestChat_sigterm runs the real program as a process of its own, because signals are per process.
func TestChat_sigterm(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no SIGTERM on Windows")
	}
	bin := filepath.Join(t.TempDir(), "chat")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience) // then it is killed
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, "-addr", "127.0.0.1:0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	addr, _ := address(t, out)
	ann := visit(t, addr, "Ann")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err = end(t, ann)
	if got := websocket.CloseStatus(err); got != websocket.StatusGoingAway {
		t.Errorf("at SIGTERM: %v, want close code 1001", err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("exit after SIGTERM: %v, want 0", err)
	}
}

// The numbers are at an address of their own, of this machine alone.
func TestChat_metrics(t *testing.T) {
	addr, watch, _ := start(t)
	c := visit(t, addr, "ann")
	defer c.CloseNow()
	for url, want := range map[string]string{
		"http://" + watch + "/metrics":                 "\n" + `troupe_socket_active{troupe_server="chat",troupe_socket_state="awake"} 1` + "\n",
		"http://" + addr + "/metrics":                  "404",
		"http://" + watch + "/observer/api/v1/sockets": `"server":"chat"`,
		"http://" + watch + "/observer/":               "<!doctype html>",
		"http://" + addr + "/observer/":                "404",
	} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Close = true
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !strings.Contains(resp.Status+"\n"+string(body), want) {
			t.Errorf("GET %s: %s, %v, want %q in\n%s", url, resp.Status, err, want, body)
		}
	}
	if err := run(t.Context(), []string{"-addr", "127.0.0.1:0", "-metrics-addr", ":0"}, io.Discard); err == nil {
		t.Error("it shows its numbers to everybody")
	}
}
