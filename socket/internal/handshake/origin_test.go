package handshake_test

import (
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/socket/internal/handshake"
)

func TestOrigins_Check(t *testing.T) { // RFC 6455 section 10.2
	tests := []struct {
		name, host, origin string
		patterns           []string
		ok                 bool
	}{
		{name: "no origin", ok: true},
		{name: "same host", origin: "https://example.com", ok: true},
		{name: "same host, other case", host: "Example.COM", origin: "http://exAmple.com", ok: true},
		{name: "same host and port", host: "example.com:8443", origin: "https://example.com:8443", ok: true},
		{name: "other port", host: "example.com:8443", origin: "https://example.com"},
		{name: "foreign", origin: "https://evil.com"},
		{name: "foreign, our name inside", origin: "https://example.com.evil.com"},
		{name: "foreign after user info", origin: "https://example.com@evil.com"},
		{name: "null", origin: "null"},
		{name: "empty", origin: "\n"},
		{name: "two", origin: "https://example.com\nhttps://evil.com"},
		{name: "two equal", origin: "https://example.com\nhttps://example.com"},
		{name: "no URL", origin: "https://%zz"},
		{name: "any: not even an origin", origin: "what ever", patterns: []string{"*"}, ok: true},
		{name: "any: no origin", origin: "null", patterns: []string{"*"}, ok: true},
		{name: "any, but two", origin: "null\nnull", patterns: []string{"*"}},
		{name: "null is no host", host: "null", origin: "null"},
		{name: "null does not name a host", origin: "https://null", patterns: []string{"null"}},
		{name: "a scheme of an app", origin: "capacitor://localhost", patterns: []string{"capacitor://localhost"}, ok: true},
		{name: "a host is that of a web page", origin: "capacitor://localhost", patterns: []string{"localhost"}},
		{name: "a file", origin: "file://", patterns: []string{"file://"}, ok: true},
		{name: "a file with a port", origin: "file://:1", patterns: []string{"file://*"}},
		{name: "any scheme", origin: "https://app.test", patterns: []string{"*://app.test"}, ok: true},
		{name: "any port of a scheme", origin: "https://app.test:8443", patterns: []string{"https://app.test:*"}, ok: true},
		{name: "any port is also the scheme's", origin: "https://app.test", patterns: []string{"app.test:*"}, ok: true},
		{name: "any host of a scheme, on any port", origin: "https://app.test:8443", patterns: []string{"https://*"}, ok: true},
		{name: "classes", origin: "https://b.test:4001", patterns: []string{"https://[a-c].test:400[0-9]"}, ok: true},
		{name: "the scheme's port in the pattern of a host", origin: "https://app.test", patterns: []string{"app.test:443"}, ok: true},
		{name: "the other scheme's port", origin: "https://app.test", patterns: []string{"app.test:80"}},
		{name: "IPv6 in another spelling", host: "[2001:DB8:0::1]:4000", origin: "http://[2001:db8::1]:4000", ok: true},
		{name: "IPv6 pattern in another spelling", origin: "http://[2001:db8::1]", patterns: []string{"[2001:DB8:0::1]:80"}, ok: true},
		{name: "IPv6 pattern with a star", origin: "http://[2001:db8::1]:4000", patterns: []string{"[2001:db8:*]:*"}, ok: true},
		{name: "IPv6 escaped by hand", origin: "http://[::1]:4000", patterns: []string{`\[::1]:4000`}, ok: true},
		{name: "IPv6 with a zone", host: "[fe80::1%25eth0]", origin: "http://[fe80::1%25eth0]"},
		{name: "a bracket that is not closed", host: "[::1", origin: "http://[::1"},
		{name: "a port that is none", host: "example.com:0443", origin: "https://example.com:0443"},
		{name: "a port too high", host: "example.com:65536", origin: "https://example.com:65536"},
		{name: "no scheme at all", origin: "example.com"},
		{name: "an escape", host: "a%2eb", origin: "https://a%2eb"},
		{name: "not ASCII", host: "b\u00fccher.test", origin: "https://b\u00fccher.test"},
		{name: "a Host that is none", host: "user@example.com", origin: "https://user@example.com"},
		{name: "listed", origin: "https://app.test", patterns: []string{"a.test", "app.test"}, ok: true},
		{name: "listed, other case", origin: "https://App.Test", patterns: []string{"aPP.tEST"}, ok: true},
		{name: "subdomain", origin: "https://a.app.test", patterns: []string{"*.app.test"}, ok: true},
		{name: "subdomain pattern, domain itself", origin: "https://app.test", patterns: []string{"*.app.test"}},
		{name: "with port", origin: "https://app.test:3000", patterns: []string{"app.test:*"}, ok: true},
		{name: "port not in the pattern", origin: "https://app.test:3000", patterns: []string{"app.test"}},
		{name: "scheme", origin: "https://app.test", patterns: []string{"https://app.test"}, ok: true},
		{name: "other scheme", origin: "http://app.test", patterns: []string{"https://app.test"}},
		{name: "any", origin: "https://evil.com", patterns: []string{"*"}, ok: true},
		{name: "two mounts do not share: other list", origin: "https://app.test", patterns: []string{"b.test"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := request()
			if tt.host != "" {
				r.Host = tt.host
			}
			if tt.origin != "" {
				r.Header["Origin"] = strings.Split(strings.TrimSuffix(tt.origin, "\n"), "\n")
			}
			origins, err := handshake.NewOrigins(tt.patterns)
			if err != nil {
				t.Fatal(err)
			}
			got := origins.Check(r)
			if (got == nil) != tt.ok || got != nil && got.Status != http.StatusForbidden {
				t.Errorf("Host %q, Origin %q, patterns %q: got %v, want allowed %t or a 403", r.Host, r.Header["Origin"], tt.patterns, got, tt.ok)
			}
		})
	}
}

func TestNewOrigins(t *testing.T) {
	for _, pattern := range []string{
		"*", "null", "*.example.com", "https://[a-c].test", "localhost:*", "*:3000", "[::1]", "[::1]:4000", "https://[2001:db8::1]:8443",
		"http*://localhost:*", "file://", "capacitor://localhost", "EXAMPLE.com", "a_b.test", "[0-9].test:8080",
	} {
		if _, err := handshake.NewOrigins([]string{"a.test", pattern}); err != nil {
			t.Errorf("NewOrigins(%q) = %v, want no error", pattern, err)
		}
	}
	for pattern, want := range map[string]string{ // what it must be told
		"":                                "empty",
		"[a-":                             "syntax",
		"https://a.example/":              "path",
		"https://a.example/chat":          "path",
		"https://a.example:8443/":         "path",
		"https://[::1]/":                  "path",
		"a.example/":                      "path",
		" a.example":                      "space",
		"a.example\n":                     "space",
		"https://a.example, b.example":    "comma",
		"https://a.example,https://b.com": "comma",
		"wss://a.example":                 "scheme of the page",
		"ws://a.example":                  "scheme of the page",
		"://a.example":                    "before ://",
		"ht tp://a.example":               "space",
		"ht_tp://a.example":               "scheme",
		"https://":                        "no host",
		"https://:443":                    "no host",
		":443":                            "no host",
		"https:a.example":                 "not a port",
		"a.example:":                      "not a port",
		"a.example:https":                 "not a port",
		"a.example:0443":                  "no such port",
		"a.example:65536":                 "no such port",
		"::1":                             "brackets",
		"http://2001:db8::1":              "brackets",
		"[:::1]:4000":                     "IPv6",
		"[::1]4000":                       "not a port",
		"https://b\u00fccher.example":     "xn--",
		"https://user@a.example":          "characters",
		"https://a.example#top":           "characters",
		"a%2eb.example":                   "characters",
	} {
		if _, err := handshake.NewOrigins([]string{"a.test", pattern}); err == nil ||
			!strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), strconv.Quote(pattern)) {
			t.Errorf("NewOrigins(%q): got error %v, want one that quotes it and says %q", pattern, err, want)
		}
	}
}

// FuzzOrigins_Check: whatever is let in, net/url reads as an origin of the host that it is taken for.
func FuzzOrigins_Check(f *testing.F) {
	for _, seed := range [][2]string{
		{"https://example.com", "example.com:443"}, {"http://[::1]:4000", "[::1]:4000"}, {"https://evil.example#.a.example", "x"},
		{"https://a.example@evil.example", "a.example"}, {"https://x.a.example:8443", "y"}, {"//h", "h"}, {"null", "null"},
		{"javascript://h", "h"}, {"http://h/p", "h"}, {"https://evil.example/.a.example", "x"},
	} {
		f.Add(seed[0], seed[1])
	}
	own, err := handshake.NewOrigins(nil)
	if err != nil {
		f.Fatal(err)
	}
	below, err := handshake.NewOrigins([]string{"*.a.example"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, from, host string) {
		r := request()
		r.Host = host
		r.Header["Origin"] = []string{from}
		sameHost, listed := own.Check(r) == nil, below.Check(r) == nil
		if !sameHost && !listed {
			return
		}
		u, err := url.Parse(from)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Host == "" {
			t.Fatalf("Origin %q is let in for the Host %q; net/url reads it as %+v, %v", from, host, u, err)
		}
		if h := (&url.URL{Host: host}).Hostname(); sameHost && !strings.EqualFold(u.Hostname(), h) && !sameAddress(u.Hostname(), h) {
			t.Fatalf("Origin %q has the host %q and is let in for the Host %q", from, u.Hostname(), host)
		}
		if !sameHost && !strings.HasSuffix(strings.ToLower(u.Hostname()), ".a.example") {
			t.Fatalf("Origin %q has the host %q and is let in for *.a.example", from, u.Hostname())
		}
	})
}

func sameAddress(a, b string) bool {
	x, err1 := netip.ParseAddr(a)
	y, err2 := netip.ParseAddr(b)
	return err1 == nil && err2 == nil && x == y
}
