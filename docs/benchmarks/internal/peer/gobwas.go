package peer

import (
	"bufio"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/gobwas/ws"
)

// gobwas is a bare loop on its frames, with the zero-copy upgrade.
var gobwas = Peer{Name: "gobwas", Module: "github.com/gobwas/ws", NoDeflate: true, Serve: serveGobwas}

func serveGobwas(ln net.Listener, o Options) (Broadcast, error) {
	hub := newHub[net.Conn](o)
	go accept(ln, func(c net.Conn) {
		room := ""
		upgrader := ws.Upgrader{OnRequest: func(uri []byte) error {
			_, room, _ = strings.Cut(string(uri), "room=")
			return nil
		}}
		if _, err := upgrader.Upgrade(c); err != nil {
			return
		}
		conns := hub.of(room)
		conns.add(c)
		defer conns.remove(c)
		if o.Rooms {
			echoGobwas(c, func(frame []byte) error {
				return conns.each(func(c net.Conn) error {
					_, err := c.Write(frame)
					return err
				})
			})
			return
		}
		echoGobwas(c, func(frame []byte) error {
			_, err := c.Write(frame)
			return err
		})
	})
	return func(payload []byte) error {
		frame := ws.MustCompileFrame(ws.NewTextFrame(payload))
		return hub.all.each(func(c net.Conn) error {
			_, err := c.Write(frame)
			return err
		})
	}, nil
}

func echoGobwas(c net.Conn, send func(frame []byte) error) {
	in := bufio.NewReader(c)
	var out []byte
	for {
		h, err := ws.ReadHeader(in)
		if err != nil || h.Length > maxMessage {
			return
		}
		size := ws.HeaderSize(ws.Header{Length: h.Length})
		total := size + int(h.Length)
		out = slices.Grow(out[:0], total)[:total]
		payload := out[size:]
		if _, err := io.ReadFull(in, payload); err != nil {
			return
		}
		ws.Cipher(payload, h.Mask, 0)
		reply := ws.Header{Fin: h.Fin, OpCode: h.OpCode, Length: h.Length}
		if h.OpCode == ws.OpPing {
			reply.OpCode = ws.OpPong
		}
		if err := ws.WriteHeader((*head)(&out), reply); err != nil {
			return
		}
		if h.OpCode.IsControl() {
			if _, err := c.Write(out); err != nil || h.OpCode == ws.OpClose {
				return
			}
		} else if send(out) != nil {
			return
		}
	}
}

// head is written at the beginning of a slice.
type head []byte

func (h *head) Write(p []byte) (int, error) { return copy(*h, p), nil }
