package handshake

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Refusal is why a request does not become a WebSocket, and what its client
// should be told. Nothing was written to the client when it is returned.
type Refusal struct {
	Status int         // of the HTTP response
	Header http.Header // to be set in the response; may be nil
	Err    error       // names what was wrong; for the log, and fit for the client
	Hint   string      // what an operator can do about it, for the log; "": only the client can do something
}

func (r *Refusal) Error() string { return r.Err.Error() }

// Unwrap returns Err.
func (r *Refusal) Unwrap() error { return r.Err }

func refuse(status int, header http.Header, format string, args ...any) *Refusal {
	return &Refusal{Status: status, Header: header, Err: fmt.Errorf(format, args...)}
}

// CheckRequest holds an opening handshake to RFC 6455 section 4.2.1 and returns
// nil, or what it broke:
//
//	505  HTTP/2 and later
//	405  the method is not GET
//	400  a body; no Host; no Sec-WebSocket-Key, several, or one that is not 16 bytes of base64
//	426  HTTP/1.0, Connection without "upgrade", Upgrade without "websocket",
//	     Sec-WebSocket-Version that is not one line equal to 13
func CheckRequest(r *http.Request) *Refusal {
	if refusal := checkLine(r); refusal != nil {
		return refusal
	}
	if r.ContentLength != 0 || len(r.TransferEncoding) > 0 {
		// RFC 6455 section 4.1 knows no body. Its bytes would be read as frames, and a proxy would not agree with us on
		// where the request ends.
		return refuse(http.StatusBadRequest, nil, "a request with a body cannot become a WebSocket")
	}
	if r.Host == "" {
		return refuse(http.StatusBadRequest, nil, "'Host' header is absent (RFC 6455 section 4.2.1)")
	}
	if !hasToken(r.Header, "Connection", "upgrade") {
		return upgradeRequired(hintHeaders,
			"'Connection' header must contain 'upgrade', got %s (RFC 6455 section 4.2.1)", quoteAll(r.Header["Connection"]))
	}
	if !hasToken(r.Header, "Upgrade", "websocket") {
		return upgradeRequired(hintHeaders,
			"'Upgrade' header must contain 'websocket', got %s (RFC 6455 section 4.2.1)", quoteAll(r.Header["Upgrade"]))
	}
	if v := r.Header["Sec-Websocket-Version"]; len(v) != 1 || v[0] != "13" {
		refusal := upgradeRequired("the client has to speak version 13, that of RFC 6455",
			"'Sec-WebSocket-Version' header must equal '13', got %s (RFC 6455 section 4.4)", quoteAll(v))
		refusal.Header.Set("Sec-WebSocket-Version", "13") // RFC 6455 section 4.4: the versions that are spoken
		return refusal
	}
	return checkKey(r.Header["Sec-Websocket-Key"])
}

const hintHeaders = "it is a plain HTTP request, or a proxy does not pass on the headers Connection and Upgrade"

// checkLine checks the request line.
func checkLine(r *http.Request) *Refusal {
	switch {
	case r.ProtoMajor != 1:
		refusal := refuse(http.StatusHTTPVersionNotSupported, nil,
			"HTTP version %s unsupported: a WebSocket is opened with HTTP/1.1 only (RFC 6455 section 4.1)", r.Proto)
		refusal.Hint = "have the proxy speak HTTP/1.1 to this server"
		if AsksOverHTTP2(r) {
			refusal.Hint = "unset http2xconnect in GODEBUG; browsers do not fall back to HTTP/1.1 while it is set"
		}
		return refusal
	case r.ProtoMinor < 1: // RFC 9110 section 15.6.6: 505 is about the major version
		return upgradeRequired("have the proxy speak HTTP/1.1 to this server; nginx: proxy_http_version 1.1",
			"HTTP version %s unsupported: a WebSocket is opened with HTTP/1.1 (RFC 6455 section 4.1)", r.Proto)
	case r.Method != http.MethodGet:
		refusal := refuse(http.StatusMethodNotAllowed, http.Header{"Allow": {http.MethodGet}},
			"HTTP method %s unsupported: a WebSocket is opened with GET (RFC 6455 section 4.1)", quoteOdd(r.Method))
		refusal.Hint = "the client has to use GET"
		return refusal
	}
	return nil
}

// AsksOverHTTP2 tells whether r opens a WebSocket over HTTP/2 (RFC 8441). Browsers do that when net/http says that it
// can, as it does with GODEBUG=http2xconnect=1.
func AsksOverHTTP2(r *http.Request) bool {
	return r.ProtoMajor == 2 && r.Method == http.MethodConnect && len(r.Header[":protocol"]) > 0
}

func checkKey(keys []string) *Refusal {
	switch len(keys) {
	case 0:
		return refuse(http.StatusBadRequest, nil, "'Sec-WebSocket-Key' header is absent (RFC 6455 section 4.2.1)")
	case 1:
	default:
		return refuse(http.StatusBadRequest, nil,
			"'Sec-WebSocket-Key' header given %d times (RFC 6455 section 11.3.1)", len(keys))
	}
	var nonce [18]byte
	n := 0
	key, err := keys[0], error(nil)
	if len(key) == base64.StdEncoding.EncodedLen(16) {
		n, err = base64.StdEncoding.Decode(nonce[:], []byte(key))
	}
	if err != nil || n != 16 {
		return refuse(http.StatusBadRequest, nil,
			"'Sec-WebSocket-Key' header must be 16 bytes in base64, got %s (RFC 6455 section 4.2.1)", quote(key))
	}
	return nil
}

// upgradeRequired is a 426 with what it has to carry (RFC 9110 section 15.5.22).
func upgradeRequired(hint, format string, args ...any) *Refusal {
	refusal := refuse(http.StatusUpgradeRequired, http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}, format, args...)
	refusal.Hint = hint
	return refusal
}

// hasToken reports whether the comma-separated lists in the lines of header key
// contain token, in any case. key is in canonical form, since http.Header would
// make a copy of any other at each look-up.
func hasToken(h http.Header, key, token string) bool {
	return hasItem(h, key, func(item string) bool {
		return len(item) == len(token) && strings.EqualFold(item, token) // ASCII has no other length
	})
}

func hasItem(h http.Header, key string, is func(string) bool) bool {
	for _, line := range h[key] {
		for item := range strings.SplitSeq(line, ",") {
			if is(strings.Trim(item, " \t")) {
				return true
			}
		}
	}
	return false
}

// quote is %q of the beginning of what a peer has sent.
func quote(s string) string {
	const most = 256
	if len(s) > most {
		return strconv.Quote(s[:most]) + "..."
	}
	return strconv.Quote(s)
}

// quoteAll is quote for the lines of a header.
func quoteAll(lines []string) string {
	const most = 4
	more := ""
	if len(lines) > most {
		lines, more = lines[:most], " ..."
	}
	quoted := make([]string, len(lines))
	for i, line := range lines {
		quoted[i] = quote(line)
	}
	return "[" + strings.Join(quoted, " ") + more + "]"
}

// quoteOdd returns s itself when it is a short word, else quote of it.
func quoteOdd(s string) string {
	if len(s) <= 32 && isToken(s) {
		return s
	}
	return quote(s)
}
