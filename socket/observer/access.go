package observer

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// Access is what a request may do.
type Access uint8

const (
	None Access = iota // nothing: 403
	View               // look at everything, tap
	Act                // and kick, send, drain
)

// String is the access in one word.
func (a Access) String() string {
	if int(a) < len(accessNames) {
		return accessNames[a]
	}
	return accessNames[None]
}

var accessNames = [...]string{"none", "view", "act"}

// Loopback tells whether r comes from this machine and is meant for it: its remote address is a loopback address, so is the one at
// which it has come (where http.Server says that), and its Host is localhost or a loopback address, too. So a name that a stranger
// has pointed at 127.0.0.1 (DNS rebinding) is refused.
//
// A request that a proxy on this machine has passed on is refused as far as it can be told: by the fields that proxies add, and by
// HTTP/1.0. One that adds nothing, speaks HTTP/1.1 and puts a Host of its own cannot be told, and nginx since 1.29.7 is like that when
// nothing but proxy_pass is set; httputil.ReverseProxy with a Rewrite is, too. Whoever can reach such a proxy is "this machine" then.
// So mount the Observer on a listener that no proxy knows, or set Config.Authorize.
func Loopback(r *http.Request) bool {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !from.Addr().Unmap().IsLoopback() || !r.ProtoAtLeast(1, 1) {
		return false
	}
	if at, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok && !at.IP.IsLoopback() {
		return false
	}
	for field := range r.Header {
		if ofProxy[field] || strings.HasPrefix(field, "X-Forwarded-") {
			return false
		}
	}
	return loopbackHost(r.Host)
}

// ofProxy are fields that proxies add, and all of X-Forwarded-.
var ofProxy = map[string]bool{
	"Forwarded": true, "Via": true, "X-Real-Ip": true, "X-Client-Ip": true, "X-Original-Forwarded-For": true, "True-Client-Ip": true,
	"Cf-Connecting-Ip": true,
}

// loopbackHost tells whether a Host, with or without a port, means this machine.
func loopbackHost(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	if strings.EqualFold(name, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(name, "["), "]"))
	return err == nil && addr.Unmap().IsLoopback()
}

// visitor is who has made a request.
type visitor struct {
	access Access
	who    string
	addr   string
}

// admit says who has made a request, and what it may do.
func (o *Observer) admit(r *http.Request) visitor {
	v := visitor{addr: strings.Clone(text(r.RemoteAddr, mostName))} // not in the memory of the request
	if o.cfg.Authorize != nil {
		var who string
		v.access, who = o.cfg.Authorize(r)
		v.who = strings.Clone(text(who, mostName))
		if v.access > Act {
			v.access = None
		}
		return v
	}
	if Loopback(r) {
		v.access = View
		o.admitted.Do(func() {
			o.log.Info("the observer answers requests of this machine, and a proxy on this machine makes that everybody: keep it on a "+
				"listener that no proxy knows, or set observer.Config.Authorize", slog.String("host", text(r.Host, mostName)))
		})
		return v
	}
	o.refused.Do(func() { // once: strangers decide how often it happens
		o.log.Warn("the observer is refused to a request that is not from this machine for this machine: "+
			"set observer.Config.Authorize to let others look",
			slog.String("remote_addr", v.addr), slog.String("host", text(r.Host, mostName)))
	})
	return v
}

// headers are those of every answer. The page is its own files and talks to its own origin; nobody may frame, embed, keep or
// learn the address of what is shown.
func headers(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// foreign tells whether a page of another origin has made a request that reads. It could not read the answer, but have us
// work for it. (What writes is http.CrossOriginProtection's.) Programs that are no browsers send neither field.
func foreign(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
	default:
		return true
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	u, err := url.Parse(origin)
	return err != nil || !strings.EqualFold(u.Host, r.Host)
}
