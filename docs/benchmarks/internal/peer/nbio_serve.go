//go:build nbio

package peer

import (
	"compress/flate"
	"net"
	"net/http"
	"sync"

	"github.com/lesismal/nbio/logging"
	"github.com/lesismal/nbio/nbhttp"
	"github.com/lesismal/nbio/nbhttp/websocket"
)

var nbioPeer = Peer{Name: "nbio", Module: nbioModule, NoTLS: true, Serve: serveNbio}

func serveNbio(ln net.Listener, o Options) (Broadcast, error) {
	logging.SetLevel(logging.LevelNone)
	hub := newHub[*websocket.Conn](o)
	upgrader := websocket.NewUpgrader()
	upgrader.MessageLengthLimit = maxMessage
	upgrader.EnableCompression(o.Deflate)
	if err := upgrader.SetCompressionLevel(flate.BestSpeed); err != nil {
		return nil, err
	}
	conns := func(c *websocket.Conn) *set[*websocket.Conn] { return c.SessionWithLock().(*set[*websocket.Conn]) }
	upgrader.OnMessage(func(c *websocket.Conn, kind websocket.MessageType, b []byte) {
		if !o.Rooms {
			c.WriteMessage(kind, b)
			return
		}
		conns(c).each(func(c *websocket.Conn) error { return c.WriteMessage(kind, b) })
	})
	upgrader.OnClose(func(c *websocket.Conn, _ error) { conns(c).remove(c) })
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		all := hub.of(r.FormValue("room"))
		c.SetSession(all)
		all.add(c)
	})
	engine := nbhttp.NewEngine(nbhttp.Config{
		Network: "tcp", Addrs: []string{ln.Addr().String()}, MaxLoad: 1 << 20, Handler: mux, ReleaseWebsocketPayload: true,
		Listen: func(string, string) (net.Listener, error) { return ln, nil },
	})
	stop := sync.OnceFunc(engine.Stop)
	engine.OnAcceptError(func(error) { go stop() }) // else it tries for ever, on a whole core; stop waits for the caller
	if err := engine.Start(); err != nil {
		return nil, err
	}
	return func(payload []byte) error {
		return hub.all.each(func(c *websocket.Conn) error { return c.WriteMessage(websocket.TextMessage, payload) })
	}, nil
}
