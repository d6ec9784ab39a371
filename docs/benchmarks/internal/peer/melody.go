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
	if o.Rooms {
		return nil, serveMelodyRooms(ln, m)
	}
	m.HandleMessage(func(s *melody.Session, b []byte) { s.Write(b) })
	m.HandleMessageBinary(func(s *melody.Session, b []byte) { s.WriteBinary(b) })
	serveHTTP(ln, func(w http.ResponseWriter, r *http.Request) { m.HandleRequest(w, r) })
	return m.Broadcast, nil
}

// serveMelodyRooms has rooms as its README has them: a filter over all sessions.
func serveMelodyRooms(ln net.Listener, m *melody.Melody) error {
	m.HandleMessageBinary(func(s *melody.Session, b []byte) {
		room := s.MustGet("room")
		m.BroadcastBinaryFilter(b, func(other *melody.Session) bool { return other.MustGet("room") == room })
	})
	serveHTTP(ln, func(w http.ResponseWriter, r *http.Request) {
		m.HandleRequestWithKeys(w, r, map[string]any{"room": r.FormValue("room")})
	})
	return nil
}
