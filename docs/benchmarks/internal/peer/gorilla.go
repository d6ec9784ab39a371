package peer

import (
	"bytes"
	"net"
	"net/http"
	"sync"

	"github.com/gorilla/websocket"
)

var gorilla = Peer{Name: "gorilla", Module: "github.com/gorilla/websocket", Serve: serveGorilla}

func serveGorilla(ln net.Listener, o Options) (Broadcast, error) {
	// No buffer sizes: those of net/http are used again. A pool gives write buffers to those who write.
	upgrader := websocket.Upgrader{WriteBufferPool: &sync.Pool{}, EnableCompression: o.Deflate}
	hub := newHub[*gorillaConn](o)
	serveHTTP(ln, func(w http.ResponseWriter, r *http.Request) {
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		c := &gorillaConn{Conn: conn, shared: o.Group || o.Rooms}
		conns := hub.of(r.FormValue("room"))
		conns.add(c)
		defer conns.remove(c)
		if o.Rooms {
			for roomGorilla(c, conns) == nil {
			}
			return
		}
		for echoGorilla(c) == nil {
		}
	})
	return func(payload []byte) error {
		m, err := websocket.NewPreparedMessage(websocket.TextMessage, payload)
		if err != nil {
			return err
		}
		return hub.all.each(func(c *gorillaConn) error { return c.prepared(m) })
	}, nil
}

// A gorillaConn is shared when more than one goroutine writes, which the library leaves to its user.
type gorillaConn struct {
	*websocket.Conn
	shared bool
	mu     sync.Mutex
}

func (c *gorillaConn) prepared(m *websocket.PreparedMessage) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.WritePreparedMessage(m)
}

func roomGorilla(c *gorillaConn, room *set[*gorillaConn]) error {
	kind, b, err := c.ReadMessage()
	if err != nil {
		return err
	}
	m, err := websocket.NewPreparedMessage(kind, b)
	if err != nil {
		return err
	}
	return room.each(func(c *gorillaConn) error { return c.prepared(m) })
}

// buffers are for messages, so that none is allocated for each.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func echoGorilla(c *gorillaConn) error {
	kind, r, err := c.NextReader()
	if err != nil {
		return err
	}
	b := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(b)
	b.Reset()
	if _, err := b.ReadFrom(r); err != nil {
		return err
	}
	if c.shared {
		c.mu.Lock()
		defer c.mu.Unlock()
	}
	return c.WriteMessage(kind, b.Bytes())
}
