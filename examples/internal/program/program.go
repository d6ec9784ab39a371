// Package program has what the tests of several examples need: it runs an example as its user does, and says where it listens.
package program

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Patience bounds what a broken program could make a test wait for. These tests run over real TCP, because the program with its
// listener and its signals is what they are about.
const Patience = 30 * time.Second

// Start runs the example of this name until the test ends, on a port of its own. It returns its address, that of its numbers, and a
// function that ends it and waits.
func Start(t *testing.T, name string, run func(context.Context, []string, io.Writer) error, args ...string) (addr, watch string, stop func() error) {
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
	addr, watch = addresses(t, name, out)
	return addr, watch, stop
}

// A Process is an example that runs as a process of its own, because signals are per process.
type Process struct {
	Addr string

	t   *testing.T
	cmd *exec.Cmd
}

// Build builds the example in the working directory, and starts it. The test is skipped where there is no SIGTERM.
func Build(t *testing.T, name string) *Process {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("no SIGTERM on Windows")
	}
	bin := filepath.Join(t.TempDir(), name)
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(context.Background(), Patience) // then it is killed
	t.Cleanup(cancel)
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
	addr, _ := addresses(t, name, out)
	return &Process{addr, t, cmd}
}

// Terminate sends it a SIGTERM.
func (p *Process) Terminate() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
}

// WantExit fails the test unless it exits with 0.
func (p *Process) WantExit() {
	p.t.Helper()
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("exit after SIGTERM: %v, want 0", err)
	}
}

// addresses reads the address of the program and that of its numbers from its output, and drops what comes after them.
func addresses(t *testing.T, name string, out io.Reader) (addr, watch string) {
	t.Helper()
	r := bufio.NewReader(out)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("the program ended without its address: %v", err)
		}
		if rest, ok := strings.CutPrefix(line, name+": numbers at http://"); ok {
			watch, _, _ = strings.Cut(rest, "/")
		}
		if rest, ok := strings.CutPrefix(line, name+": http://"); ok {
			go io.Copy(io.Discard, r)
			addr, _, _ = strings.Cut(rest, "/")
			return addr, watch
		}
	}
}

// Get returns status, header and body of what is at url. It leaves no connection.
func Get(t *testing.T, url string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(body)
}
