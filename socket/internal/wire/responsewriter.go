package wire

import (
	"bufio"
	"bytes"
	"net"
	"net/http"
	"time"
)

// responseWriter takes the connection over between net/http and
// coder/websocket. It hides nothing that middleware and routers rely on.
type responseWriter struct {
	http.ResponseWriter

	decoder *decoder      // for coder/websocket
	timeout time.Duration // for the 101; 0 or less: none

	tried    bool // the connection was asked for: whatever comes now is no response
	conn     net.Conn
	leftover []byte // what net/http had read behind the request's head
}

// Unwrap is for [http.ResponseController].
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader keeps the 101 back: Hijack writes it. Between here and net/http
// there may be middleware that holds a status back until the first byte of a
// body, which a 101 does not have, and middleware that hides what would make
// the router behind it write the status now.
func (w *responseWriter) WriteHeader(status int) {
	if status != http.StatusSwitchingProtocols && !w.tried {
		w.ResponseWriter.WriteHeader(status)
	}
}

// Write drops what coder/websocket says when the connection cannot be had: that
// is for the caller to answer.
func (w *responseWriter) Write(p []byte) (int, error) {
	if w.tried {
		return len(p), nil
	}
	return w.ResponseWriter.Write(p)
}

// Hijack keeps the connection and gives coder/websocket the decoder's in its place.
// The buffers of net/http are read out and let go.
func (w *responseWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.tried = true
	conn, brw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.conn = conn
	if err := w.writeHead(); err != nil {
		return nil, nil, err
	}
	if n := brw.Reader.Buffered(); n > 0 {
		w.leftover, _ = brw.Peek(n) // cannot fail: n bytes are buffered
		w.leftover = append([]byte(nil), w.leftover...)
	}
	return w.decoder.hijack()
}

// writeHead writes the 101 (RFC 6455 section 4.2.2), without the fields that
// describe a body. The deadline stays until Accept clears all of net/http's.
func (w *responseWriter) writeHead() error {
	if w.timeout > 0 {
		if err := w.conn.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
			return err
		}
	}
	h := w.Header().Clone()
	if h.Get("Date") == "" {
		h.Set("Date", time.Now().UTC().Format(http.TimeFormat)) // RFC 9110 section 6.6.1
	}
	for _, name := range [...]string{"Content-Encoding", "Content-Length", "Content-Type", "Transfer-Encoding", "Trailer"} {
		h.Del(name)
	}
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	h.Write(&b)
	b.WriteString("\r\n")
	_, err := w.conn.Write(b.Bytes())
	return err
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
