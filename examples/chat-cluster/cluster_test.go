package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/troupe-dev/troupe/actor/cluster/natsengine/embedded"
)

// How connections end that are lost with a node, or because of one.
var (
	restart = regexp.MustCompile(`status = StatusServiceRestart`)
	goodbye = regexp.MustCompile(`status = StatusGoingAway and reason = ".*retry-after=[12]"`)
	gone    = regexp.MustCompile(`EOF|reset`)
)

// TestChatCluster goes through what README.md says to try: three people at one address are on three nodes.
func TestChatCluster(t *testing.T) {
	p := startProgram(t, "-addr", "127.0.0.1:0", "-restart-after", "1s", "-down-after", "5s")
	addr := p.serves()
	people := []*person{come(t, addr, "Ann"), come(t, addr, "Bob"), come(t, addr, "Carl")}
	ann, bob, carl := people[0], people[1], people[2]
	wantPage(t, addr)
	var on []string
	for _, x := range people {
		on = append(on, x.at())
		x.sees("Ann", "Bob", "Carl")
	}
	if slices.Sort(on); !slices.Equal(on, []string{"chat-1", "chat-2", "chat-3"}) {
		t.Fatalf("three people are on the nodes %q, want one on each", on)
	}
	ann.say("hello")
	bob.hears("Ann: hello")
	carl.hears("Ann: hello")

	// Ann was the first in the room, so it is on her node, and she is, too. The node is killed.
	before := map[*person]int{}
	for _, x := range people {
		before[x] = x.lost()
	}
	kill(t, p.nodes()[ann.at()].process, syscall.SIGKILL)
	ann.back(before[ann]+1, gone)
	bob.back(before[bob]+1, restart)
	carl.back(before[carl]+1, restart)
	for _, x := range people {
		x.hears("...") // the history is gone, and everybody is told so
		x.sees("Ann", "Bob", "Carl")
	}
	bob.say("where were we?")
	ann.hears("Bob: where were we?")
	carl.hears("Bob: where were we?")

	// A node ends in order, as at a deploy: its people are told when to come back, and find another one.
	p.until("all nodes run", func() bool { return strings.Count(p.output(), "nodes connect at") == nodes+1 })
	node := bob.at()
	before[bob] = bob.lost()
	kill(t, p.nodes()[node].process, syscall.SIGTERM)
	bob.back(before[bob]+1, goodbye)
	for _, x := range people {
		x.sees("Ann", "Bob", "Carl")
	}
	p.prints(node + " has ended: exit status 0; it starts again in 1s")

	// The end of it all.
	for _, x := range people {
		x.mu.Lock()
		x.stays = true
		before[x] = len(x.closes)
		x.mu.Unlock()
	}
	kill(t, p.cmd.Process.Pid, syscall.SIGTERM)
	for _, x := range people {
		<-x.ended
		x.mu.Lock()
		last := x.closes[len(x.closes)-1]
		x.mu.Unlock()
		if !goodbye.MatchString(last) && !restart.MatchString(last) { // its own node ends, or a moment before it that of the room
			t.Errorf("at SIGTERM the connection of %s has ended with %q, want %v or %v", x.name, last, goodbye, restart)
		}
	}
	if status := p.wait(); status != 0 {
		t.Errorf("exit status after SIGTERM: %d, want 0", status)
	}
}

func wantPage(t *testing.T, addr string) {
	t.Helper()
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	for path, want := range map[string]string{"/": "Troupe chat", "/chat.js": "client.js", "/client.js": "class Connection", "/ready": ""} {
		resp, err := client.Get("http://" + addr + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("GET %s: status %d, %v, body %.80q; want 200 and %q in it", path, resp.StatusCode, err, body, want)
		}
	}
}

// TestChatCluster_nats: the nodes have no NATS servers in them, and use one of their own.
func TestChatCluster_nats(t *testing.T) {
	server, err := embedded.Start(embedded.Config{ClientListen: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("the NATS server: %v", err)
		}
	})
	p := startProgram(t, "-addr", "127.0.0.1:0", "-nats", "nats://"+server.ClientAddr())
	addr := p.serves()
	ann, bob := come(t, addr, "Ann"), come(t, addr, "Bob")
	if ann.at() == bob.at() {
		t.Fatalf("both are on node %s, want two nodes", ann.at())
	}
	ann.say("hello")
	bob.hears("Ann: hello")
	bob.sees("Ann", "Bob")
}

// TestChatCluster_allKilled: when no node is left and none comes back, the parent ends, and nobody waits for it.
func TestChatCluster_allKilled(t *testing.T) {
	p := startProgram(t, "-addr", "127.0.0.1:0", "-restart-after", "-1s")
	p.serves()
	for _, n := range p.nodes() {
		kill(t, n.process, syscall.SIGKILL)
	}
	if status := p.wait(); status != 0 {
		t.Errorf("exit status when the last node has ended: %d, want 0", status)
	}
	if got := strings.Count(p.output(), "has ended: signal: killed"); got != nodes {
		t.Errorf("%d nodes are said to have ended, want %d", got, nodes)
	}
}

// TestChatCluster_parentKilled: nodes do not outlive the parent, even when it could not tell them to end.
func TestChatCluster_parentKilled(t *testing.T) {
	p := startProgram(t, "-addr", "127.0.0.1:0")
	p.serves()
	kill(t, p.cmd.Process.Pid, syscall.SIGKILL)
	p.waitAll()
}

// TestChatCluster_nodeThatCannotStart: the parent gives up, and says why.
func TestChatCluster_nodeThatCannotStart(t *testing.T) {
	p := startProgram(t, "-addr", "127.0.0.1:0", "-down-after", "1ms")
	if status := p.wait(); status != 1 {
		t.Errorf("exit status: %d, want 1", status)
	}
	for _, want := range []string{"chat-1 has ended before it served: exit status 1", "DownAfter"} {
		p.prints(want)
	}
}
