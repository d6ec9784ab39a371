package wire

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// CheckOrigin guards against pages of other sites that open a WebSocket with
// the user's cookies (RFC 6455 section 10.2). It returns nil when the request
// has no Origin, as from a client that is no browser, when the origin's host is
// the request's, in any case, or when a pattern matches; else a 403.
//
// Patterns are those of coder/websocket: matched by [path.Match] in lower case
// against the origin's host with its port, or against scheme://host when the
// pattern contains "://".
func CheckOrigin(r *http.Request, patterns []string) *Refusal {
	origins := r.Header.Values("Origin")
	switch len(origins) {
	case 0:
		return nil
	case 1:
	default:
		return refuse(http.StatusForbidden, nil, "'Origin' header given %d times (RFC 6454 section 7.3)", len(origins))
	}
	origin := origins[0]
	u, err := url.Parse(origin)
	if err != nil {
		return refuse(http.StatusForbidden, nil, "origin %q is not a URL", origin)
	}
	if u.Host != "" && strings.EqualFold(u.Host, r.Host) {
		return nil
	}
	for _, pattern := range patterns {
		target := u.Host
		if strings.Contains(pattern, "://") {
			target = u.Scheme + "://" + u.Host
		}
		if ok, err := path.Match(strings.ToLower(pattern), strings.ToLower(target)); ok && err == nil {
			return nil
		}
	}
	return refuse(http.StatusForbidden, nil,
		"origin %q is neither the host %q nor matched by Config.OriginPatterns", origin, r.Host)
}

// CheckPatterns returns an error that names the first pattern that CheckOrigin
// could never match: one that [path.Match] cannot read, or an empty one.
func CheckPatterns(patterns []string) error {
	for _, pattern := range patterns {
		if pattern == "" {
			return fmt.Errorf("wire: an origin pattern is empty")
		}
		if _, err := path.Match(strings.ToLower(pattern), ""); err != nil {
			return fmt.Errorf("wire: origin pattern %q: %w", pattern, err)
		}
	}
	return nil
}
