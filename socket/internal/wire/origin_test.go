package wire_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/socket/internal/wire"
)

func TestCheckOrigin(t *testing.T) { // RFC 6455 section 10.2
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
		{name: "foreign behind user info", origin: "https://example.com@evil.com"},
		{name: "null", origin: "null"},
		{name: "empty", origin: "\n"},
		{name: "two", origin: "https://example.com\nhttps://evil.com"},
		{name: "two equal", origin: "https://example.com\nhttps://example.com"},
		{name: "no URL", origin: "https://%zz"},
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
			got := wire.CheckOrigin(r, tt.patterns)
			if (got == nil) != tt.ok || got != nil && got.Status != http.StatusForbidden {
				t.Errorf("Host %q, Origin %q, patterns %q: got %v, want allowed %t or a 403", r.Host, r.Header["Origin"], tt.patterns, got, tt.ok)
			}
		})
	}
}

func TestCheckPatterns(t *testing.T) {
	tests := []struct {
		patterns []string
		ok       bool
	}{
		{nil, true},
		{[]string{"*", "*.example.com", "https://[a-c].test"}, true},
		{[]string{"a.test", "[a-"}, false},
		{[]string{""}, false},
	}
	for _, tt := range tests {
		if err := wire.CheckPatterns(tt.patterns); (err == nil) != tt.ok {
			t.Errorf("CheckPatterns(%q) = %v, want ok %t", tt.patterns, err, tt.ok)
		}
	}
}
