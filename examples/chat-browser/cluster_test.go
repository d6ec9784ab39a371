package browser

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// cluster is examples/chat-cluster as a user starts it.
type cluster struct {
	t    *testing.T
	addr string

	mu        sync.Mutex
	processes map[string]int // of the nodes, in their last starts
	lines     []string       // that it has printed
}

// startCluster builds examples/chat-cluster, a module of its own, and starts it. It ends with the test.
func startCluster(t *testing.T) *cluster {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "chat-cluster")
	if out, err := exec.Command("go", "build", "-C", "../chat-cluster", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	// A node stays away for longer than its pages do, so these come back on another one.
	cmd := exec.Command(bin, "-addr", "127.0.0.1:0", "-restart-after", "8s")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, processes: map[string]int{}}
	serves, ended := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			c.read(lines.Text(), serves)
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		if err := cmd.Wait(); err != nil {
			t.Errorf("the program after SIGTERM: %v, want exit status 0", err)
		}
		if t.Failed() {
			t.Logf("the program has printed:\n%s", strings.Join(c.lines, "\n"))
		}
	})
	select {
	case c.addr = <-serves:
	case <-ended:
		t.Fatal("the program has ended without its address")
	}
	return c
}

// read takes a line of the program: that of a node, or that of them all.
func (c *cluster) read(line string, serves chan<- string) {
	c.mu.Lock()
	c.lines = append(c.lines, line)
	c.mu.Unlock()
	var name, page string
	var process int
	if n, _ := fmt.Sscanf(line, "%s http://%s process %d,", &name, &page, &process); n == 3 {
		c.mu.Lock()
		c.processes[name] = process
		c.mu.Unlock()
		return
	}
	if rest, ok := strings.CutPrefix(line, "chat: http://"); ok {
		addr, _, _ := strings.Cut(rest, "/")
		select {
		case serves <- addr:
		default:
		}
	}
}

// end sends a signal to a node and returns a function that waits until it was started again.
func (c *cluster) end(node string, s syscall.Signal) (again func()) {
	c.t.Helper()
	c.mu.Lock()
	before := c.processes[node]
	c.mu.Unlock()
	if before == 0 {
		c.t.Fatalf("there is no node %q among %v", node, c.processes)
	}
	if err := syscall.Kill(before, s); err != nil {
		c.t.Fatalf("%v to node %s: %v", s, node, err)
	}
	return func() {
		c.t.Helper()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for late := time.After(time.Minute); ; {
			c.mu.Lock()
			now := c.processes[node]
			c.mu.Unlock()
			if now != before {
				return
			}
			select {
			case <-tick.C:
			case <-late:
				c.t.Fatalf("node %s was not started again", node)
			}
		}
	}
}

// node is the node that the page says it is on.
func (b *tab) node() string {
	b.t.Helper()
	b.until("the page says which node it is on", `!document.querySelector("#node").hidden`)
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.querySelector("#node").innerText`))
	node, ok := strings.CutPrefix(text, "on ")
	if err != nil || !ok {
		b.t.Fatalf("the page says %q, %v; want the node that it is on", text, err)
	}
	return node
}

// moved waits until the page is on another node.
func (b *tab) moved(from string) {
	b.t.Helper()
	b.until("a connection to another node than "+from,
		fmt.Sprintf(`document.querySelector("#state").innerText === "connected" && document.querySelector("#node").innerText !== %q`, "on "+from))
}

// both waits until just these two are shown as being here.
func (b *tab) both() {
	b.t.Helper()
	b.until("Ann and Bob are here, once each",
		`[...document.querySelectorAll("#people li")].map(e => e.innerText.replace(" (you)", "")).join() === "Ann,Bob"`)
}

// TestCluster: two windows of one address are on two nodes, and see each other's words and presence. A node that is killed takes
// nobody along.
func TestCluster(t *testing.T) {
	c := startCluster(t)
	ann, bob := browse(t), browse(t)
	ann.join(c.addr, "lobby", "Ann")
	bob.join(c.addr, "lobby", "Bob")
	if a, b := ann.node(), bob.node(); a == b {
		t.Fatalf("both windows are on node %s, want two nodes", a)
	}
	for _, b := range []*tab{ann, bob} {
		b.both()
	}
	ann.say("hello from here")
	bob.shows("#log", "hello from here")
	bob.say("and from there")
	ann.shows("#log", "and from there")
	ann.look("cluster")

	// The node of Ann, of her name, and of the room is killed.
	killed := ann.node()
	again := c.end(killed, syscall.SIGKILL)
	ann.moved(killed)
	for _, b := range []*tab{ann, bob} {
		b.until("a line says that there may have been more", `document.querySelectorAll("#lines .gap").length === 1`)
		b.shows("#state", "connected")
		b.both()
	}
	bob.say("are you still there?")
	ann.shows("#log", "are you still there?")
	bob.look("cluster-killed")
	again()

	// The node of Bob ends in order.
	ended := bob.node()
	c.end(ended, syscall.SIGTERM)
	bob.moved(ended)
	for _, b := range []*tab{ann, bob} {
		b.shows("#state", "connected")
		b.both()
	}
	bob.say("here I am")
	ann.shows("#log", "here I am")
	for _, b := range []*tab{ann, bob} {
		b.until("all lines are sent", `document.querySelectorAll("#lines .pending, #lines .failed").length === 0`)
	}

	// What the drawer of a phone says about the node.
	ann.run(chromedp.EmulateViewport(390, 844))
	ann.until("no drawer", `getComputedStyle(document.querySelector("#side")).visibility === "hidden"`)
	ann.run(chromedp.Click("#menu"))
	ann.until("focus in the drawer", `document.querySelector("#side").contains(document.activeElement)`)
	ann.look("cluster-drawer")
}
