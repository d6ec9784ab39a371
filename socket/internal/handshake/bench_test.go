package handshake_test

import (
	"bufio"
	"net"
	"net/http"
	"testing"

	"github.com/troupe-dev/troupe/socket/internal/handshake"
)

// direct gives a connection away, with nothing around it.
type direct struct{ conn net.Conn }

func (direct) Header() http.Header                            { return nil }
func (direct) WriteHeader(int)                                {}
func (direct) Write(p []byte) (int, error)                    { return len(p), nil }
func (d direct) Hijack() (net.Conn, *bufio.ReadWriter, error) { return d.conn, nil, nil }

// BenchmarkAccept is the whole handshake of a request that net/http has read, over a connection that costs nothing.
func BenchmarkAccept(b *testing.B) {
	for name, header := range map[string]string{"plain": "", "with offers": "permessage-deflate; client_max_window_bits"} {
		b.Run(name, func(b *testing.B) {
			r := request("Sec-WebSocket-Extensions", header, "Sec-WebSocket-Protocol", "v1, v2")
			conn := new(script)
			w := &direct{conn}
			o := handshake.Options{Subprotocols: []string{"v2"}, Compress: true}
			b.ReportAllocs()
			for b.Loop() {
				conn.written = conn.written[:0]
				if refusal := handshake.CheckRequest(r); refusal != nil {
					b.Fatal(refusal)
				}
				if _, err := handshake.Accept(w, r, o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
