package wire

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
)

// Refusal is why a request does not become a WebSocket, and what its client
// should be told. Nothing was written to the client when it is returned.
type Refusal struct {
	Status int         // of the HTTP response
	Header http.Header // to be set in the response; may be nil
	Err    error       // names what was wrong; for the log, and fit for the client
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
//	505  the request is not HTTP/1.1
//	405  the method is not GET
//	400  a body; no Host; no Sec-WebSocket-Key, several, or one that is not 16 bytes of base64
//	426  Connection without "upgrade", Upgrade without "websocket",
//	     Sec-WebSocket-Version that is not one line equal to 13
func CheckRequest(r *http.Request) *Refusal {
	if r.ProtoMajor != 1 || r.ProtoMinor < 1 {
		return refuse(http.StatusHTTPVersionNotSupported, nil,
			"HTTP version %s unsupported: a WebSocket is opened with HTTP/1.1 only (RFC 6455 section 4.1)", r.Proto)
	}
	if r.Method != http.MethodGet {
		return refuse(http.StatusMethodNotAllowed, http.Header{"Allow": {http.MethodGet}},
			"HTTP method %s unsupported: a WebSocket is opened with GET (RFC 6455 section 4.1)", r.Method)
	}
	if r.ContentLength != 0 || len(r.TransferEncoding) > 0 {
		// RFC 6455 section 4.1 knows no body. Its bytes would be read as frames, and where the request ends, a proxy
		// would see differently.
		return refuse(http.StatusBadRequest, nil, "a request with a body cannot become a WebSocket")
	}
	if r.Host == "" {
		return refuse(http.StatusBadRequest, nil, "'Host' header is absent (RFC 6455 section 4.2.1)")
	}
	if !hasToken(r.Header, "Connection", "upgrade") {
		return refuse(http.StatusUpgradeRequired, upgradeHeader(),
			"'Connection' header must contain 'upgrade', got %q (RFC 6455 section 4.2.1)", r.Header.Values("Connection"))
	}
	if !hasToken(r.Header, "Upgrade", "websocket") {
		return refuse(http.StatusUpgradeRequired, upgradeHeader(),
			"'Upgrade' header must contain 'websocket', got %q (RFC 6455 section 4.2.1)", r.Header.Values("Upgrade"))
	}
	if v := r.Header["Sec-Websocket-Version"]; len(v) != 1 || v[0] != "13" {
		// RFC 6455 section 4.4: the answer names the versions that are spoken.
		h := upgradeHeader()
		h.Set("Sec-WebSocket-Version", "13")
		return refuse(http.StatusUpgradeRequired, h,
			"'Sec-WebSocket-Version' header must equal '13', got %q (RFC 6455 section 4.4)", v)
	}
	return checkKey(r.Header["Sec-Websocket-Key"])
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
			"'Sec-WebSocket-Key' header must be 16 bytes in base64, got %q (RFC 6455 section 4.2.1)", key)
	}
	return nil
}

// upgradeHeader is what a 426 has to carry (RFC 9110 section 15.5.22).
func upgradeHeader() http.Header {
	return http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}
}

// hasToken reports whether the comma-separated lists in the lines of header key
// contain token, in any case. key is in canonical form: as RFC 6455 spells its names
// they would be copied for each look-up.
func hasToken(h http.Header, key, token string) bool {
	_, ok := findToken(h, key, token)
	return ok
}

// findToken is hasToken, and returns the token as it is spelled there.
func findToken(h http.Header, key, token string) (spelled string, ok bool) {
	for _, line := range h[key] {
		for item := range strings.SplitSeq(line, ",") {
			if item = strings.Trim(item, " \t"); len(item) == len(token) && strings.EqualFold(item, token) { // ASCII has no other length
				return item, true
			}
		}
	}
	return "", false
}
