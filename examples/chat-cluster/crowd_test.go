package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// TestCrowd: three nodes over real NATS servers, and sockets that come, go, change their room and their node, and speak, while nodes are
// killed, end in order, and come back. At the end each node knows just what lives, and so does each socket. It is about processes that are
// killed, so it runs on a real clock. TROUPE_STRESS=1 has 3,000 sockets and more of everything.
func TestCrowd(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no SIGTERM on Windows")
	}
	people, rooms, acts := 120, 6, 400
	ends := []ending{{syscall.SIGKILL, []int{0}, true}, {syscall.SIGTERM, []int{1}, true}}
	if os.Getenv("TROUPE_STRESS") != "" {
		people, rooms, acts = 3000, 100, 3000
		ends = []ending{
			{syscall.SIGKILL, []int{0}, true}, {syscall.SIGTERM, []int{1}, true}, {syscall.SIGKILL, []int{2}, false},
			{syscall.SIGKILL, []int{0, 1}, true}, {syscall.SIGTERM, []int{2}, false}, {syscall.SIGKILL, []int{1}, false},
		}
	}
	c := newCrowd(t, people, rooms)
	c.settles("before any of it")
	for _, e := range ends {
		c.live(acts / 4)
		for _, i := range e.nodes {
			c.someLeaveWith(c.nodes[i])
			c.nodes[i].end(e.signal)
		}
		if e.away { // until the others know
			c.until(fmt.Sprintf("the others know that %v is away", e.nodes), func() string { return c.unaware(e.nodes) })
		}
		c.live(acts / 4)
		for _, i := range e.nodes {
			c.startNode(i)
		}
		c.live(acts / 2)
	}
	took := c.settles("at the end")
	c.tell()
	c.report(took)
}

// ending is how nodes end: with which signal, which ones, and whether they stay away until the others know it.
type ending struct {
	signal syscall.Signal
	nodes  []int
	away   bool
}

type crowd struct {
	t      *testing.T
	people []*guest
	rooms  int
	nodes  []*crowdProcess
	client *http.Client
	lost   atomic.Int64 // connections
	heard  atomic.Int64 // messages
}

// crowdProcess is a node, in its present boot. The test's goroutine owns it, but for lines, which is read when it has ended.
type crowdProcess struct {
	config crowdNode
	cmd    *exec.Cmd
	ended  chan struct{}
	lines  []string
}

func (p *crowdProcess) end(s os.Signal) {
	_ = p.cmd.Process.Signal(s) // it may have ended
	<-p.ended
}

func newCrowd(t *testing.T, people, rooms int) *crowd {
	c := &crowd{t: t, rooms: rooms, client: &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}}
	for i := range 3 {
		addr, err := freeAddr()
		if err != nil {
			t.Fatal(err)
		}
		listen, err := freeAddr()
		if err != nil {
			t.Fatal(err)
		}
		n := &crowdProcess{config: crowdNode{Name: fmt.Sprint("crowd-", i+1), Addr: addr, Listen: listen, People: people, Rooms: rooms}}
		for _, other := range c.nodes {
			n.config.Routes = append(n.config.Routes, other.config.Listen)
		}
		c.nodes = append(c.nodes, n)
		c.startNode(i)
		t.Cleanup(func() {
			n.end(os.Kill)
			if t.Failed() {
				t.Logf("the last of %s:\n%s", n.config.Name, strings.Join(n.lines[max(0, len(n.lines)-50):], "\n"))
			}
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	t.Cleanup(all.Wait) // before the nodes end
	t.Cleanup(cancel)
	for i := range people {
		g := &guest{crowd: c, name: personOf(i)}
		c.people = append(c.people, g)
		all.Go(func() { g.live(ctx) })
	}
	return c
}

// startNode starts a node and waits until it serves.
func (c *crowd) startNode(i int) {
	c.t.Helper()
	n := c.nodes[i]
	config, err := json.Marshal(n.config)
	if err != nil {
		c.t.Fatal(err)
	}
	n.cmd = exec.Command(os.Args[0])
	n.cmd.Env = append(os.Environ(), "CHAT_CLUSTER_CROWD="+string(config))
	out, err := n.cmd.StderrPipe()
	if err == nil {
		err = n.cmd.Start()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	cmd, ended := n.cmd, make(chan struct{})
	n.ended = ended
	go func() {
		defer close(ended)
		for s := bufio.NewScanner(out); s.Scan(); {
			n.lines = append(n.lines, s.Text())
		}
		_ = cmd.Wait() // its end was wanted
	}()
	c.until(n.config.Name+" serves", func() string {
		_, err := c.picture(n)
		return fmt.Sprint(err)
	})
}

// until waits until problem is "<nil>" or "".
func (c *crowd) until(what string, problem func() string) {
	c.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); ; <-tick.C {
		p := problem()
		if p == "" || p == "<nil>" {
			return
		}
		if time.Now().After(end) {
			c.t.Fatalf("not so after %v: %s: %s", patience, what, p)
		}
	}
}

func (c *crowd) picture(n *crowdProcess) (p picture, err error) {
	resp, err := c.client.Get("http://" + n.config.Addr + "/picture")
	if err != nil {
		return p, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		return p, fmt.Errorf("status %d: %s", resp.StatusCode, text)
	}
	return p, json.NewDecoder(resp.Body).Decode(&p)
}

// unaware says which node still sees one that is away.
func (c *crowd) unaware(away []int) string {
	for i, n := range c.nodes {
		if slices.Contains(away, i) {
			continue
		}
		p, err := c.picture(n)
		if err != nil {
			return err.Error()
		}
		for _, j := range away {
			if slices.Contains(p.Peers, c.nodes[j].config.Name) {
				return fmt.Sprintf("%s sees %q", n.config.Name, p.Peers)
			}
		}
	}
	return ""
}

// live has people do so many things, 250 in a second: most speak, and some go and come back, to another room and to whatever node.
func (c *crowd) live(acts int) {
	tick := time.NewTicker(time.Second / 250)
	defer tick.Stop()
	for range acts {
		<-tick.C
		g := c.people[rand.IntN(len(c.people))]
		if rand.IntN(5) == 0 {
			g.move()
		} else {
			g.say()
		}
	}
}

// someLeaveWith has one in ten of those on a node not come back from its end. Nobody takes their names, so the others have to forget them.
func (c *crowd) someLeaveWith(n *crowdProcess) {
	for i, g := range c.people {
		g.mu.Lock()
		g.leaves = g.leaves || i%10 == 0 && g.pid != "" && g.node == n.config.Name
		g.mu.Unlock()
	}
}

// settles waits until each node, and each socket, knows what lives: no more, and no less. It returns how long that took.
func (c *crowd) settles(when string) time.Duration {
	c.t.Helper()
	start := time.Now()
	c.until("all know the same "+when, c.disagreement)
	return time.Since(start)
}

// disagreement says what somebody knows that is not so. What lives is what the people know of themselves.
func (c *crowd) disagreement() string {
	want := picture{Present: map[string]map[string]int{}, Names: map[string]string{}}
	for i := range c.rooms {
		want.Present[topicOf(roomOf(i))] = map[string]int{}
	}
	sockets := map[string]int{}
	for _, g := range c.people {
		g.mu.Lock()
		pid, node, room, leaves := g.pid, g.node, g.room, g.leaves
		g.mu.Unlock()
		switch {
		case leaves && pid == "":
			continue
		case leaves:
			return g.name + " is still there"
		case pid == "":
			return g.name + " is not connected"
		}
		want.Names[g.name] = pid
		want.Present[topicOf(room)][g.name] = 1
		sockets[node]++
	}
	for i, n := range c.nodes {
		got, err := c.picture(n)
		if err != nil {
			return err.Error()
		}
		name := n.config.Name
		switch {
		case len(got.Peers) != len(c.nodes)-1:
			return fmt.Sprintf("%s sees the nodes %q", name, got.Peers)
		case got.Sockets != sockets[name] || got.Members != sockets[name]:
			return fmt.Sprintf("%s has %d sockets, of which %d are in rooms; want %d", name, got.Sockets, got.Members, sockets[name])
		}
		if got.Stats.Names != sockets[name] || got.Stats.Present != len(want.Names) || got.AllNames != len(want.Names) {
			return fmt.Sprintf("%s has %d names of its own, %d of all nodes, and %d people present; want %d, %d and %d", name,
				got.Stats.Names, got.AllNames, got.Stats.Present, sockets[name], len(want.Names), len(want.Names))
		}
		for j := range c.people {
			if got, want := got.Names[personOf(j)], want.Names[personOf(j)]; got != want {
				return fmt.Sprintf("%s is %q for node %d, want %q", personOf(j), got, i, want)
			}
		}
		for room, here := range want.Present {
			if !maps.Equal(got.Present[room], here) {
				return fmt.Sprintf("%s, in %s: %s", name, room, difference(got.Present[room], here))
			}
			if !maps.Equal(got.Replayed[room], here) {
				return fmt.Sprintf("%s, by the diffs of %s: %s", name, room, difference(got.Replayed[room], here))
			}
		}
	}
	for _, g := range c.people {
		if d := g.wrong(want.Present); d != "" {
			return d
		}
	}
	return ""
}

// there are the people who have not left.
func (c *crowd) there() []*guest {
	return slices.DeleteFunc(slices.Clone(c.people), (*guest).left)
}

func difference(got, want map[string]int) string {
	for name, n := range want {
		if got[name] != n {
			return fmt.Sprintf("%s has %d sockets, want %d (%d people, want %d)", name, got[name], n, len(got), len(want))
		}
	}
	for name, n := range got {
		if want[name] == 0 {
			return fmt.Sprintf("%s is shown with %d sockets, and is not there (%d people, want %d)", name, n, len(got), len(want))
		}
	}
	return "equal"
}

// tell has each node broadcast to all rooms. Everybody hears each of it, once. When somebody has lost his connection meanwhile, they
// broadcast again.
func (c *crowd) tell() {
	c.t.Helper()
	n, lost, there := 0, int64(-1), c.there()
	c.until("everybody hears what each node tells", func() string {
		for _, g := range there {
			if g.connected() == nil {
				return g.name + " is not connected"
			}
		}
		if now := c.lost.Load(); now != lost {
			n, lost = n+1, now
			for _, p := range c.nodes {
				resp, err := c.client.Post(fmt.Sprintf("http://%s/tell?n=%d", p.config.Addr, n), "", nil)
				if err != nil {
					return err.Error()
				}
				resp.Body.Close()
			}
		}
		for _, g := range there {
			for _, p := range c.nodes {
				if !g.knows(p.config.Name, n) {
					return fmt.Sprintf("%s has not heard %s", g.name, p.config.Name)
				}
			}
		}
		return ""
	})
}

// report gives figures for the record.
func (c *crowd) report(settled time.Duration) {
	c.t.Logf("%d people in %d rooms: %d have left, %d connections were lost, %d messages heard; all agreed %v after the last act", len(c.people), c.rooms,
		len(c.people)-len(c.there()), c.lost.Load(), c.heard.Load(), settled.Round(time.Millisecond))
	for _, n := range c.nodes {
		p, err := c.picture(n)
		if err != nil {
			c.t.Error(err)
		}
		c.t.Logf("%s: %d sockets, heap %d MiB", n.config.Name, p.Sockets, p.HeapMB)
		for _, to := range p.Conns {
			c.t.Logf("  %s: %d records out, %d in, %d datagrams resent, %d refused, %d resets, RTT %v", to.Node, to.RecordsOut, to.RecordsIn, to.Resent, to.Refused, to.Resets, to.RTT)
		}
	}
}

// guest is somebody with one socket, whose page comes back by itself.
type guest struct {
	crowd *crowd
	name  string

	mu    sync.Mutex
	conn  *websocket.Conn // nil: not connected
	pid   string          // of the socket; "": it was not told yet
	node  string
	room  string
	here  map[string]int // as its socket was told
	heard map[string]int // by sender: the last number

	leaves bool // when the connection is lost
}

func (g *guest) live(ctx context.Context) {
	for ctx.Err() == nil && !g.left() {
		g.visit(ctx)
		select {
		case <-time.After(time.Duration(50+rand.IntN(200)) * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (g *guest) visit(ctx context.Context) {
	c := g.crowd
	room := roomOf(rand.IntN(c.rooms))
	at := c.nodes[rand.IntN(len(c.nodes))].config.Addr
	dialing, cancel := context.WithTimeout(ctx, 10*time.Second)
	conn, resp, err := websocket.Dial(dialing, fmt.Sprintf("ws://%s/ws?name=%s&room=%s", at, url.QueryEscape(g.name), room), nil)
	cancel()
	if resp != nil && resp.Body != nil {
		resp.Body.Close()
	}
	if err != nil {
		return
	}
	defer conn.CloseNow()
	conn.SetReadLimit(1 << 20)
	g.mu.Lock()
	g.conn, g.room, g.here, g.heard = conn, room, map[string]int{}, map[string]int{}
	g.mu.Unlock()
	for {
		var n crowdNews
		_, data, err := conn.Read(ctx)
		if err == nil {
			err = json.Unmarshal(data, &n)
		}
		if err != nil {
			g.mu.Lock()
			g.conn, g.pid = nil, ""
			g.mu.Unlock()
			c.lost.Add(1)
			return
		}
		g.take(n)
	}
}

func (g *guest) take(n crowdNews) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case n.PID != "":
		g.pid, g.node = n.PID, n.Node
	case n.From != "":
		g.crowd.heard.Add(1)
		if n.N <= g.heard[n.From] {
			g.crowd.t.Errorf("%s hears number %d of %s after number %d", g.name, n.N, n.From, g.heard[n.From])
		}
		g.heard[n.From] = n.N
	default:
		if n.Whole {
			clear(g.here)
		}
		maps.Copy(g.here, n.Now)
		for _, name := range n.Went {
			if n.Now[name] == 0 {
				delete(g.here, name)
			}
		}
	}
}

// left says that the guest does not come back.
func (g *guest) left() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.leaves && g.pid == ""
}

// connected is the connection, if the socket has said that it is there.
func (g *guest) connected() *websocket.Conn {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.pid == "" {
		return nil
	}
	return g.conn
}

func (g *guest) say() {
	if conn := g.connected(); conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = conn.Write(ctx, websocket.MessageText, []byte("something")) // the reader notices
	}
}

// move has the guest come back somewhere else.
func (g *guest) move() {
	if conn := g.connected(); conn != nil {
		_ = conn.CloseNow()
	}
}

func (g *guest) knows(from string, number int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.heard[from] == number
}

// wrong says what the socket of the guest was told wrongly of those in its room.
func (g *guest) wrong(present map[string]map[string]int) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.pid == "" {
		return "" // left, or away: then it is not so anyway
	}
	if want := present[topicOf(g.room)]; !maps.Equal(g.here, want) {
		return fmt.Sprintf("%s, in %s on %s: %s", g.name, g.room, g.node, difference(g.here, want))
	}
	return ""
}
