package promsocket_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// The load: people in rooms, each of whom says as much at once as the chat lets them.
const (
	chatters  = 100
	chatRooms = 4
	chatSays  = 8
	chatHears = chatters / chatRooms * chatSays // by each
	leavers   = chatters / 4
)

// startChat builds examples/chat and runs it until the test ends. It returns where the chat is, and where its numbers are.
func startChat(t *testing.T) (addr, numbers string) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "chat")
	build := exec.Command("go", "build", "-o", program, "./examples/chat")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build ./examples/chat: %v\n%s", err, out)
	}
	cmd := exec.Command(program, "-addr", "127.0.0.1:0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	var log strings.Builder
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		late := time.AfterFunc(patience, func() { cmd.Process.Kill() })
		defer late.Stop()
		io.Copy(&log, lines) // until the program has ended
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("the chat has ended with %v, and has said\n%s", err, &log)
		}
	})
	for addr == "" || numbers == "" {
		line, err := lines.ReadString('\n')
		log.WriteString(line)
		if err != nil {
			t.Fatalf("the chat does not say where it is: %v", err)
		}
		if at, ok := strings.CutPrefix(line, "chat: http://"); ok {
			addr, _, _ = strings.Cut(at, "/")
		}
		if at, ok := strings.CutPrefix(line, "chat: numbers at http://"); ok {
			numbers, _, _ = strings.Cut(at, "/")
		}
	}
	return addr, numbers
}

// crowd is the load: who is there, and what all of them have counted.
type crowd struct {
	t      *testing.T
	addr   string
	books  *books
	people []*person
}

func (c *crowd) dial() *person {
	c.t.Helper()
	p, err := dial(c.addr, "http://"+c.addr, c.books, chatHears)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { p.c.Close() }) // those who stay must be there when the numbers are asked for
	return p
}

// ended waits until a connection has ended, and says how.
func (c *crowd) ended(p *person) error {
	c.t.Helper()
	select {
	case err := <-p.over:
		return err
	case <-time.After(patience):
		c.t.Fatal("the server does not end a connection")
		return nil
	}
}

// talk has everybody say something, and hear all that was said in the room.
func (c *crowd) talk() {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	errs := make(chan error, chatters)
	var wg sync.WaitGroup
	for i, p := range c.people {
		wg.Go(func() {
			for n := range chatSays {
				if err := p.ask(map[string]string{"type": "say", "text": fmt.Sprintf("%d: %d %s", i, n, strings.Repeat("x", 7*n))}); err != nil {
					errs <- err
					return
				}
			}
			for n := range chatHears {
				select {
				case _, ok := <-p.heard:
					if !ok {
						errs <- fmt.Errorf("person %d has heard %d messages, and no more: %w", i, n, <-p.over)
						return
					}
				case <-ctx.Done():
					errs <- fmt.Errorf("person %d has heard %d messages of %d", i, n, chatHears)
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	if err := errors.Join(slurp(errs)...); err != nil {
		c.t.Fatal(err)
	}
}

func slurp(errs <-chan error) (all []error) {
	for err := range errs {
		all = append(all, err)
	}
	return all
}

// TestPrometheus_chat has a real Prometheus scrape examples/chat, the program, while people talk there, over real TCP. When they have
// said all, each number is what they have counted, and each metric is there.
func TestPrometheus_chat(t *testing.T) {
	path := program(t, "prometheus")
	addr, numbers := startChat(t)
	prom := scrapedAt(t, path, numbers)
	c := &crowd{t: t, addr: addr, books: newBooks()}
	for i := range chatters { // everybody is in the room before anybody speaks
		p := c.dial()
		c.people = append(c.people, p)
		if err := p.enter(fmt.Sprintf("p%d", i), fmt.Sprintf("room-%d", i%chatRooms)); err != nil {
			t.Fatal(err)
		}
	}
	prom.until("everybody is in a room", func() string { return prom.differs(`sum(troupe_registry_members)`, 2*chatters) })
	c.talk()

	// A quarter leaves, a page connects again, somebody goes without a word, and a page of another site is refused.
	for _, p := range c.people[:leavers] {
		if err := p.leave(1000); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range c.people[:leavers] {
		c.ended(p)
	}
	again := c.dial()
	if err := again.enter(fmt.Sprintf("p%d", leavers), "room-0"); err != nil {
		t.Fatal(err)
	}
	c.ended(c.people[leavers])
	silent := c.dial()
	silent.c.Close()
	c.ended(silent)
	if _, err := dial(addr, "https://evil.example", c.books, 0); err == nil || !strings.Contains(err.Error(), "403") {
		t.Fatalf("a page of another site: %v, want 403", err)
	}

	const opened, closed = chatters + 2, leavers + 2
	for _, want := range []struct {
		expr  string
		value int
	}{
		{`up`, 1},
		{`sum(troupe_socket_active{troupe_server="chat"})`, opened - closed},
		{`sum(troupe_socket_upgrades_total{http_response_status_code="101"})`, opened},
		{`sum(troupe_socket_upgrades_total{http_response_status_code="403",troupe_refused="origin"})`, 1},
		{`sum(troupe_socket_upgrades_total)`, opened + 1},
		{`sum(troupe_socket_ends_total)`, closed},
		{`sum(troupe_socket_ends_total{troupe_cause="remote"})`, leavers + 1},
		{`sum(troupe_socket_ends_total{troupe_cause="normal"})`, 1},
		{`sum(troupe_socket_duration_seconds_count)`, closed},
		{`sum(troupe_socket_duration_seconds_bucket{le="+Inf"})`, closed},
		{`sum(troupe_socket_duration_seconds_count{troupe_cause="remote",troupe_close_code="1000"})`, leavers},
		{`sum(troupe_socket_duration_seconds_count{troupe_cause="remote",troupe_close_code="1006"})`, 1},
		{`sum(troupe_socket_duration_seconds_count{troupe_cause="normal",troupe_close_code="4000"})`, 1},
		{`sum(troupe_process_exits_total{troupe_exit_kind="abnormal"})`, 0},
		{`sum(troupe_process_abandoned_total)`, 0},
		{`sum(troupe_registry_members)`, 2 * (opened - closed)}, // each is in a room, and in the group of all
		{`sum(troupe_registry_groups)`, chatRooms + 1},
		{`count(troupe_supervisor_gave_up_total)`, 3},
	} {
		prom.until(fmt.Sprintf("%s is %d", want.expr, want.value), func() string { return prom.differs(want.expr, want.value) })
	}
	// The chat goes on to tell people who has left, so what they have counted is looked at each time.
	for direction, in := range map[string]map[byte]frames{"receive": c.books.sent, "transmit": c.books.got} {
		series := fmt.Sprintf(`{troupe_server="chat",network_io_direction=%q`, direction)
		for name, op := range map[string]byte{"text": opText, "binary": 2, "continuation": 255, "ping": opPing, "pong": opPong, "close": opClose} {
			expr := fmt.Sprintf(`sum(troupe_socket_frames_total%s,troupe_frame=%q})`, series, name)
			prom.until(expr+" is what clients have counted", func() string { return prom.differs(expr, c.count(in, op).n) })
		}
		expr := `sum(troupe_socket_io_bytes_total` + series + `})`
		prom.until(expr+" is what clients have counted", func() string { return prom.differs(expr, c.count(in, 0).bytes) })
	}
	if n := c.count(c.books.sent, opText).n; n != 2*(chatters+1)+chatters*chatSays {
		t.Errorf("people have sent %d messages", n)
	}
	if n := c.count(c.books.got, opText).n; n < chatters*chatHears {
		t.Errorf("people have got %d messages, which are fewer than they have heard", n)
	}
	prom.hasAll(false) // chat is no node of a cluster, and measures nothing
}

func (c *crowd) count(in map[byte]frames, op byte) frames {
	c.books.mu.Lock()
	defer c.books.mu.Unlock()
	return of(in, op)
}
