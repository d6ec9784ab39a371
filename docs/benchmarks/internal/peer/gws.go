package peer

import (
	"compress/flate"
	"net"
	"net/http"

	"github.com/lxzan/gws"
)

var gwsPeer = Peer{Name: "gws", Module: "github.com/lxzan/gws", Serve: serveGws}

// gwsKeep does not give its messages back, so that its handler may keep them, as a handler of Troupe may by default.
var gwsKeep = Peer{
	Name: "gws-keep", Module: gwsPeer.Module, Variant: Large,
	Serve: func(ln net.Listener, o Options) (Broadcast, error) {
		o.Keep = true
		return serveGws(ln, o)
	},
}

func serveGws(ln net.Listener, o Options) (Broadcast, error) {
	conns := newSet[*gws.Conn](o.Group)
	upgrader := gws.NewUpgrader(&gwsEcho{conns: conns, keep: o.Keep}, &gws.ServerOption{
		ReadMaxPayloadSize: maxMessage,
		PermessageDeflate:  gws.PermessageDeflate{Enabled: o.Deflate, Level: flate.BestSpeed, Threshold: 128},
	})
	serveHTTP(ln, func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r)
		if err != nil {
			return
		}
		go c.ReadLoop() // so that the request can be collected, as its README says
	})
	return func(payload []byte) error {
		b := gws.NewBroadcaster(gws.OpcodeText, payload)
		defer b.Close()
		return conns.each(b.Broadcast)
	}, nil
}

type gwsEcho struct {
	gws.BuiltinEventHandler
	conns *set[*gws.Conn]
	keep  bool
}

func (e *gwsEcho) OnOpen(c *gws.Conn)           { e.conns.add(c) }
func (e *gwsEcho) OnClose(c *gws.Conn, _ error) { e.conns.remove(c) }
func (*gwsEcho) OnPing(c *gws.Conn, p []byte)   { c.WritePong(p) }

func (e *gwsEcho) OnMessage(c *gws.Conn, m *gws.Message) {
	if !e.keep {
		defer m.Close()
	}
	c.WriteMessage(m.Opcode, m.Bytes())
}
