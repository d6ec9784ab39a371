package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// news is what the chat says, as far as these tests look at it: see examples/chat/README.md.
type news struct {
	Type, Name, Node, Room, Life, Code, Text, Ref string
	ID                                            int64
	Gap                                           bool
	People, Joined, Left                          []string
	Messages                                      []news
}

// person is somebody in a room, whose page comes back by itself when its connection is lost.
type person struct {
	t          *testing.T
	name, addr string
	cancel     context.CancelFunc
	ended      chan struct{} // closed when the page is closed

	mu     sync.Mutex
	conn   *websocket.Conn // nil: it is away
	node   string          // the last one
	life   string
	after  int64
	here   map[string]bool
	heard  []string // texts, in order
	closes []string // how connections have ended
	stays  bool     // it does not come back
}

// come opens a page and returns when it is in the room lobby.
func come(t *testing.T, addr, name string) *person {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p := &person{t: t, name: name, addr: addr, cancel: cancel, ended: make(chan struct{}), here: map[string]bool{}}
	go p.live(ctx)
	t.Cleanup(p.leave)
	p.until("is in the room", func() bool { return p.life != "" })
	return p
}

// leave closes the page.
func (p *person) leave() {
	p.cancel()
	<-p.ended
}

// live connects again and again, as the page does.
func (p *person) live(ctx context.Context) {
	defer close(p.ended)
	for ctx.Err() == nil {
		err := p.visit(ctx)
		p.mu.Lock()
		p.conn = nil
		p.closes = append(p.closes, fmt.Sprint(err))
		stays := p.stays
		p.mu.Unlock()
		if stays {
			return
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// visit is one connection.
func (p *person) visit(ctx context.Context) error {
	conn, resp, err := websocket.Dial(ctx, "ws://"+p.addr+"/ws", &websocket.DialOptions{CompressionMode: websocket.CompressionNoContextTakeover})
	if resp != nil && resp.Body != nil {
		resp.Body.Close()
	}
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	conn.SetReadLimit(4 << 20)
	key := strings.Repeat(p.name, 16)
	if err := write(ctx, conn, map[string]any{"type": "hello", "name": p.name, "key": key, "session": key}); err != nil {
		return err
	}
	for {
		_, data, err := conn.Read(ctx)
		if err != nil {
			return err
		}
		var n news
		if err := json.Unmarshal(data, &n); err != nil {
			return err
		}
		if n.Type == "welcome" {
			p.mu.Lock()
			join := map[string]any{"type": "join", "room": "lobby", "life": p.life, "after": p.after}
			p.mu.Unlock()
			if err := write(ctx, conn, join); err != nil {
				return err
			}
		}
		p.take(conn, n)
	}
}

func write(ctx context.Context, conn *websocket.Conn, request map[string]any) error {
	data, err := json.Marshal(request)
	if err != nil {
		return err
	}
	return conn.Write(ctx, websocket.MessageText, data)
}

// take does what the page does with news.
func (p *person) take(conn *websocket.Conn, n news) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch n.Type {
	case "welcome":
		p.node = n.Node
	case "joined":
		if n.Life != p.life {
			p.after = 0
		}
		if n.Gap {
			p.heard = append(p.heard, "...")
		}
		p.conn, p.life = conn, n.Life
		clear(p.here)
		for _, name := range append(n.People, p.name) {
			p.here[name] = true
		}
		for _, m := range n.Messages {
			p.hear(m)
		}
	case "message":
		if p.conn == conn { // else it comes with joined, too
			p.hear(n)
		}
	case "presence":
		for _, name := range n.Joined {
			p.here[name] = true
		}
		for _, name := range n.Left {
			delete(p.here, name)
		}
	case "error":
		p.heard = append(p.heard, "error: "+n.Text)
	}
}

func (p *person) hear(m news) {
	if m.ID > p.after {
		p.after = m.ID
		p.heard = append(p.heard, m.Name+": "+m.Text)
	}
}

// say says something, and waits until it is heard.
func (p *person) say(text string) {
	p.t.Helper()
	p.mu.Lock()
	conn := p.conn
	p.mu.Unlock()
	if conn == nil {
		p.t.Fatalf("%s has no connection to say %q", p.name, text)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := write(ctx, conn, map[string]any{"type": "say", "text": text, "ref": text}); err != nil {
		p.t.Fatalf("%s says %q: %v", p.name, text, err)
	}
	p.hears(p.name + ": " + text)
}

// hears waits until a line was heard.
func (p *person) hears(line string) {
	p.t.Helper()
	p.until(fmt.Sprintf("hears %q", line), func() bool { return slices.Contains(p.heard, line) })
}

// sees waits until just these are in the room.
func (p *person) sees(names ...string) {
	p.t.Helper()
	p.until(fmt.Sprintf("sees %q", names), func() bool { return p.conn != nil && slices.Equal(slices.Sorted(maps.Keys(p.here)), names) })
}

// back waits for the connection after n others, which must have ended in this way.
func (p *person) back(n int, how *regexp.Regexp) {
	p.t.Helper()
	p.until("is back", func() bool { return p.conn != nil && len(p.closes) >= n })
	p.mu.Lock()
	defer p.mu.Unlock()
	if !how.MatchString(p.closes[n-1]) {
		p.t.Errorf("connection %d of %s has ended with %q, want %v", n, p.name, p.closes[n-1], how)
	}
}

// lost is how many connections have ended.
func (p *person) lost() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.closes)
}

// at is the node of the connection.
func (p *person) at() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.node
}

// until waits for something about p, which is looked at with mu held.
func (p *person) until(what string, done func() bool) {
	p.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); ; <-tick.C {
		p.mu.Lock()
		ok := done()
		state := fmt.Sprintf("on %s, connected: %v, sees %v, has heard %q, lost connections: %q", p.node, p.conn != nil,
			slices.Sorted(maps.Keys(p.here)), p.heard, p.closes)
		p.mu.Unlock()
		if ok {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("not so after %v: %s %s\n%s", patience, p.name, what, state)
		}
	}
}
