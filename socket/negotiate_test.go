package socket_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// Origin is the request's host, or matches a pattern.
func TestServer_checksOrigin(t *testing.T) {
	tests := []struct {
		patterns []string
		host     string
		origin   string
		ok       bool
	}{
		{nil, "example.com", "http://example.com", true},
		{nil, "example.com", "https://example.com", true},
		{nil, "example.com", "https://EXAMPLE.com", true},
		{nil, "example.com:8080", "http://example.com:8080", true},
		{nil, "example.com:8080", "http://example.com", false},
		{nil, "example.com", "http://example.com:8080", false},
		{nil, "example.com", "http://www.example.com", false},
		{nil, "example.com", "http://example.com.evil.org", false},
		{nil, "example.com", "http://evil.org/example.com", false},
		{nil, "example.com", "http://example.com@evil.org", false},
		{nil, "example.com", "null", false},
		{nil, "example.com", "", false},
		{nil, "example.com", "file://", false},
		{nil, "example.com", "://", false},
		{[]string{"*.ex.org"}, "example.com", "https://a.ex.org", true},
		{[]string{"*.ex.org"}, "example.com", "https://A.EX.org", true},
		{[]string{"*.EX.org"}, "example.com", "https://a.ex.org", true},
		{[]string{"*.ex.org"}, "example.com", "https://ex.org", false}, // 337: unlike Phoenix, as path.Match says
		{[]string{"*.ex.org"}, "example.com", "https://a.prefix-ex.org", false},
		{[]string{"ex.org"}, "example.com", "https://a.ex.org", false},
		{[]string{"https://ex.org"}, "example.com", "https://ex.org", true},
		{[]string{"https://ex.org"}, "example.com", "http://ex.org", false}, // 340
		{[]string{"ex.org:81"}, "example.com", "http://ex.org:82", false},
		{[]string{"ex.org:*"}, "example.com", "http://ex.org:82", true},
		{[]string{"*"}, "example.com", "https://anything.example:1", true},
		{[]string{"a.example", "b.example"}, "example.com", "http://b.example", true},
		{[]string{"a.example"}, "example.com", "http://example.com", true},
		// A port that is the scheme's own may stand there or not.
		{nil, "example.com:443", "https://example.com", true},
		{nil, "example.com:80", "http://example.com", true},
		{nil, "example.com", "https://example.com:443", true},
		{nil, "example.com", "http://example.com:80", true},
		{nil, "example.com:443", "http://example.com", false},
		{nil, "example.com:80", "https://example.com", false},
		{nil, "example.com", "https://example.com:80", false},
		{nil, "example.com:8443", "https://example.com", false},
		{[]string{"https://a.example:443"}, "10.0.0.1:80", "https://a.example", true},
		{[]string{"https://a.example"}, "10.0.0.1:80", "https://a.example:443", true},
		{[]string{"https://a.example:8443"}, "10.0.0.1:80", "https://a.example", false},
		{[]string{"https://a.example"}, "10.0.0.1:80", "https://a.example:8443", false},
		// IPv6, whose brackets are no class of characters.
		{[]string{"https://[2001:db8::1]:8443"}, "10.0.0.1:80", "https://[2001:db8::1]:8443", true},
		{[]string{"[::1]:4000"}, "10.0.0.1:80", "http://[::1]:4000", true},
		{[]string{"[::1]:4000"}, "10.0.0.1:80", "http://1:4000", false},
		{nil, "[::1]:4000", "http://[::1]:4000", true},
		{nil, "[::1]:80", "http://[::1]", true},
		// Pages without an origin.
		{[]string{"null"}, "example.com", "null", true},
		{[]string{"null"}, "example.com", "http://null", false},
		// What is no origin (RFC 6454 section 7), with our host in it.
		{nil, "example.com", "//example.com", false},
		{nil, "example.com", "javascript://example.com", false},
		{nil, "example.com", "http://x@example.com", false},
		{nil, "example.com", "http://example.com/path", false},
		{nil, "example.com", "http://example.com/", false},
		{nil, "example.com", "http://example.com?q", false},
		{nil, "example.com", "http://example.com#f", false},
		{[]string{"*.a.example"}, "example.com", "https://evil.example/.a.example", false},
		{[]string{"*.a.example"}, "example.com", "https://evil.example#.a.example", false},
		{[]string{"*.a.example"}, "example.com", "https://evil.example?.a.example", false},
		{[]string{"*.a.example"}, "example.com", `https://evil.example\.a.example`, false},
		{[]string{"*.a.example"}, "example.com", "https://a.example@evil.example", false},
		{[]string{"*.a.example"}, "example.com", "https://x.a.example@evil.example", false},
	}
	for _, test := range tests {
		bubble(t, fmt.Sprintf("%v %s", test.patterns, test.origin), func(t *testing.T) {
			h := memorySite(t, socket.Config{OriginPatterns: test.patterns}, func() websock.Handler { return echo() })
			o := rawclient.HandshakeOptions{Host: test.host, Header: http.Header{"Origin": {test.origin}}}
			if test.ok {
				goodbye(t, h.connect(o))
				return
			}
			if resp, body := h.refused(o); resp.StatusCode != 403 {
				t.Errorf("patterns %q, Host %q, Origin %q: got %d %q, want 403", test.patterns, test.host, test.origin, resp.StatusCode, body)
			}
		})
	}
}

// The server's order of preference; a client that offers none of ours goes without one.
func TestServer_negotiatesTheSubprotocol(t *testing.T) {
	tests := []struct {
		name   string
		ours   []string
		theirs []string
		app    string // set in the response by the application
		want   string
	}{
		{"none", nil, nil, "", ""},
		{"ours only", []string{"sip"}, nil, "", ""},
		{"theirs only", nil, []string{"sip"}, "", ""},
		{"one", []string{"sip"}, []string{"sip"}, "", "sip"},
		{"our order", []string{"sip", "mqtt"}, []string{"mqtt, sip"}, "", "sip"},
		{"two lines", []string{"mqtt"}, []string{"sip", "mqtt"}, "", "mqtt"},
		{"no match", []string{"sip"}, []string{"mqtt"}, "", ""},
		{"the application's", nil, []string{"foo, bar"}, "foo", "foo"},
		{"the application's, none offered", nil, nil, "foo", ""},
		{"the application's, another offered", nil, []string{"bar"}, "foo", ""},
		{"ours in another case", []string{"V2"}, []string{"v2"}, "", ""},
		{"ours in another case, and one in this", []string{"V2", "v1"}, []string{"v2, v1"}, "", "v1"},
	}
	for _, test := range tests {
		bubble(t, test.name, func(t *testing.T) {
			h := newSite(t, socket.Config{Subprotocols: test.ours})
			sockets := h.sockets(func() websock.Handler {
				return &handler{in: func(ctx context.Context, _ websock.Message) websock.Result {
					return websock.Push(websock.Text("subprotocol " + socket.Info(ctx).Subprotocol))
				}}
			})
			h.overMemory(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if test.app != "" {
					w.Header().Set("Sec-WebSocket-Protocol", test.app)
				}
				sockets.ServeHTTP(w, r)
			}))
			var o rawclient.HandshakeOptions
			if test.theirs != nil {
				o.Header = http.Header{"Sec-WebSocket-Protocol": test.theirs}
			}
			c, resp, err := h.shake(o)
			if c == nil {
				t.Fatalf("handshake: %+v, %v", resp, err)
			}
			defer c.Conn().Close()
			if got := resp.Header.Get("Sec-WebSocket-Protocol"); got != test.want {
				t.Errorf("Sec-WebSocket-Protocol: got %q, want %q", got, test.want)
			}
			c.Text("?")
			wantMessage(t, c, rawclient.OpText, "subprotocol "+test.want)
		})
	}
}
