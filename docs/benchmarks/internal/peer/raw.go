package peer

import "net"

// raw is the floor: TCP and nothing else.
var raw = Peer{Name: "raw", Raw: true, NoDeflate: true, Serve: serveRaw}

func serveRaw(ln net.Listener, o Options) (Broadcast, error) {
	conns := newHub[net.Conn](o).of("")
	go accept(ln, func(c net.Conn) {
		conns.add(c)
		defer conns.remove(c)
		buf := make([]byte, 4<<10)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			if _, err := c.Write(buf[:n]); err != nil {
				return
			}
			if n == len(buf) && n < 1<<20 {
				buf = make([]byte, 2*n) // messages are larger than the buffer
			}
		}
	})
	return func(payload []byte) error {
		return conns.each(func(c net.Conn) error {
			_, err := c.Write(payload)
			return err
		})
	}, nil
}

// accept runs serve for each connection on a goroutine of its own, and then closes it.
func accept(ln net.Listener, serve func(net.Conn)) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			serve(c)
		}()
	}
}
