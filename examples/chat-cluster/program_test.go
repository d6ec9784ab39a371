package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// program is the parent as a process of its own, which starts the nodes as processes of theirs.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	ended chan struct{} // closed when the parent and all nodes have ended

	mu    sync.Mutex
	lines []string
}

// startProgram starts the program and has it killed at the end of the test, if it still runs.
func startProgram(t *testing.T, args ...string) *program {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("no SIGTERM on Windows")
	}
	// The nodes have their own standard output, but all processes have this as their standard error: it is at its end when
	// the last of them has ended, whoever was its parent then.
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{t: t, cmd: exec.Command(os.Args[0], args...), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), "CHAT_CLUSTER_PROGRAM=1")
	p.cmd.Stdout, p.cmd.Stderr = in, in
	err = p.cmd.Start()
	in.Close()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		defer out.Close()
		for s := bufio.NewScanner(out); s.Scan(); {
			p.mu.Lock()
			p.lines = append(p.lines, s.Text())
			p.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // the nodes end with it
		p.waitAll()
		_ = p.cmd.Wait()
		if t.Failed() {
			t.Logf("the program has printed:\n%s", p.output())
		}
	})
	return p
}

func (p *program) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.lines, "\n")
}

// prints waits for a line with this in it and returns how often there is one.
func (p *program) prints(want string) int {
	p.t.Helper()
	n := 0
	p.until(fmt.Sprintf("a line with %q", want), func() bool {
		n = strings.Count(p.output(), want)
		return n > 0
	})
	return n
}

// until waits for something that the program does.
func (p *program) until(what string, done func() bool) {
	p.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !done(); <-tick.C {
		if time.Now().After(end) {
			p.t.Fatalf("not so after %v: %s", patience, what)
		}
	}
}

// serves waits until the chat serves, and returns its address.
func (p *program) serves() (addr string) {
	p.t.Helper()
	p.prints("is one chat on")
	for line := range strings.Lines(p.output()) {
		var n int
		if k, _ := fmt.Sscanf(line, chatLine[:strings.Index(chatLine, " nodes")], &addr, &n); k == 2 && n == nodes {
			return strings.TrimSuffix(addr, "/")
		}
	}
	p.t.Fatalf("no line says where the chat is")
	return ""
}

// nodes are the last starts of all nodes so far, by name.
func (p *program) nodes() map[string]served {
	last := map[string]served{}
	for line := range strings.Lines(p.output()) {
		if s, ok := parseReady(line); ok {
			last[s.name] = s
		}
	}
	return last
}

// waitAll waits until every process of the program has ended.
func (p *program) waitAll() {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatal("processes of the program are left over")
	}
}

// wait waits for the end of the program, and returns its exit status.
func (p *program) wait() int {
	p.t.Helper()
	p.waitAll()
	_ = p.cmd.Wait() // it has ended
	return p.cmd.ProcessState.ExitCode()
}

// kill sends a signal to a node.
func kill(t *testing.T, process int, s syscall.Signal) {
	t.Helper()
	node, err := os.FindProcess(process)
	if err == nil {
		err = node.Signal(s)
	}
	if err != nil {
		t.Fatalf("%v to process %d: %v", s, process, err)
	}
}
