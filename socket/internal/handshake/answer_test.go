package handshake_test

import (
	"bufio"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/socket/internal/handshake"
)

// TestAccept_head: what others set in the ResponseWriter can add fields to the 101, but neither lines nor a second answer
// to the handshake.
func TestAccept_head(t *testing.T) {
	tests := []struct {
		name   string
		set    http.Header
		offers string
		ours   []string
		want   []string // lines
		not    []string // in the head, in lower case
	}{
		{name: "a field of the application", set: http.Header{"X-Token": {"a", "b"}}, want: []string{"X-Token: a", "X-Token: b"}},
		{name: "its cookie", set: http.Header{"Set-Cookie": {"a=b"}}, want: []string{"Set-Cookie: a=b"}},
		{name: "a line in a field", set: http.Header{"X-Token": {"a\r\nEvil: 1"}}, not: []string{"\r\nevil"}},
		{name: "a line in its subprotocol", set: http.Header{"Sec-Websocket-Protocol": {"a\r\nEvil: 1"}}, not: []string{"\r\nevil"}},
		{name: "a line break in its subprotocol, offered", set: http.Header{"Sec-Websocket-Protocol": {"a\rb"}}, offers: "a\rb", not: []string{"websocket-protocol"}},
		{name: "a line in its date", set: http.Header{"Date": {"now\nEvil: 1"}}, want: []string{"Date: now Evil: 1"}, not: []string{"\nevil"}},
		{name: "its date", set: http.Header{"Date": {"now"}}, want: []string{"Date: now"}},
		{name: "its subprotocol", set: http.Header{"Sec-Websocket-Protocol": {"v1"}}, offers: "v2, v1", want: []string{"Sec-WebSocket-Protocol: v1"}},
		{name: "its subprotocol, in the other case", set: http.Header{"Sec-Websocket-Protocol": {"v1"}}, offers: "V1", not: []string{"websocket-protocol"}},
		{name: "its subprotocol, none offered", set: http.Header{"Sec-Websocket-Protocol": {"v1"}}, not: []string{"websocket-protocol"}},
		{name: "its subprotocol, another offered", set: http.Header{"Sec-Websocket-Protocol": {"v1"}}, offers: "v2, v11", not: []string{"websocket-protocol"}},
		{name: "its subprotocols", set: http.Header{"Sec-Websocket-Protocol": {"v1, v2"}}, offers: "v1, v2", not: []string{"websocket-protocol"}},
		{name: "ours wins", set: http.Header{"Sec-Websocket-Protocol": {"v1"}}, ours: []string{"v2"}, offers: "v1, v2",
			want: []string{"Sec-WebSocket-Protocol: v2"}, not: []string{"protocol: v1"}},
		{name: "ours in the other case", ours: []string{"V2", "v3"}, offers: "v2, v3", want: []string{"Sec-WebSocket-Protocol: v3"}},
		{name: "ours in the other case alone", ours: []string{"V2"}, offers: "v2", not: []string{"websocket-protocol"}},
		{name: "other spellings", set: http.Header{"connection": {"close"}, "content-length": {"5"}, "sec-websocket-accept": {"x"}},
			not: []string{"close", "content-length", "accept: x"}},
		{name: "folded by Unicode", ours: []string{"kiosk"}, offers: "\u212aio\u017fk", not: []string{"sec-websocket-protocol"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn := new(script)
			r := request()
			if tt.offers != "" {
				r.Header.Set("Sec-WebSocket-Protocol", tt.offers)
			}
			if tt.set == nil {
				tt.set = http.Header{}
			}
			if _, err := handshake.Accept(&hijackable{conn: conn, header: tt.set}, r, handshake.Options{Subprotocols: tt.ours}); err != nil {
				t.Fatal(err)
			}
			head := string(conn.written)
			for _, line := range tt.want {
				if strings.Count(head, "\r\n"+line+"\r\n") != 1 {
					t.Errorf("the head\n%s\nhas not once the line %q", head, line)
				}
			}
			for _, s := range tt.not {
				if strings.Contains(strings.ToLower(head), s) {
					t.Errorf("the head\n%s\nhas %q", head, s)
				}
			}
			if n := strings.Count(strings.ToLower(head), "\r\nsec-websocket-accept:"); n != 1 {
				t.Errorf("%d Sec-WebSocket-Accept in the head\n%s", n, head)
			}
		})
	}
}

// panicky panics when its headers are asked for after Hijack.
type panicky struct {
	*hijackable
	hijacked bool
}

func (p *panicky) Header() http.Header {
	if p.hijacked {
		panic("no headers any more")
	}
	return p.hijackable.Header()
}

func (p *panicky) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	p.hijacked = true
	return p.hijackable.Hijack()
}

func TestAccept_closesTheConnectionOfAWriterThatPanics(t *testing.T) {
	conn := new(script)
	p := &panicky{hijackable: &hijackable{conn: conn, header: http.Header{}}}
	defer func() {
		if recover() == nil || !conn.closed.Load() {
			t.Errorf("no panic, or the connection is open")
		}
	}()
	handshake.Accept(p, request(), handshake.Options{})
}
