package peer

import (
	"net"
	"net/http"

	"github.com/olahol/melody"
)

var melodyPeer = Peer{Name: "melody", Module: "github.com/olahol/melody", Serve: serveMelody}

func serveMelody(ln net.Listener, o Options) (Broadcast, error) {
	m := melody.New()
	m.Config.MaxMessageSize = maxMessage
	m.Upgrader.EnableCompression = o.Deflate
	m.HandleMessage(func(s *melody.Session, b []byte) { s.Write(b) })
	m.HandleMessageBinary(func(s *melody.Session, b []byte) { s.WriteBinary(b) })
	serveHTTP(ln, func(w http.ResponseWriter, r *http.Request) { m.HandleRequest(w, r) })
	return m.Broadcast, nil
}
