package wire

import (
	"bufio"
	"bytes"
	"crypto/sha1" //nolint:gosec // RFC 6455 section 4.2.2 wants it
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strings"
	"time"
)

// answer is what the 101 says to a request.
type answer struct {
	key         string // of the request
	subprotocol string // "": none
	extensions  string // "": none
	deflate     bool
}

// ours are the fields of a 101 that are not for others to set: those of the
// handshake, and those that describe a body.
var ours = map[string]bool{
	"Upgrade": true, "Connection": true, "Date": true,
	"Sec-Websocket-Accept": true, "Sec-Websocket-Protocol": true, "Sec-Websocket-Extensions": true,
	"Content-Encoding": true, "Content-Length": true, "Content-Type": true, "Transfer-Encoding": true, "Trailer": true,
}

// appendHead appends the 101 (RFC 6455 section 4.2.2), with what was set in h. It
// is written to the connection itself: middleware in front of net/http may hold a
// status back until the first byte of a body, which a 101 does not have.
func (a answer) appendHead(b []byte, h http.Header) []byte {
	b = append(b, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	b = appendAcceptKey(b, a.key)
	b = append(b, "\r\n"...)
	b = appendField(b, "Sec-WebSocket-Protocol", a.subprotocol)
	b = appendField(b, "Sec-WebSocket-Extensions", a.extensions)
	if date := h.Get("Date"); date != "" {
		b = appendField(b, "Date", date)
	} else { // RFC 9110 section 6.6.1
		b = append(b, "Date: "...)
		b = time.Now().UTC().AppendFormat(b, http.TimeFormat)
		b = append(b, "\r\n"...)
	}
	if len(h) > 0 {
		w := bytes.NewBuffer(b)
		h.WriteSubset(w, oursIn(h)) //nolint:errcheck,gosec // a buffer takes all
		b = w.Bytes()
	}
	return append(b, "\r\n"...)
}

// appendField appends a field of a header, unless value is empty.
func appendField(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, newlines.Replace(value)...) // as Header.Write does
	return append(b, "\r\n"...)
}

var newlines = strings.NewReplacer("\r", " ", "\n", " ")

// oursIn is ours, with what h has under names in another spelling.
func oursIn(h http.Header) map[string]bool {
	exclude := ours
	for name := range h {
		if canonical := http.CanonicalHeaderKey(name); canonical != name && ours[canonical] {
			if len(exclude) == len(ours) {
				exclude = maps.Clone(ours)
			}
			exclude[name] = true
		}
	}
	return exclude
}

// appendAcceptKey appends the Sec-WebSocket-Accept for a key (RFC 6455 section
// 4.2.2).
func appendAcceptKey(b []byte, key string) []byte {
	in := append(make([]byte, 0, 64), key...)
	in = append(in, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"...)
	sum := sha1.Sum(in) //nolint:gosec // see above
	return base64.StdEncoding.AppendEncode(b, sum[:])
}

// hijack takes the connection over. What Hijack returns may be nil if w is not net/http's own.
func hijack(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) {
	conn, brw, err := http.NewResponseController(w).Hijack()
	switch {
	case errors.Is(err, http.ErrHijacked): // w cannot even be written to
		return nil, nil, fmt.Errorf("wire: upgrade: %w", err)
	case errors.Is(err, http.ErrNotSupported):
		return nil, nil, refuse(http.StatusNotImplemented, nil, "a %T does not give its connection away: %w", w, err)
	case err != nil:
		return nil, nil, refuse(http.StatusInternalServerError, nil, "the connection was not given away: %w", err)
	case conn == nil:
		return nil, nil, refuse(http.StatusInternalServerError, nil, "the connection was not given away: Hijack of a %T returned nil", w)
	}
	return conn, brw, nil
}

func unwrap(w http.ResponseWriter) http.ResponseWriter {
	if u, ok := w.(interface{ Unwrap() http.ResponseWriter }); ok {
		return u.Unwrap()
	}
	return nil
}

// canHijack reports whether Hijack is there, by the rules of
// [http.ResponseController].
func canHijack(w http.ResponseWriter) bool {
	for ; w != nil; w = unwrap(w) {
		if _, ok := w.(http.Hijacker); ok {
			return true
		}
	}
	return false
}
