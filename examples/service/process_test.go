package main

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// process is the real program as a process of its own, because signals are per process.
type process struct {
	*exec.Cmd
	addr string
	log  <-chan string // all of it, when the process has ended
}

func startProcess(t *testing.T, args ...string) process {
	t.Helper()
	bin := build(t)
	return startCommand(t, exec.Command(bin, append([]string{"-addr", "127.0.0.1:0", "-log-sockets=false"}, args...)...))
}

// build returns the program.
func build(t *testing.T) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("no SIGTERM on Windows")
	}
	bin := filepath.Join(t.TempDir(), "service")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

func startCommand(t *testing.T, cmd *exec.Cmd) process {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	addr, log := address(t, out)
	waitReady(t, addr)
	return process{cmd, addr, log}
}

func (p process) signal(t *testing.T) {
	t.Helper()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// exit waits for the end of the process and returns its log.
func (p process) exit(t *testing.T) (log string, err error) {
	t.Helper()
	select {
	case log = <-p.log:
	case <-time.After(patience):
		t.Fatal("the process does not end")
	}
	return log, p.Wait()
}

func (p process) probe(path string) (int, string) { return get("GET", "http://"+p.addr+path) }

// TestService_deploy is a deploy as the world outside sees it.
func TestService_deploy(t *testing.T) {
	const sockets = 300
	// The delay and the time of the closing are there to be looked into, from a machine that may be busy; no duration is
	// checked.
	p := startProcess(t, "-drain-delay", "3s", "-drain-over", "3s", "-drain-batch", "5", "-come-back", "9s", "-max-sockets", "1000")
	clients := make([]client, sockets)
	for i := range clients {
		clients[i] = dial(t, p.addr)
	}
	wantStatus(t, p.addr, "sockets: 300\n") // a client has its 101 before the socket is counted

	p.signal(t)

	until(t, "the probe to go unready", func() bool {
		code, body := p.probe("/readyz")
		if code != http.StatusOK && code != http.StatusServiceUnavailable {
			t.Fatalf("probe at the beginning of the drain: %d %s", code, body)
		}
		return code == http.StatusServiceUnavailable
	})
	if code, body := p.probe("/healthz"); code != http.StatusOK {
		t.Errorf("liveness while it drains: %d %s, want 200", code, body)
	}
	for i, c := range clients { // unready, and all of them live: each is answered
		c.say("hello")
		if got := c.nextNote(); !strings.HasPrefix(got, "send ") {
			t.Fatalf("client %d, with the probe unready: %q", i, got)
		}
	}

	var told sync.WaitGroup
	for i, c := range clients {
		told.Go(func() { c.wantRestart(i, 9) })
	}
	until(t, "an upgrade to be refused", func() bool {
		c, resp, err := websocket.Dial(context.Background(), "ws://"+p.addr+"/ws", nil)
		if err == nil {
			c.CloseNow()
		}
		if resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
			t.Fatalf("an upgrade in a drain: %v, want 503", err)
		}
		after, err := strconv.Atoi(resp.Header.Get("Retry-After"))
		if err != nil || after < 1 || after > 9 {
			t.Errorf("Retry-After of a refused upgrade: %q, want 1 to 9", resp.Header.Get("Retry-After"))
		}
		return true
	})
	told.Wait()

	log, err := p.exit(t)
	if err != nil {
		t.Errorf("exit: %v, want 0", err)
	}
	if !strings.Contains(log, "stage=done sockets=") || strings.Contains(log, "level=WARN") || strings.Contains(log, "level=ERROR") {
		t.Errorf("log, want the end of the drain, no warning and no error:\n%s", log)
	}
}

// TestService_secondSignal would take an hour if the second signal did not end it. Signals within a second are one, so
// it sends them until one counts.
func TestService_secondSignal(t *testing.T) {
	p := startProcess(t, "-drain-delay", "1h")
	dial(t, p.addr)
	p.signal(t)
	until(t, "the drain to begin", func() bool {
		code, _ := p.probe("/readyz")
		return code == http.StatusServiceUnavailable
	})
	again := time.NewTicker(300 * time.Millisecond)
	defer again.Stop()
	ended := make(chan struct{})
	go func() {
		for {
			select {
			case <-ended:
				return
			case <-again.C:
				_ = p.Process.Signal(syscall.SIGTERM) // the process may be gone
			}
		}
	}()
	defer close(ended)
	if _, err := p.exit(t); p.ProcessState.ExitCode() != 1 {
		t.Errorf("exit after a second SIGTERM: %v, want status 1", err)
	}
}

// When clients have taken all descriptors, the probe is answered all the same, again and again, and says that the
// process lives.
func TestService_noDescriptorLeft(t *testing.T) {
	bin := build(t)
	// The port is taken from the system and given back, since the process says its address only where the test does not
	// look.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	probes := l.Addr().String()
	l.Close()
	p := startCommand(t, exec.Command("sh", "-c", `ulimit -n 100; exec "$0" "$@"`, bin,
		"-addr", "127.0.0.1:0", "-probe-addr", probes, "-max-sockets", "1000", "-drain-delay", "0"))
	var conns []net.Conn
	for range 200 {
		c, err := net.Dial("tcp", p.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, c)
	}
	// Nobody reads the last connections: this one waits in vain until its time is over.
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	if resp, err := client.Get("http://" + p.addr + "/healthz"); err == nil {
		resp.Body.Close()
		t.Errorf("with 200 connections and 100 descriptors: GET /healthz on the clients' port got %s, so this test tests nothing", resp.Status)
	}
	client.Timeout = patience
	for i := range 3 * spares {
		resp, err := client.Get("http://" + probes + "/healthz")
		if err != nil {
			t.Fatalf("probe %d without a free descriptor: %v, want 200", i+1, err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("probe %d without a free descriptor: got %s, want 200", i+1, resp.Status)
		}
	}
	for _, c := range conns {
		c.Close()
	}
	p.signal(t)
	log, err := p.exit(t)
	if err != nil {
		t.Errorf("exit: %v, want 0", err)
	}
	if want := "Config.MaxSockets is not below the limit of descriptors"; !strings.Contains(log, want) {
		t.Errorf("log, want the warning %q:\n%s", want, log)
	}
}
