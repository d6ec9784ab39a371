package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// client is a page: what it has been told, and the socket that it sends by.
type client struct {
	t       *testing.T
	conn    *websocket.Conn
	told    chan news // closed when the socket has ended
	err     error     // how, then
	node    string
	pid     string
	process int
	seen    []news // taken from told
}

// visit opens a page of a node. A node that was started a moment ago may refuse at first.
func visit(t *testing.T, addr string) *client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		conn, _, err := websocket.Dial(ctx, "ws://"+addr+"/ws", nil)
		if err == nil {
			c := &client{t: t, conn: conn, told: make(chan news, 4096)}
			go c.read()
			t.Cleanup(func() {
				conn.CloseNow()
				c.closed()
			})
			you := c.await("you")
			c.node, c.pid, c.process = you.Node, you.PID, you.Process
			if !strings.HasSuffix(c.pid, "@"+c.node) || c.process == 0 {
				t.Fatalf("%s says to a page: %+v, want its node, a PID of that, and its process", addr, you)
			}
			return c
		}
		select {
		case <-ctx.Done():
			t.Fatalf("no page of %s: %v", addr, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// write sends a message as it is.
func (c *client) write(message string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.conn.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
		c.t.Fatalf("a page of %s sends: %v", c.node, err)
	}
}

func (c *client) send(to, text string) {
	c.t.Helper()
	message, err := json.Marshal(request{to, text})
	if err != nil {
		c.t.Fatal(err)
	}
	c.write(string(message))
}

// read reads all the time: pings are answered only while somebody reads.
func (c *client) read() {
	defer close(c.told)
	for {
		_, data, err := c.conn.Read(context.Background())
		var n news
		if err == nil {
			err = json.Unmarshal(data, &n)
		}
		if err != nil {
			c.err = err
			c.conn.CloseNow()
			return
		}
		c.told <- n
	}
}

// await waits until there is news of this type with all of these parts in its fields, and returns it.
func (c *client) await(typ string, parts ...string) news {
	c.t.Helper()
	for end := time.After(patience); ; {
		select {
		case n, ok := <-c.told:
			if !ok {
				c.t.Fatalf("a page of %s waits for %q %q, and has ended: %v\nso far: %+v", c.node, typ, parts, c.err, c.seen)
			}
			c.seen = append(c.seen, n)
			if n.is(typ, parts) {
				return n
			}
		case <-end:
			c.t.Fatalf("a page of %s waits for %q %q\nso far: %+v", c.node, typ, parts, c.seen)
		}
	}
}

// find is await of what may have come since forget.
func (c *client) find(typ string, parts ...string) news {
	c.t.Helper()
	for _, n := range c.seen {
		if n.is(typ, parts) {
			return n
		}
	}
	return c.await(typ, parts...)
}

func (n news) is(typ string, parts []string) bool {
	if n.Type != typ {
		return false
	}
	for _, part := range parts {
		if n.PID != part && n.Node != part && !strings.Contains(n.Text, part) {
			return false
		}
	}
	return true
}

// forget starts seen anew.
func (c *client) forget() { c.seen = nil }

// about is what was seen of a process, and that its node is gone.
func (c *client) about(pid, node string) (types []string) {
	for _, n := range c.seen {
		if n.PID == pid || n.Type == "gone" && n.Node == node {
			types = append(types, n.Type)
		}
	}
	return types
}

// closed waits for the end and returns the close code.
func (c *client) closed() websocket.StatusCode {
	c.t.Helper()
	for end := time.After(patience); ; {
		select {
		case n, ok := <-c.told:
			if !ok {
				return websocket.CloseStatus(c.err)
			}
			c.seen = append(c.seen, n)
		case <-end:
			c.t.Fatalf("a page of %s does not end", c.node)
		}
	}
}
