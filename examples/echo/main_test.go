package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/coder/websocket"
)

// start runs the program until the test ends and returns its address, and a function that ends it and waits.
func start(t *testing.T, args ...string) (addr string, stop func() error) {
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
	addr = address(t, out)
	return addr, stop
}

// address reads the address from the program's first line and drops what comes after it.
func address(t *testing.T, out io.Reader) string {
	t.Helper()
	r := bufio.NewReader(out)
	line, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("first line of output: %q, %v", line, err)
	}
	go io.Copy(io.Discard, r)
	_, rest, _ := strings.Cut(line, "http://")
	addr, _, ok := strings.Cut(rest, "/")
	if !ok {
		t.Fatalf("first line of output: %q, want the URL of the page", line)
	}
	return addr
}

func dial(t *testing.T, addr string, o *websocket.DialOptions) *websocket.Conn {
	t.Helper()
	c, _, err := websocket.Dial(context.Background(), "ws://"+addr+"/ws", o)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	t.Cleanup(func() { c.CloseNow() })
	c.SetReadLimit(-1)
	return c
}

func TestEcho_returnsTypeAndBytes(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	for _, tt := range []struct {
		name string
		args []string
		mode websocket.CompressionMode
	}{
		{"plain", nil, websocket.CompressionDisabled},
		{"compressed", []string{"-compress"}, websocket.CompressionNoContextTakeover},
	} {
		t.Run(tt.name, func(t *testing.T) {
			addr, _ := start(t, tt.args...)
			c := dial(t, addr, &websocket.DialOptions{CompressionMode: tt.mode})
			for _, m := range []struct {
				typ  websocket.MessageType
				data []byte
			}{
				{websocket.MessageText, []byte("héllo")},
				{websocket.MessageBinary, []byte{0, 255, 1}},
				{websocket.MessageText, nil},
				{websocket.MessageBinary, big},
			} {
				if err := c.Write(context.Background(), m.typ, m.data); err != nil {
					t.Fatal(err)
				}
				typ, data, err := c.Read(context.Background())
				if err != nil || typ != m.typ || !bytes.Equal(data, m.data) {
					t.Errorf("sent %v of %d bytes, got %v of %d bytes, %v", m.typ, len(m.data), typ, len(data), err)
				}
			}
		})
	}
}

func TestEcho_maxMessage(t *testing.T) {
	addr, _ := start(t, "-max-message", "1000")
	c := dial(t, addr, nil)
	if err := c.Write(context.Background(), websocket.MessageBinary, make([]byte, 1001)); err != nil {
		t.Fatal(err)
	}
	_, _, err := c.Read(context.Background())
	if got := websocket.CloseStatus(err); got != websocket.StatusMessageTooBig {
		t.Errorf("1001 bytes with -max-message 1000: got %v, want close code 1009", err)
	}
}

func TestEcho_page(t *testing.T) {
	addr, _ := start(t)
	resp, err := http.Get("http://" + addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 200 || !bytes.Contains(body, []byte("new WebSocket(")) {
		t.Errorf("GET /: status %d, body %.80q", resp.StatusCode, body)
	}
}

func TestEcho_refusesBadArguments(t *testing.T) {
	for _, args := range [][]string{{"-nonsense"}, {"surplus"}, {"-addr", "nowhere:-1"}, {"-idle", "soon"}} {
		if err := run(t.Context(), args, io.Discard); err == nil {
			t.Errorf("run(%q): no error", args)
		}
	}
}

// TestEcho_sigterm runs the real program as a process of its own, because signals are per process.
func TestEcho_sigterm(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no SIGTERM on Windows")
	}
	bin := filepath.Join(t.TempDir(), "echo")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	cmd := exec.Command(bin, "-addr", "127.0.0.1:0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	addr := address(t, out)
	clients := []*websocket.Conn{dial(t, addr, nil), dial(t, addr, nil), dial(t, addr, nil)}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for i, c := range clients {
		_, _, err := c.Read(context.Background())
		var ce websocket.CloseError
		if !errors.As(err, &ce) || ce.Code != websocket.StatusGoingAway {
			t.Errorf("client %d at SIGTERM: got %v, want close code 1001", i, err)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("exit after SIGTERM: %v, want 0", err)
	}
}
