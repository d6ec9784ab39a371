package handshake

import (
	"bytes"
	"maps"
	"net/http"
	"strings"
	"time"
)

// answerFields are the fields of a 101 (RFC 6455 section 4.2.2), as keys of an http.Header and as the RFC spells them. Some
// clients compare case.
var answerFields = [...]struct{ key, name string }{
	{"Upgrade", "Upgrade"},
	{"Connection", "Connection"},
	{"Sec-Websocket-Accept", "Sec-WebSocket-Accept"},
	{"Sec-Websocket-Protocol", "Sec-WebSocket-Protocol"},
	{"Sec-Websocket-Extensions", "Sec-WebSocket-Extensions"},
}

// ours are the fields of a 101 that the application cannot set: those of the
// handshake, and those that describe a body. (Its Date is taken, once.)
var ours = map[string]bool{
	"Upgrade": true, "Connection": true, "Date": true,
	"Sec-Websocket-Accept": true, "Sec-Websocket-Protocol": true, "Sec-Websocket-Extensions": true,
	"Content-Encoding": true, "Content-Length": true, "Content-Type": true, "Transfer-Encoding": true, "Trailer": true,
}

// compose makes the 101: first the fields of the handshake, with what websocket.Accept has set, then what was set on the
// server's ResponseWriter.
func (x *exchange) compose() {
	b := append(x.head[:0], "HTTP/1.1 101 Switching Protocols\r\n"...)
	for _, f := range answerFields {
		for _, value := range x.header[f.key] {
			b = appendField(b, f.name, value)
		}
	}
	h := x.w.Header() // after Hijack, which may add to it
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
	x.head = append(b, "\r\n"...)
}

// appendField appends a field of a header.
func appendField(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, newlines.Replace(value)...) // as Header.Write does
	return append(b, "\r\n"...)
}

var newlines = strings.NewReplacer("\r", " ", "\n", " ")

// oursIn is ours, with the spellings that h has of them.
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
