package peer

import (
	"bytes"
	"context"
	"net"
	"net/http"

	"github.com/coder/websocket"
)

var coder = Peer{Name: "coder", Module: "github.com/coder/websocket", Serve: serveCoder}

func serveCoder(ln net.Listener, o Options) (Broadcast, error) {
	options := &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled}
	if o.Deflate {
		options.CompressionMode = websocket.CompressionNoContextTakeover
	}
	options.CompressionThreshold = 128
	// Without a Done channel: one costs an AfterFunc for each read and write.
	ctx := context.Background()
	hub := newHub[*websocket.Conn](o)
	serveHTTP(ln, func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, options)
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(maxMessage)
		conns := hub.of(r.FormValue("room"))
		conns.add(c)
		defer conns.remove(c)
		if !o.Rooms {
			for echoCoder(ctx, c, c.Write) == nil {
			}
			return
		}
		toAll := func(ctx context.Context, kind websocket.MessageType, b []byte) error {
			return conns.each(func(c *websocket.Conn) error { return c.Write(ctx, kind, b) })
		}
		for echoCoder(ctx, c, toAll) == nil {
		}
	})
	return func(payload []byte) error {
		return hub.all.each(func(c *websocket.Conn) error { return c.Write(ctx, websocket.MessageText, payload) })
	}, nil
}

func echoCoder(ctx context.Context, c *websocket.Conn, write func(context.Context, websocket.MessageType, []byte) error) error {
	kind, r, err := c.Reader(ctx)
	if err != nil {
		return err
	}
	b := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(b)
	b.Reset()
	if _, err := b.ReadFrom(r); err != nil {
		return err
	}
	return write(ctx, kind, b.Bytes())
}
