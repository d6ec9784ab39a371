package handshake_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
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

// startHTTP starts a server of net/http on a real network, which speaks HTTP/2 as well when it has TLS. It upgrades, with
// what comes right after the head. seen has the requests, and the connections of those that were upgraded.
func startHTTP(t *testing.T, withTLS bool, after string) (srv *httptest.Server, seen func() ([]*http.Request, []net.Conn)) {
	t.Helper()
	var mu sync.Mutex
	var requests []*http.Request
	var conns []net.Conn
	srv = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		requests = append(requests, r)
		if r.Header.Get("Upgrade") == "" {
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Errorf("Hijack of a request in %s: %v", r.Proto, err)
			return
		}
		conns = append(conns, conn)
		io.WriteString(conn, switching(r, after, "Set-Cookie: session=1"))
	}))
	srv.EnableHTTP2 = true
	if withTLS {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	t.Cleanup(func() {
		for _, conn := range conns {
			conn.Close()
		}
		srv.Close()
	})
	return srv, func() ([]*http.Request, []net.Conn) {
		mu.Lock()
		defer mu.Unlock()
		return requests, conns
	}
}

// TestDial_afterHTTP2: a client that has a connection in HTTP/2 to the server makes another one for the WebSocket.
func TestDial_afterHTTP2(t *testing.T) {
	srv, seen := startHTTP(t, true, "early")
	resp, err := srv.Client().Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	d, err := handshake.Dial(t.Context(), srv.URL, handshake.DialOptions{HTTP: srv.Client()})
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	defer d.Conn.Close()
	requests, conns := seen()
	if len(requests) != 2 || requests[0].ProtoMajor != 2 || requests[1].ProtoMajor != 1 || string(d.Early) != "early" {
		t.Fatalf("got %d requests in HTTP/%d and HTTP/%d, early %q; want 2 in HTTP/2 and HTTP/1, early", len(requests),
			requests[0].ProtoMajor, requests[1].ProtoMajor, d.Early)
	}
	wantBothWays(t, d.Conn, conns[0])
	wantDeadline(t, d.Conn)
}

// TestDial_proxy: through a tunnel of a proxy, also over TLS in TLS, nothing is lost, and there are deadlines.
func TestDial_proxy(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("to the proxy with TLS %t", secure), func(t *testing.T) {
			early := strings.Repeat("early", 5000)
			srv, seen := startHTTP(t, true, early)
			tunnels := make(chan string, 1)
			var copies sync.WaitGroup
			defer copies.Wait()
			proxy := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				there, err := net.Dial("tcp", r.Host)
				if err != nil {
					t.Error(err)
					return
				}
				here, brw, _ := http.NewResponseController(w).Hijack()
				io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
				tunnels <- r.Method + " " + r.Host + " " + r.Header.Get("Proxy-Authorization")
				copies.Go(func() { io.Copy(there, brw); there.Close() })
				copies.Go(func() { io.Copy(here, there); here.Close() })
			}))
			if secure {
				proxy.StartTLS()
			} else {
				proxy.Start()
			}
			defer proxy.Close()
			through, _ := url.Parse(proxy.URL)
			through.User = url.UserPassword("me", "secret")
			tr := &http.Transport{Proxy: http.ProxyURL(through), TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
			d, err := handshake.Dial(t.Context(), srv.URL, handshake.DialOptions{HTTP: &http.Client{Transport: tr}})
			if err != nil {
				t.Fatalf("Dial: %v", err)
			}
			defer d.Conn.Close()
			if got, want := <-tunnels, "CONNECT "+srv.Listener.Addr().String()+" Basic bWU6c2VjcmV0"; got != want {
				t.Errorf("the proxy got %q, want %q", got, want)
			}
			rest := make([]byte, len(early)-len(d.Early))
			if _, err := io.ReadFull(d.Conn, rest); err != nil || string(d.Early)+string(rest) != early {
				t.Errorf("%d bytes early, then %d, %v: not what came with the 101", len(d.Early), len(rest), err)
			}
			_, conns := seen()
			wantBothWays(t, d.Conn, conns[0])
			wantDeadline(t, d.Conn)
		})
	}
}

// TestDial_credentials: cookies are those of the client's Jar, also one that a 101 sets; a user in the URL becomes Basic
// Authorization, unless the header has one.
func TestDial_credentials(t *testing.T) {
	srv, seen := startHTTP(t, false, "")
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, tt := range []struct {
		header                http.Header
		cookie, authorization string
	}{
		{nil, "", "Basic bWU6c2VjcmV0"},
		{http.Header{"Authorization": {"Bearer t"}}, "session=1", "Bearer t"},
	} {
		d, err := handshake.Dial(t.Context(), "ws://me:secret@"+srv.Listener.Addr().String()+"/",
			handshake.DialOptions{HTTP: &http.Client{Jar: jar}, Header: tt.header})
		if err != nil {
			t.Fatalf("Dial: %v", err)
		}
		d.Conn.Close()
		requests, _ := seen()
		if h := requests[i].Header; h.Get("Cookie") != tt.cookie || h.Get("Authorization") != tt.authorization {
			t.Errorf("request %d: Cookie %q, Authorization %q, want %q, %q", i+1, h.Get("Cookie"), h.Get("Authorization"), tt.cookie, tt.authorization)
		}
	}
}

// TestDial_noPlace: attempts that fail give their place of Transport.MaxConnsPerHost back, however they fail, and so does
// a connection of our own, which is not the Transport's any more.
func TestDial_noPlace(t *testing.T) {
	s := inMemory(t, func(r *http.Request, _ net.Conn) string {
		switch r.URL.Path {
		case "/refused":
			return "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100_000)
		case "/accept":
			return strings.Replace(switching(r, ""), "Accept: ", "Accept: x", 1)
		case "/upgrade":
			return "HTTP/1.1 101 Switching Protocols\r\n\r\n"
		case "/subprotocol":
			return switching(r, "", "Sec-WebSocket-Protocol: x")
		}
		return switching(r, "")
	})
	s.client.Transport.(*http.Transport).MaxConnsPerHost = 1
	for range 2 {
		for path, want := range map[string]bool{"/refused": false, "/accept": false, "/upgrade": false, "/subprotocol": false, "/": true} {
			if _, err := s.dial(t, t.Context(), "ws://server.test"+path, handshake.DialOptions{}); (err == nil) != want {
				t.Errorf("%s: %v, want success %t", path, err, want)
			}
		}
	}
}
