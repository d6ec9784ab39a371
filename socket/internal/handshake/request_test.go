package handshake_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/socket/internal/handshake"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
)

func TestCheckRequest(t *testing.T) { // RFC 6455 section 4.2.1
	edit := func(f func(*http.Request), fields ...string) *http.Request {
		r := request(fields...)
		f(r)
		return r
	}
	proto := func(text string, major, minor int) func(*http.Request) {
		return func(r *http.Request) { r.Proto, r.ProtoMajor, r.ProtoMinor = text, major, minor }
	}
	tests := []struct {
		name   string
		r      *http.Request
		status int // 0: accepted
		text   string
		header string // "key: value" that the answer carries
	}{
		{name: "any case", r: request("Upgrade", "WeBsOcKeT", "Connection", "UpGrAdE")},
		{name: "POST", r: edit(func(r *http.Request) { r.Method = "POST" }), status: 405, text: "HTTP method POST unsupported", header: "Allow: GET"},
		{name: "HTTP/1.0", r: edit(proto("HTTP/1.0", 1, 0)), status: 426, text: "HTTP version HTTP/1.0 unsupported", header: "Upgrade: websocket"},
		{name: "HTTP/2", r: edit(func(r *http.Request) { proto("HTTP/2.0", 2, 0)(r); r.Method = "CONNECT" }), status: 505, text: "HTTP/1.1 only"},
		{name: "HTTP/3", r: edit(proto("HTTP/3.0", 3, 0)), status: 505, text: "HTTP/1.1 only"},
		{name: "Connection: close", r: request("Connection", "close"), status: 426, text: `'Connection' header must contain 'upgrade', got ["close"]`, header: "Connection: Upgrade"},
		{name: "no Connection", r: request("Connection", ""), status: 426, text: `must contain 'upgrade', got []`, header: "Upgrade: websocket"},
		{name: "Upgrade: bogus", r: request("Upgrade", "bogus"), status: 426, text: `'Upgrade' header must contain 'websocket', got ["bogus"]`, header: "Upgrade: websocket"},
		{name: "Upgrade: a longer word", r: request("Upgrade", "websockets"), status: 426, text: "'Upgrade' header must contain"},
		{name: "no key", r: request("Sec-WebSocket-Key", ""), status: 400, text: "'Sec-WebSocket-Key' header is absent"},
		{name: "version 12", r: request("Sec-WebSocket-Version", "12"), status: 426, text: `must equal '13', got ["12"]`, header: "Sec-WebSocket-Version: 13"},
		{name: "no version", r: request("Sec-WebSocket-Version", ""), status: 426, text: `must equal '13', got []`, header: "Upgrade: websocket"},
		{name: "Connection: keep-alive, Upgrade", r: request("Connection", "keep-alive, Upgrade")},
		{name: "two Connection lines", r: request("Connection", "keep-alive\nupgrade")},
		{name: "list of upgrades", r: request("Upgrade", "h2c ,\twebsocket")},
		{name: "version list", r: request("Sec-WebSocket-Version", "13, 8"), status: 426, text: `got ["13, 8"]`},
		{name: "two version lines", r: request("Sec-WebSocket-Version", "13\n13"), status: 426, text: `got ["13" "13"]`},
		{name: "two keys", r: request("Sec-WebSocket-Key", rawclient.DefaultKey+"\n"+rawclient.DefaultKey), status: 400, text: "given 2 times"},
		{name: "key x", r: request("Sec-WebSocket-Key", "x"), status: 400, text: `16 bytes in base64, got "x"`},
		{name: "key of 1 byte", r: request("Sec-WebSocket-Key", "eA=="), status: 400, text: "16 bytes in base64"},
		{name: "key of 15 bytes", r: request("Sec-WebSocket-Key", "MDEyMzQ1Njc4OWFiY2Rl"), status: 400, text: "16 bytes in base64"},
		{name: "key of 17 bytes", r: request("Sec-WebSocket-Key", "MDEyMzQ1Njc4OWFiY2RlZmc="), status: 400, text: "16 bytes in base64"},
		{name: "no Host", r: edit(func(r *http.Request) { r.Host = "" }), status: 400, text: "'Host' header is absent"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := handshake.CheckRequest(tt.r)
			if tt.status == 0 {
				if got != nil {
					t.Fatalf("refused with %d: %v", got.Status, got)
				}
				if _, err := handshake.Accept(&hijackable{conn: new(script), header: http.Header{}}, tt.r, handshake.Options{}); err != nil {
					t.Errorf("Accept, after CheckRequest: %v", err)
				}
				return
			}
			if got == nil || got.Status != tt.status || !strings.Contains(got.Error(), tt.text) {
				t.Fatalf("got %+v\nwant %d with %q", got, tt.status, tt.text)
			}
			if key, value, _ := strings.Cut(tt.header, ": "); key != "" && got.Header.Get(key) != value {
				t.Errorf("header %v, want %s", got.Header, tt.header)
			}
		})
	}
}
