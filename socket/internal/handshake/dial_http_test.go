package handshake_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/socket/internal/handshake"
)

// What is the http.Client's: redirects, proxies, TLS, cookies, and RoundTrippers around http.Transport.

// TestDial_redirectShowsNoURL: no request after a redirect has the URL before it as its Referer, since that may hold a token;
// one that the caller has set stays.
func TestDial_redirectShowsNoURL(t *testing.T) {
	for _, tt := range []struct {
		from, to string
		check    func(*http.Request, []*http.Request) error
		set      string
	}{
		{"ws://server.test/old?token=secret", "ws://elsewhere.test/new", nil, ""},
		{"wss://example.com/old?token=secret", "ws://elsewhere.test/new", nil, ""},
		{"wss://example.com/old?token=secret", "/new", nil, ""},
		{"ws://server.test/old?token=secret", "/new", func(*http.Request, []*http.Request) error { return nil }, ""},
		{"ws://server.test/old?token=secret", "/new", nil, "https://app.test/"},
	} {
		answer := func(r *http.Request, _ net.Conn) string {
			if r.URL.Path == "/old" {
				return "HTTP/1.1 302 Found\r\nLocation: " + tt.to + "\r\nContent-Length: 0\r\n\r\n"
			}
			return switching(r, "")
		}
		s := inMemory(t, answer)
		if strings.HasPrefix(tt.from, "wss") {
			secure, tr := overTLS(t, answer), s.client.Transport.(*http.Transport)
			tr.TLSClientConfig = secure.client.Transport.(*http.Transport).TLSClientConfig
			plain, withTLS := tr.DialContext, secure.client.Transport.(*http.Transport).DialContext
			tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if strings.HasSuffix(addr, ":443") {
					return withTLS(ctx, network, addr)
				}
				return plain(ctx, network, addr)
			}
		}
		s.client.CheckRedirect = tt.check
		header := http.Header{}
		if tt.set != "" {
			header.Set("Referer", tt.set)
		}
		d, err := s.dial(t, t.Context(), tt.from, handshake.DialOptions{Header: header})
		if err != nil {
			t.Fatalf("%s, redirected to %s: %v", tt.from, tt.to, err)
		}
		if got := d.Request.Header.Get("Referer"); got != tt.set || d.Request.URL.Path != "/new" {
			t.Errorf("%s, redirected to %s: request to %v with Referer %q, want %q", tt.from, tt.to, d.Request.URL, got, tt.set)
		}
	}
}
