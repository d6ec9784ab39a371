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
	conns := newSet[*websocket.Conn](o.Group)
	serveHTTP(ln, func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer c.Close()
		conns.add(c)
		defer conns.remove(c)
		for echoGorilla(c) == nil {
		}
	})
	return func(payload []byte) error {
		m, err := websocket.NewPreparedMessage(websocket.TextMessage, payload)
		if err != nil {
			return err
		}
		return conns.each(func(c *websocket.Conn) error { return c.WritePreparedMessage(m) })
	}, nil
}

// buffers are for messages, so that none is allocated for each.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func echoGorilla(c *websocket.Conn) error {
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
	return c.WriteMessage(kind, b.Bytes())
}
