package peer

import (
	"bytes"
	"compress/flate"
	"net"
	"net/http"

	"github.com/lxzan/gws"
)

var gwsPeer = Peer{Name: "gws", Module: "github.com/lxzan/gws", Serve: serveGws}

// gwsCopy copies each message before it gives it back, so that its handler may keep the copy, as a handler of Troupe
// may keep what it gets.
var gwsCopy = Peer{
	Name: "gws-copy", Module: gwsPeer.Module, Variant: Large,
	Serve: func(ln net.Listener, o Options) (Broadcast, error) {
		o.Copy = true
		return serveGws(ln, o)
	},
}

func serveGws(ln net.Listener, o Options) (Broadcast, error) {
	hub := newHub[*gws.Conn](o)
	upgrader := gws.NewUpgrader(&gwsEcho{options: o}, &gws.ServerOption{
		ReadMaxPayloadSize: maxMessage,
		PermessageDeflate:  gws.PermessageDeflate{Enabled: o.Deflate, Level: flate.BestSpeed, Threshold: 128},
	})
	serveHTTP(ln, func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r)
		if err != nil {
			return
		}
		c.Session().Store("conns", hub.of(r.FormValue("room")))
		go c.ReadLoop() // so that the request can be collected, as its README says
	})
	return func(payload []byte) error {
		b := gws.NewBroadcaster(gws.OpcodeText, payload)
		defer b.Close()
		return hub.all.each(b.Broadcast)
	}, nil
}

type gwsEcho struct {
	gws.BuiltinEventHandler
	options Options
}

// conns are those of its room, or all.
func (*gwsEcho) conns(c *gws.Conn) *set[*gws.Conn] {
	v, _ := c.Session().Load("conns")
	return v.(*set[*gws.Conn])
}

func (e *gwsEcho) OnOpen(c *gws.Conn)           { e.conns(c).add(c) }
func (e *gwsEcho) OnClose(c *gws.Conn, _ error) { e.conns(c).remove(c) }
func (*gwsEcho) OnPing(c *gws.Conn, p []byte)   { c.WritePong(p) }

func (e *gwsEcho) OnMessage(c *gws.Conn, m *gws.Message) {
	defer m.Close()
	switch {
	case e.options.Rooms:
		b := gws.NewBroadcaster(m.Opcode, m.Bytes())
		defer b.Close()
		e.conns(c).each(b.Broadcast)
	case e.options.Copy:
		c.WriteMessage(m.Opcode, bytes.Clone(m.Bytes()))
	default:
		c.WriteMessage(m.Opcode, m.Bytes())
	}
}
