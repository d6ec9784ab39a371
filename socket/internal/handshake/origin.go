package handshake

import (
	"fmt"
	"net/http"
	"net/netip"
	"path"
	"strconv"
	"strings"
)

// Origins guards against pages of other sites that open a WebSocket with the user's cookies (RFC 6455 section 10.2). It
// never changes, and may be used from any goroutine. The zero value lets in the request's own host.
type Origins struct {
	any   bool     // "*"
	null  bool     // "null"
	full  []string // of scheme and host
	hosts []string // of the host alone
}

// NewOrigins returns what the patterns let in besides the request's own host.
// They are those of [path.Match], in any case:
//
//	scheme://host:port  an origin as a browser spells it
//	host:port           the same over http or https
//	null                a page without an origin, as in a sandbox
//	*                   everything
//
// A port that is the scheme's own may be given or left out. An IPv6 address stands in brackets; other brackets are
// classes of characters. An error names the first pattern that could never match, and why.
func NewOrigins(patterns []string) (*Origins, error) {
	o := new(Origins)
	for _, pattern := range patterns {
		if err := o.add(pattern); err != nil {
			return nil, fmt.Errorf("handshake: origin pattern %q can never match: %w", pattern, err)
		}
	}
	return o, nil
}

// Check returns nil when the request has no Origin, as from a client that is no browser, when its origin has the host
// and port of the request, or when a pattern matches; else a 403.
func (o *Origins) Check(r *http.Request) *Refusal {
	lines := r.Header["Origin"]
	switch len(lines) {
	case 0:
		return nil
	case 1:
	default:
		return refuse(http.StatusForbidden, nil, "'Origin' header given %d times (RFC 6454 section 7.3)", len(lines))
	}
	if o.any || o.null && lines[0] == "null" {
		return nil
	}
	from, ok := parseOrigin(lines[0])
	if !ok && lines[0] != "null" {
		return refuse(http.StatusForbidden, nil, "'Origin' header %s is not an origin (RFC 6454 section 7)", quote(lines[0]))
	}
	if ok && (from.own(r.Host) || o.match(from)) {
		return nil
	}
	refusal := refuse(http.StatusForbidden, nil, "origin %s is neither that of the host %s nor matched by Config.OriginPatterns",
		quote(lines[0]), quote(r.Host))
	refusal.Hint = "if the page is yours, add " + quote(lines[0]) + " to Config.OriginPatterns;" +
		" if a proxy has changed the Host, have it pass on the one it got, with its port"
	return refusal
}

func (o *Origins) match(from origin) bool {
	for _, pattern := range o.full {
		if from.match(pattern, from.scheme+"://"+from.host) {
			return true
		}
	}
	if from.standard() == "" {
		return false
	}
	for _, pattern := range o.hosts {
		if from.match(pattern, from.host) {
			return true
		}
	}
	return false
}

// origin is a parsed origin, in lower case.
type origin struct {
	scheme string
	host   string // IPv6 in brackets
	port   string // "": that of the scheme
}

// parseOrigin reads an origin as RFC 6454 section 6.2 spells it: a scheme, a
// host, perhaps a port, and nothing else. So neither user information nor a path
// can make a foreign host look like ours.
func parseOrigin(s string) (o origin, ok bool) {
	scheme, rest, found := strings.Cut(strings.ToLower(s), "://")
	if !found || !isScheme(scheme) {
		return origin{}, false
	}
	o.scheme = scheme
	if o.host, o.port, ok = splitHost(rest); !ok {
		return origin{}, false
	}
	if o.port == o.standard() {
		o.port = ""
	}
	return o, o.host != "" || o.standard() == "" && o.port == "" // as in file://
}

// standard is the port that the scheme stands for; "": the scheme is not HTTP's.
func (o origin) standard() string {
	switch o.scheme {
	case "http":
		return "80"
	case "https":
		return "443"
	}
	return ""
}

// own tells whether o is the host that a request was sent to. The request does
// not say whether it came over TLS to a proxy, so a host without a port has the
// port that o's scheme stands for.
func (o origin) own(host string) bool {
	if o.standard() == "" {
		return false
	}
	h, port, ok := splitHost(strings.ToLower(host))
	if port == o.standard() {
		port = ""
	}
	return ok && h == o.host && port == o.port
}

// match compares a pattern with o, once without and once with the scheme's own port.
func (o origin) match(pattern, text string) bool {
	port := o.port
	if port != "" {
		text += ":" + port
	} else if port = o.standard(); port != "" && matches(pattern, text+":"+port) {
		return true
	}
	return matches(pattern, text)
}

func matches(pattern, text string) bool {
	ok, err := path.Match(pattern, text)
	return ok && err == nil
}

// splitHost splits a host in lower case from its port, and checks both. The spelling of an IPv6 address does not
// matter.
func splitHost(s string) (host, port string, ok bool) {
	host = s
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		if host, port = s[:i], s[i+1:]; port != "" && !isPort(port) {
			return "", "", false
		}
	}
	if address, v6 := strings.CutPrefix(host, "["); v6 {
		host, ok = canonical6(strings.TrimSuffix(address, "]"))
		return host, port, ok && strings.HasSuffix(address, "]")
	}
	return host, port, isHost(host)
}

// canonical6 is an IPv6 address as browsers spell it, in brackets.
func canonical6(address string) (string, bool) {
	ip, err := netip.ParseAddr(address)
	if err != nil || !ip.Is6() || ip.Zone() != "" {
		return "", false
	}
	return "[" + ip.String() + "]", true
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && strconv.FormatUint(n, 10) == s
}

// isScheme checks a scheme in lower case (RFC 3986 section 3.1).
func isScheme(s string) bool {
	return s != "" && s[0] >= 'a' && s[0] <= 'z' && only(s, "+-.")
}

// isHost tells whether s has the characters of a host, in lower case: those of
// RFC 3986 section 3.2.2, without the escapes that no browser leaves in one.
func isHost(s string) bool { return only(s, hostMarks) }

const hostMarks = "-._~!$&'()*+,;="

// only tells whether s has letters in lower case, digits, and these marks alone.
func only(s, marks string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && strings.IndexByte(marks, c) < 0 {
			return false
		}
	}
	return true
}
