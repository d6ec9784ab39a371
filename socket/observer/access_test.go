package observer_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/observer"
)

// TestAccess_byDefault: without Authorize this machine may look, nobody else, and nobody may act.
func TestAccess_byDefault(t *testing.T) {
	for name, tt := range map[string]struct {
		addr, host string
		change     func(*http.Request)
		want       bool
	}{
		"this machine":                        {"127.0.0.1:4711", "localhost:9464", nil, true},
		"this machine, by address":            {"127.0.0.1:4711", "127.0.0.1:9464", nil, true},
		"this machine, no port":               {"127.0.0.1:4711", "localhost", nil, true},
		"this machine, another of its own":    {"127.8.9.10:4711", "127.0.0.2", nil, true},
		"this machine over IPv6":              {"[::1]:4711", "[::1]:9464", nil, true},
		"this machine over IPv6, no port":     {"[::1]:4711", "[::1]", nil, true},
		"this machine as IPv4 in IPv6":        {"[::ffff:127.0.0.1]:4711", "LOCALHOST", nil, true},
		"another machine":                     {"192.0.2.1:4711", "localhost:9464", nil, false},
		"another machine over IPv6":           {"[2001:db8::1]:4711", "[::1]:9464", nil, false},
		"a name that was pointed here":        {"127.0.0.1:4711", "rebound.example:9464", nil, false},
		"a name that begins well":             {"127.0.0.1:4711", "localhost.example", nil, false},
		"a name that ends well":               {"127.0.0.1:4711", "x.localhost", nil, false},
		"an address that is not ours":         {"127.0.0.1:4711", "192.0.2.1:9464", nil, false},
		"an address that begins well":         {"127.0.0.1:4711", "127.0.0.1.example", nil, false},
		"no Host":                             {"127.0.0.1:4711", "", nil, false},
		"a Unix socket":                       {"@", "localhost", nil, false},
		"no address":                          {"", "localhost", nil, false},
		"passed on by a proxy":                {"127.0.0.1:4711", "localhost", field("X-Forwarded-For", "192.0.2.1"), false},
		"passed on by a proxy, Forwarded":     {"127.0.0.1:4711", "localhost", field("Forwarded", "for=192.0.2.1"), false},
		"passed on by a proxy, empty":         {"127.0.0.1:4711", "localhost", field("X-Forwarded-For", ""), false},
		"passed on by a proxy, X-Real-IP":     {"127.0.0.1:4711", "localhost", field("X-Real-IP", "192.0.2.1"), false},
		"passed on by a proxy, Via":           {"127.0.0.1:4711", "localhost", field("Via", "1.1 x"), false},
		"passed on by one that speaks HTTP/1": {"127.0.0.1:4711", "127.0.0.1", func(r *http.Request) { r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.0", 1, 0 }, false},
		"passed on by a proxy, its port":      {"127.0.0.1:4711", "localhost", field("X-Forwarded-Port", "443"), false},
		"passed on by a proxy, its name":      {"127.0.0.1:4711", "localhost", field("X-Forwarded-Server", "edge"), false},
		"passed on by a proxy, a new field":   {"127.0.0.1:4711", "localhost", field("X-Forwarded-Anything", "1"), false},
		"passed on by a proxy, X-Client-IP":   {"127.0.0.1:4711", "localhost", field("X-Client-IP", "192.0.2.1"), false},
		"passed on by a proxy, original":      {"127.0.0.1:4711", "localhost", field("X-Original-Forwarded-For", "192.0.2.1"), false},
		"passed on by a network, True-Client": {"127.0.0.1:4711", "localhost", field("True-Client-IP", "192.0.2.1"), false},
		"passed on by a network, Cloudflare":  {"127.0.0.1:4711", "localhost", field("CF-Connecting-IP", "192.0.2.1"), false},
		"at an address that others reach":     {"127.0.0.1:4711", "localhost", arrivedAt("192.0.2.7:9464"), false},
		"at our own address":                  {"127.0.0.1:4711", "localhost", arrivedAt("127.0.0.1:9464"), true},
		"at our own address over IPv6":        {"[::1]:4711", "localhost", arrivedAt("[::1]:9464"), true},
		// nginx since 1.29.7 with nothing but a proxy_pass: it speaks HTTP/1.1, its Host is what stands in proxy_pass, and it adds no
		// field. Nothing tells it from a program of this machine: that is the limit, and the reason for a listener of its own.
		"passed on by nginx 1.30, nothing set: cannot be told": {"127.0.0.1:4711", "127.0.0.1:4000", arrivedAt("127.0.0.1:4000"), true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			from := func(req *http.Request) {
				req.RemoteAddr, req.Host = tt.addr, tt.host
				if tt.change != nil {
					tt.change(req)
				}
			}
			for _, path := range []string{"/", "/observer.js", "/api/v1/me", "/api/v1/sockets", "/api/v1/live", "/nothing"} {
				got := r.ask("GET", path, "", from).StatusCode != 403
				if got != tt.want {
					t.Errorf("GET %s from %q, Host %q: let in: %v, want %v", path, tt.addr, tt.host, got, tt.want)
				}
			}
			r.wantError(403, "forbidden", r.ask("POST", "/api/v1/drain", "{}", from))
			hints := r.logs.lines("observer.Config.Authorize to let others look")
			if want := map[bool]int{true: 0, false: 1}[tt.want]; len(hints) != want {
				t.Errorf("lines in the log that say what to set: got %d, want %d: %v", len(hints), want, hints)
			}
			warnings := r.logs.lines("a proxy on this machine makes that everybody")
			if want := map[bool]int{true: 1, false: 0}[tt.want]; len(warnings) != want {
				t.Errorf("lines in the log that say who is let in: got %d, want %d: %v", len(warnings), want, warnings)
			}
		})
	}
}

// arrivedAt is what http.Server says of the address at which a request has come.
func arrivedAt(addr string) func(*http.Request) {
	return func(r *http.Request) {
		local := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr))
		*r = *r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local))
	}
}

func field(key, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(key, value) }
}

// TestAccess_foreignPages: a page of another origin can neither have us look nor act nor connect, whatever its user may do.
func TestAccess_foreignPages(t *testing.T) {
	everything := func(cfg *observer.Config, _ *socket.Config) {
		cfg.Authorize = func(*http.Request) (observer.Access, string) { return observer.Act, "ann" }
	}
	for name, change := range map[string]func(*http.Request){
		"Origin":                 field("Origin", "https://evil.example"),
		"Origin with our name":   field("Origin", "http://localhost.evil.example"),
		"Origin of another port": field("Origin", "http://localhost:1234"),
		"Origin null":            field("Origin", "null"),
		"Origin is nonsense":     field("Origin", "%%%"),
		"Sec-Fetch-Site cross":   field("Sec-Fetch-Site", "cross-site"),
		"Sec-Fetch-Site same":    field("Sec-Fetch-Site", "same-site"),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, everything)
			for _, path := range []string{"me", "overview", "sockets", "live"} {
				r.wantError(403, "cross_origin", r.ask("GET", "/api/v1/"+path, "", change))
			}
			for _, path := range []string{"drain", "process/1.0000000000000000@local/kick", "process/1.0000000000000000@local/send"} {
				r.wantError(403, "cross_origin", r.ask("POST", "/api/v1/"+path, `{"text":"x"}`, change))
			}
			if c, resp := r.live(change); c != nil || resp.StatusCode != 403 {
				t.Errorf("live connection: got %s, want 403", resp.Status)
			}
			if r.srv.Ready() != nil {
				t.Errorf("the server: got %v, want it not to be drained", r.srv.Ready())
			}
		})
	}
	t.Run("our own", func(t *testing.T) {
		r := newRig(t, everything)
		own := func(req *http.Request) {
			req.Header.Set("Origin", "http://localhost:9464")
			req.Header.Set("Sec-Fetch-Site", "same-origin")
		}
		r.want(200, r.ask("GET", "/api/v1/me", "", own))
		r.wantError(404, "gone", r.ask("POST", "/api/v1/process/1.0000000000000000@local/kick", "{}", own))
		c, resp := r.live(own)
		if c == nil {
			t.Fatalf("live connection: got %s, want 101", resp.Status)
		}
	})
	t.Run("a form", func(t *testing.T) {
		r := newRig(t, everything)
		for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"} {
			r.wantError(415, "bad_request", r.ask("POST", "/api/v1/drain", `{"server":""}`, field("Content-Type", kind)))
		}
		if r.srv.Ready() != nil {
			t.Errorf("the server: got %v, want it not to be drained", r.srv.Ready())
		}
	})
}

// TestAccess_authorize: Authorize decides alone.
func TestAccess_authorize(t *testing.T) {
	for _, tt := range []struct {
		access    observer.Access
		get, post int
	}{{observer.None, 403, 403}, {observer.View, 200, 403}, {observer.Act, 200, 404}, {observer.Act + 1, 403, 403}} {
		t.Run(tt.access.String(), func(t *testing.T) {
			r := newRig(t, func(cfg *observer.Config, _ *socket.Config) {
				cfg.Authorize = func(*http.Request) (observer.Access, string) { return tt.access, "ann" }
			})
			far := func(req *http.Request) { req.RemoteAddr, req.Host = "192.0.2.1:4711", "ops.example" }
			if got := r.ask("GET", "/api/v1/me", "", far).StatusCode; got != tt.get {
				t.Errorf("GET with access %d: got %d, want %d", tt.access, got, tt.get)
			}
			if got := r.ask("POST", "/api/v1/process/1.0000000000000000@local/kick", "", far).StatusCode; got != tt.post {
				t.Errorf("POST with access %d: got %d, want %d", tt.access, got, tt.post)
			}
			if c, resp := r.live(far); (c != nil) != (tt.get == 200) {
				t.Errorf("live connection with access %d: got %s", tt.access, resp.Status)
			}
		})
	}
}

func TestHeaders(t *testing.T) {
	r := newRig(t, nil)
	for _, path := range []string{"/", "/index.html", "/api/v1/me", "/api/v1/nothing", "/nothing", "/../observer.go", "/%2e%2e/observer.go"} {
		for _, change := range []func(*http.Request){nil, func(req *http.Request) { req.RemoteAddr = "192.0.2.1:1" }} {
			resp := r.ask("GET", path, "", change)
			csp := resp.Header.Get("Content-Security-Policy")
			for _, part := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
				if !strings.Contains(csp, part) {
					t.Errorf("GET %s: Content-Security-Policy is %q; want %q in it", path, csp, part)
				}
			}
			if strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") {
				t.Errorf("GET %s: Content-Security-Policy is %q", path, csp)
			}
			for key, want := range map[string]string{
				"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
				"Cross-Origin-Resource-Policy": "same-origin", "X-Frame-Options": "DENY",
			} {
				if got := resp.Header.Get(key); got != want {
					t.Errorf("GET %s: %s: got %q, want %q", path, key, got, want)
				}
			}
			if resp.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("GET %s: allows other origins", path)
			}
		}
	}
}

func TestPaths(t *testing.T) {
	r := newRig(t, nil)
	for path, want := range map[string]int{
		"/": 200, "/index.html": 200, "/nothing.js": 404, "/page/index.html": 404, "/..%2fobserver.go": 404, "/observer.go": 404, "/api/v1": 404,
		"/api/v1/": 404, "/api/v2/me": 404, "/api/v1/me": 200, "/api/v1/me/x": 404, "/api/v1/process/": 400, "/api/v1/process/a/b": 404,
		"/api/v1/process/%zz": 400,
	} {
		req := httptest.NewRequest("GET", "/", nil)
		req.URL.Path, req.URL.RawPath = strings.ReplaceAll(path, "%2f", "/"), path
		req.RemoteAddr, req.Host = "127.0.0.1:1", "localhost"
		w := httptest.NewRecorder()
		r.obs.ServeHTTP(w, req)
		if w.Code != want {
			t.Errorf("GET %s: got %d, want %d: %s", path, w.Code, want, w.Body)
		}
	}
	for _, method := range []string{"PUT", "DELETE", "OPTIONS", "PATCH"} {
		r.wantError(405, "method_not_allowed", r.ask(method, "/api/v1/me", "", nil))
	}
	t.Run("mounted", func(t *testing.T) {
		mux := http.NewServeMux()
		mux.Handle("/ops/observer/", http.StripPrefix("/ops/observer", r.obs))
		for path, want := range map[string]int{"/ops/observer": 307, "/ops/observer/": 200, "/ops/observer/api/v1/me": 200} {
			req := httptest.NewRequest("GET", path, nil)
			req.RemoteAddr, req.Host = "127.0.0.1:1", "localhost"
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, req)
			if w.Code != want {
				t.Errorf("GET %s: got %d, want %d", path, w.Code, want)
			}
		}
	})
}
