//go:build unix

package natsengine_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a child.
type process struct {
	t     testing.TB
	cfg   childConfig
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string // of its output; closed with it
	pid   string      // of its teller
	addr  string      // of its server's routes
	ended bool
}

func startChild(t testing.TB, cfg childConfig) *process {
	t.Helper()
	text, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cfg: cfg, cmd: exec.Command(os.Args[0]), lines: make(chan string, 1024)}
	p.cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.lines)
		for r := bufio.NewReader(out); ; {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			p.lines <- strings.TrimSuffix(line, "\n")
		}
	}()
	t.Cleanup(p.kill)
	_, _ = fmt.Sscanf(p.line(), "ready %s %s", &p.pid, &p.addr)
	return p
}

// line is the next line of its output.
func (p *process) line() string {
	p.t.Helper()
	select {
	case line, ok := <-p.lines:
		if !ok {
			p.t.Fatalf("%s has ended", p.cfg.Name)
		}
		return line
	case <-time.After(patience):
		p.t.Fatalf("%s says nothing", p.cfg.Name)
		return ""
	}
}

func (p *process) say(line string) {
	p.t.Helper()
	if _, err := fmt.Fprintln(p.in, line); err != nil {
		p.t.Fatalf("%s: %v", p.cfg.Name, err)
	}
}

func (p *process) tell() (a account) {
	p.t.Helper()
	p.say("tell")
	if err := json.Unmarshal([]byte(p.line()), &a); err != nil {
		p.t.Fatal(err)
	}
	return a
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("%v to %s: %v", s, p.cfg.Name, err)
	}
}

func (p *process) kill() {
	if !p.ended {
		p.ended = true
		_ = p.cmd.Process.Kill()
		for range p.lines { // its output ends before Wait closes it
		}
		_ = p.cmd.Wait()
	}
}

// leave ends it in order.
func (p *process) leave() {
	p.t.Helper()
	p.ended = true
	p.in.Close()
	ended := make(chan error, 1)
	go func() {
		for range p.lines {
		}
		ended <- p.cmd.Wait()
	}()
	select {
	case err := <-ended:
		if err != nil {
			p.t.Errorf("%s ends with %v", p.cfg.Name, err)
		}
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		p.t.Errorf("%s does not end", p.cfg.Name)
	}
}

// nodes are the processes of a test that live.
type nodes []*process

// meet has all know the new ones.
func (ns nodes) meet(newcomers ...*process) {
	for _, n := range newcomers {
		for _, other := range ns {
			if other != n {
				other.say("add " + n.pid)
				n.say("add " + other.pid)
			}
		}
	}
}

func (ns nodes) speed(items int) {
	for _, n := range ns {
		n.say(fmt.Sprint("speed ", items))
	}
}

func (ns nodes) accounts() map[string]account {
	all := map[string]account{}
	for _, n := range ns {
		all[n.pid] = n.tell()
	}
	return all
}

// flows waits until each node gets more from each other one than when it was called.
func (ns nodes) flows(t testing.TB) {
	t.Helper()
	before := ns.accounts()
	ns.wait(t, "everybody gets items of everybody", func(now map[string]account) string {
		for to, a := range now {
			for from := range now {
				if from != to && a.Received[from].last() <= before[to].Received[from].last() {
					return fmt.Sprintf("%s gets nothing of %s", to, from)
				}
			}
		}
		return ""
	})
}

// wait waits until missing says "".
func (ns nodes) wait(t testing.TB, what string, missing func(map[string]account) string) {
	t.Helper()
	var last string
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if last = missing(ns.accounts()); last == "" {
			return
		}
	}
	t.Fatalf("not so within %v: %s: %s", patience, what, last)
}

// settle ends the sending, and checks that every item is accounted for.
func (ns nodes) settle(t testing.TB) {
	t.Helper()
	ns.speed(0)
	ns.wait(t, "every item is received, or its sender told", unaccounted)
	all := ns.accounts()
	for who, a := range all {
		for _, wrong := range a.Wrong {
			t.Errorf("at %s arrived %s", who, wrong)
		}
		for from, got := range a.Received {
			if sent, ok := all[from]; ok {
				for n := range got.without(sent.Sent[who]) {
					t.Errorf("at %s arrived %d of %s, whose Send was false", who, n, from)
				}
			}
		}
	}
	sent, received, downs := 0, 0, 0
	for _, a := range all {
		for to, s := range a.Sent {
			sent += s.count()
			downs += len(a.Downs[to])
		}
		for _, r := range a.Received {
			received += r.count()
		}
	}
	t.Logf("%d sent by those that live, %d received by them, %d Downs", sent, received, downs)
}

// unaccounted is what was sent and is neither received nor followed by a Down.
func unaccounted(all map[string]account) string {
	for from, a := range all {
		for to, sent := range a.Sent {
			told := 0
			if downs := a.Downs[to]; len(downs) > 0 {
				told = downs[len(downs)-1]
			}
			receiver, lives := all[to]
			if !lives {
				if sent.last() > told {
					return fmt.Sprintf("%s has sent %d to %s, which is gone, and was told at %d", from, sent.last(), to, told)
				}
				continue
			}
			for n := range sent.without(receiver.Received[from]) {
				if n > told {
					return fmt.Sprintf("%d of %s is missing at %s; told at %d of %d", n, from, to, told, sent.last())
				}
			}
		}
	}
	return ""
}

// noDowns fails when a session has ended since before, when all were connected: until they are, a Monitor is a Down at once.
func (ns nodes) noDowns(t testing.TB, before map[string]account) {
	t.Helper()
	all := ns.accounts()
	for from, a := range all {
		for to, downs := range a.Downs {
			if n := len(before[from].Downs[to]); len(downs) > n {
				t.Errorf("%s was told of Downs of %s at %v", from, to, downs[n:])
			}
			if sent, got := a.Sent[to].count(), all[to].Received[from].count(); got != sent {
				t.Errorf("%s has received %d of %d of %s", to, got, sent, from)
			}
		}
	}
}

// down waits until all others are told that one is down, more often than before.
func (ns nodes) down(t testing.TB, of string, before map[string]account) {
	t.Helper()
	ns.wait(t, of+" is down for all others", func(all map[string]account) string {
		for who, a := range all {
			if who != of && len(a.Downs[of]) <= len(before[who].Downs[of]) {
				return who + " is not told"
			}
		}
		return ""
	})
}

func (ns nodes) without(p *process) nodes {
	var rest nodes
	for _, n := range ns {
		if n != p {
			rest = append(rest, n)
		}
	}
	return rest
}

func (ns nodes) leave() {
	for _, n := range ns {
		n.leave()
	}
}

const (
	long  = 30 * time.Second // a DownAfter that no fault of a test reaches
	short = 3 * time.Second  // the least there is with a heartbeat of 1 s
)

// embeddedNodes are three processes with a server each.
func embeddedNodes(t testing.TB, downAfter time.Duration) nodes {
	var ns nodes
	var routes []string
	for i := range 3 {
		p := startChild(t, childConfig{Name: fmt.Sprint("n", i), DownAfter: downAfter, Listen: "127.0.0.1:0", Routes: routes})
		routes = append(routes, p.addr)
		ns = append(ns, p)
	}
	ns.meet(ns...)
	return ns
}

// urlNodes are three processes at a NATS server.
func urlNodes(t testing.TB, downAfter time.Duration, url string) nodes {
	var ns nodes
	for i := range 3 {
		ns = append(ns, startChild(t, childConfig{Name: fmt.Sprint("n", i), DownAfter: downAfter, URL: url}))
	}
	ns.meet(ns...)
	return ns
}

// overBoth runs a test over three processes with a server each, and over three at the server of a fourth process.
func overBoth(t *testing.T, downAfter time.Duration, test func(t *testing.T, ns nodes)) {
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		test(t, embeddedNodes(t, downAfter))
	})
	t.Run("a server", func(t *testing.T) {
		t.Parallel()
		port := freePort(t)
		startChild(t, childConfig{Name: "server", Port: port})
		test(t, urlNodes(t, downAfter, fmt.Sprint("nats://127.0.0.1:", port)))
	})
}

// TestProcesses_stoppedForLess: a process that stands still for less than DownAfter is not missed.
func TestProcesses_stoppedForLess(t *testing.T) { overBoth(t, long, stoppedForLess) }

func stoppedForLess(t *testing.T, ns nodes) {
	ns.speed(5)
	ns.flows(t)
	connected := ns.accounts()
	ns[2].signal(syscall.SIGSTOP)
	time.Sleep(3 * time.Second) // what is sent meanwhile waits
	ns[2].signal(syscall.SIGCONT)
	ns.flows(t)
	ns.settle(t)
	ns.noDowns(t, connected)
	ns.leave()
}

// TestProcesses_stoppedForMoreAndKilled: after DownAfter it is down, and up again when it goes on; then one is killed, and another
// comes in its place.
func TestProcesses_stoppedForMoreAndKilled(t *testing.T) { overBoth(t, short, stoppedForMoreAndKilled) }

func stoppedForMoreAndKilled(t *testing.T, ns nodes) {
	ns.speed(5)
	ns.flows(t)
	connected := ns.accounts()
	ns[2].signal(syscall.SIGSTOP)
	ns.without(ns[2]).down(t, ns[2].pid, connected)
	ns[2].signal(syscall.SIGCONT)
	ns.flows(t)

	killed, rest := ns[2], ns.without(ns[2])
	killed.kill()
	rest.wait(t, "the killed node is down", func(all map[string]account) string {
		for who, a := range all {
			if downs := a.Downs[killed.pid]; len(downs) == 0 || downs[len(downs)-1] < a.Sent[killed.pid].last() {
				return who + " is not told"
			}
		}
		return ""
	})
	rest.flows(t)
	cfg := killed.cfg
	if cfg.URL == "" {
		cfg.Routes = []string{ns[0].addr}
	}
	next := startChild(t, cfg)
	ns = append(rest, next)
	ns.meet(next)
	next.say("speed 5")
	ns.flows(t)
	ns.settle(t)
	ns.leave()
}

// TestProcesses_theServerIsKilled: a NATS server of a fourth process is killed under load, and another one starts in its place. The
// sessions last, since that is less than DownAfter.
func TestProcesses_theServerIsKilled(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	s := startChild(t, childConfig{Name: "server", Port: port})
	ns := urlNodes(t, long, fmt.Sprint("nats://127.0.0.1:", port))
	ns.speed(5)
	ns.flows(t)
	connected := ns.accounts()
	for range 2 {
		s.kill()
		time.Sleep(time.Second)
		s = startChild(t, childConfig{Name: "server", Port: port})
		ns.flows(t)
	}
	ns.settle(t)
	ns.noDowns(t, connected)
	ns.leave()
}

// TestProcesses_cutAndHealed: all links are cut at once, for more than DownAfter: nothing passes between any two nodes, and no
// connection ends, as with a network that is gone. Then everything passes again.
func TestProcesses_cutAndHealed(t *testing.T) {
	t.Parallel()
	w := newWire(t, portOf(t, startServer(t, 0, nil).Addr().String()))
	ns := urlNodes(t, short, "nats://"+w.addr)
	ns.speed(5)
	ns.flows(t)
	connected := ns.accounts()
	w.cut(true)
	for _, n := range ns {
		ns.down(t, n.pid, connected)
	}
	w.cut(false)
	ns.flows(t)
	ns.settle(t)
	ns.leave()
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return portOf(t, l.Addr().String())
}

// wire passes TCP to a port, unless it is cut: then it holds what comes.
type wire struct {
	addr string
	mu   sync.Mutex
	goes *sync.Cond
	held bool
	ends bool
}

func newWire(t testing.TB, port int) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{addr: l.Addr().String()}
	w.goes = sync.NewCond(&w.mu)
	var wg sync.WaitGroup
	var conns []net.Conn
	pass := func(from, to net.Conn) {
		defer from.Close()
		defer to.Close()
		for b := make([]byte, 32<<10); ; {
			n, err := from.Read(b)
			if n > 0 && w.wait() {
				_, err = to.Write(b[:n])
			}
			if err != nil {
				return
			}
		}
	}
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", port))
			if err != nil {
				in.Close()
				continue
			}
			w.mu.Lock()
			conns = append(conns, in, out)
			w.mu.Unlock()
			wg.Go(func() { pass(in, out) })
			wg.Go(func() { pass(out, in) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		w.mu.Lock()
		w.ends = true
		w.goes.Broadcast()
		for _, c := range conns {
			c.Close()
		}
		w.mu.Unlock()
		wg.Wait()
	})
	return w
}

// wait waits while the wire is cut.
func (w *wire) wait() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.held && !w.ends {
		w.goes.Wait()
	}
	return !w.ends
}

func (w *wire) cut(held bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = held
	w.goes.Broadcast()
}
