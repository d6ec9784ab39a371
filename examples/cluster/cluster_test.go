package main

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/coder/websocket"
)

// TestCluster walks through what README.md says to try.
func TestCluster(t *testing.T) {
	// No node that only waits for the processor of a busy machine is taken for dead. One that was killed is known when it is
	// back.
	p := startProgram(t, "-restart-after", "1s", "-down-after", "1m")
	pages := p.nodes()
	a, b, c := visit(t, pages["web-1"]), visit(t, pages["web-2"]), visit(t, pages["web-3"])
	all := []*client{a, b, c}
	for _, x := range all {
		for _, y := range all {
			if x != y {
				x.find("up", y.node)
			}
		}
	}
	if a.process == b.process || b.process == c.process || a.process == c.process {
		t.Fatalf("the nodes are processes %d, %d and %d, want three", a.process, b.process, c.process)
	}

	wantPage(t, pages["web-2"])
	wantTexts(t, a, b)
	wantOrder(t, a, b, c)
	wantRefusals(t, a, pages)
	wantLimit(t, pages)
	c = killNode(t, a, b, c, pages)
	b = terminateNode(t, a, b, pages)

	kill(t, p.cmd.Process.Pid, syscall.SIGTERM)
	for _, x := range []*client{a, b, c} {
		if code := x.closed(); code != websocket.StatusGoingAway {
			t.Errorf("at SIGTERM a page of %s got %v, want 1001", x.node, code)
		}
	}
	if status := p.wait(); status != 0 {
		t.Errorf("exit status after SIGTERM: %d, want 0", status)
	}
	for want, n := range map[string]int{
		"web-3 has ended: signal: killed; it starts again in 1s\n": 1,
		"web-2 has ended: exit status 0; it starts again in 1s\n":  1,
		"has ended: exit status 0\n":                               nodes,
	} {
		if got := strings.Count(p.output()+"\n", want); got != n {
			t.Errorf("%d lines with %q, want %d", got, want, n)
		}
	}
}

// wantTexts has a page write to itself, and to one of another node, which answers.
func wantTexts(t *testing.T, a, b *client) {
	t.Helper()
	a.send("", "to myself")
	a.await("said", a.pid, "to myself")

	const hostile = "</span><script>alert(1)</script>\u202e\x00"
	a.send(" "+b.pid+"\n", hostile)
	a.await("sent", b.pid, hostile)
	said := b.await("said", a.pid)
	if said.Text != hostile {
		t.Errorf("sent %q, and the other page got %q", hostile, said.Text)
	}
	b.send(said.PID, "an answer")
	a.await("said", b.pid, "an answer")
}

// wantOrder has two pages write to one at the same time.
func wantOrder(t *testing.T, a, b, c *client) {
	t.Helper()
	const messages = 100
	for i := range messages {
		a.send(b.pid, strconv.Itoa(i))
		c.send(b.pid, strconv.Itoa(i))
	}
	next := map[string]int{}
	for range 2 * messages {
		n := b.await("said")
		if n.Text != strconv.Itoa(next[n.PID]) {
			t.Fatalf("from %s came %q, want %d", n.PID, n.Text, next[n.PID])
		}
		next[n.PID]++
	}
	if next[a.pid] != messages || next[c.pid] != messages {
		t.Errorf("got %v messages, want %d of each", next, messages)
	}
}

// killNode kills the node of c as if its machine were gone. It returns a page of the one that comes back.
func killNode(t *testing.T, a, b, c *client, pages map[string]string) *client {
	t.Helper()
	a.send(c.pid, "are you there?")
	a.await("sent", c.pid)
	c.await("said", a.pid, "are you there?")
	a.forget()
	b.forget()
	kill(t, c.process, syscall.SIGKILL)
	gone := a.await("gone", "web-3", "fell silent")
	if got := a.about(c.pid, "web-3"); !slices.Equal(got, []string{"down", "gone"}) {
		t.Errorf("about web-3 a page was told %v, want the Down of the process that it had written to, then that the node is gone", got)
	}
	a.find("down", c.pid, "nobody knows whether it lives")
	b.await("gone", "web-3", "fell silent")
	if got := b.about(c.pid, "web-3"); !slices.Equal(got, []string{"gone"}) {
		t.Errorf("a page that had not written to %s was told %v about it", c.pid, got)
	}

	old := c.pid
	for _, x := range []*client{a, b} { // it may have come before the end of the old one was known
		if up := x.find("up", "web-3"); up.Boot == gone.Boot {
			t.Errorf("the node has the boot %s, as before it was killed", up.Boot)
		}
	}
	c = visit(t, pages["web-3"])
	a.send(c.pid, "welcome back")
	c.await("said", a.pid, "welcome back")
	a.send(old, "to the one before")
	a.await("problem", "Not sent: "+old, "not connected, or was started anew")
	return c
}

// terminateNode ends the node of b in order, as a deploy does. It returns a page of the one that comes back.
func terminateNode(t *testing.T, a, b *client, pages map[string]string) *client {
	t.Helper()
	a.forget()
	kill(t, b.process, syscall.SIGTERM)
	if code := b.closed(); code != websocket.StatusGoingAway {
		t.Errorf("a page of the node that ends got %v, want 1001", code)
	}
	a.await("gone", "web-2", "said goodbye") // not the silence of a crash
	if got := a.about(b.pid, "web-2"); !slices.Equal(got, []string{"down", "gone"}) {
		t.Errorf("about web-2 a page was told %v, want the Down of the process that it had written to, then that the node is gone", got)
	}
	a.find("down", b.pid, "was shut down")
	a.find("up", "web-2")
	return visit(t, pages["web-2"])
}

func wantPage(t *testing.T, addr string) {
	t.Helper()
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || !bytes.Equal(body, page) {
		t.Errorf("GET /: status %d, %d bytes, %v; want the page", resp.StatusCode, len(body), err)
	}
}

func wantRefusals(t *testing.T, a *client, pages map[string]string) {
	t.Helper()
	for _, tt := range []struct{ to, text, want string }{
		{"nonsense", "x", "That is no PID."},
		{"nobody", "x", "That is no PID."},
		{"0.0123456789abcdef@web-1", "x", "That is no PID."},
		{strings.Repeat("9", 2000), "x", "That is no PID."},
		{"1.0123456789abcdef@web-1", "x", "Not sent: 1.0123456789abcdef@web-1 has ended, with the process that this node was before."},
		{"1.0123456789abcdef@web-2", "x", "Not sent: 1.0123456789abcdef@web-2 is on a node that is not connected, or was started anew since."},
		{"1.0123456789abcdef@nowhere", "x", "Not sent: 1.0123456789abcdef@nowhere is on a node that is not connected"},
		{a.pid, " \n", "There is no text to send."},
		{a.pid, strings.Repeat("é", 1001), "The text has 1001 characters. It may have 1000."},
	} {
		a.send(tt.to, tt.text)
		if got := a.await("problem"); !strings.HasPrefix(got.Text, tt.want) {
			t.Errorf("to %.40q: got %q, want %q", tt.to, got.Text, tt.want)
		}
	}
	for _, message := range []string{"", "hello", "[]", `{"to":1}`, "{}x"} {
		a.write(message)
		if got := a.await("problem"); !strings.HasPrefix(got.Text, "Send a JSON object") {
			t.Errorf("the page sends %q: got %q", message, got.Text)
		}
	}
	for _, node := range []string{"web-1", "web-2"} { // a's own node, and another one
		d := visit(t, pages[node])
		a.send(d.pid, strings.Repeat("é", 1000))
		d.await("said", a.pid, strings.Repeat("é", 1000))
		d.conn.Close(websocket.StatusNormalClosure, "")
		a.await("down", d.pid, "its page was closed")
		a.send(d.pid, "too late")
		if node == "web-1" {
			a.await("problem", "Not sent: "+d.pid+" has ended.")
			continue
		}
		a.await("sent", d.pid, "too late") // handed over, which is all that is known
		a.await("down", d.pid, "the text was not delivered")
	}

	big := visit(t, pages["web-1"])
	big.send(a.pid, strings.Repeat("x", maxRequest))
	if code := big.closed(); code != websocket.StatusMessageTooBig {
		t.Errorf("after a message of more than %d bytes: got %v, want 1009", maxRequest, code)
	}
}

// wantLimit is told when a page has written to as many processes as it may watch.
func wantLimit(t *testing.T, pages map[string]string) {
	t.Helper()
	e := visit(t, pages["web-1"])
	e.find("up", "web-2")
	var others []*client
	for range maxWatched + 1 {
		d := visit(t, pages["web-2"])
		defer d.conn.CloseNow()
		others = append(others, d)
	}
	for _, d := range others[:maxWatched] {
		e.send(d.pid, "hello")
		e.await("sent", d.pid)
	}
	last := others[maxWatched]
	e.send(last.pid, "one too many")
	e.await("problem", "has written to 100 processes")
	e.send(others[0].pid, "to a known one")
	e.await("sent", others[0].pid)
	others[0].conn.Close(websocket.StatusNormalClosure, "")
	e.await("down", others[0].pid)
	e.send(last.pid, "now there is room")
	last.await("said", e.pid, "now there is room")
	e.conn.CloseNow()
}

// TestCluster_parentKilled: nodes do not outlive the parent, even when it could not tell them to end.
func TestCluster_parentKilled(t *testing.T) {
	p := startProgram(t)
	a := visit(t, p.nodes()["web-1"])
	kill(t, p.cmd.Process.Pid, syscall.SIGKILL)
	a.closed()
	p.waitAll()
}

// TestCluster_neverAgain: a node that does not come back is known by its silence, and the parent ends with the last one.
func TestCluster_neverAgain(t *testing.T) {
	p := startProgram(t, "-restart-after", "-1s", "-down-after", "10s")
	pages := p.nodes()
	a, c := visit(t, pages["web-1"]), visit(t, pages["web-3"])
	a.find("up", "web-3")
	a.send(c.pid, "are you there?")
	a.await("sent", c.pid)
	kill(t, c.process, syscall.SIGKILL)
	a.await("down", c.pid, "nobody knows whether it lives")
	a.await("gone", "web-3", "fell silent")
	for _, process := range p.processes() {
		if process != c.process {
			kill(t, process, syscall.SIGKILL)
		}
	}
	if status := p.wait(); status != 0 {
		t.Errorf("exit status when the last node has ended: %d, want 0", status)
	}
	if got := strings.Count(p.output(), "has ended: signal: killed"); got != nodes {
		t.Errorf("%d nodes are said to have ended, want %d", got, nodes)
	}
}

// TestCluster_nodeThatCannotStart: the parent gives up, and says why.
func TestCluster_nodeThatCannotStart(t *testing.T) {
	p := startProgram(t, "-down-after", "1ms")
	if status := p.wait(); status != 1 {
		t.Errorf("exit status: %d, want 1", status)
	}
	for _, want := range []string{"web-1 has ended before it served: exit status 1", "DownAfter"} {
		p.prints(want)
	}
}
