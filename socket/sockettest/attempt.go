package sockettest

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// Attempt is one attempt of a client to connect to a [Server]. As long as the test does nothing with it, it hangs.
type Attempt struct {
	Request *http.Request // the handshake

	server   *Server
	at       time.Time // when the request came
	problem  string    // what is wrong with it; "": nothing
	conn     *tap
	br       *bufio.Reader // of conn
	answered bool
}

// Upgrade answers with 101 and returns the server's end of the connection. The messages of first leave in the same write as
// the 101, so that the client may read them together.
//
// The fields of h are added to those that a 101 needs (RFC 6455 section 4.2.2), or replace them; a field with the value nil
// is left out. Nothing is checked, so that the answer may be a wrong one. To compress, say so in h:
//
//	h.Set("Sec-WebSocket-Extensions", "permessage-deflate; server_no_context_takeover; client_no_context_takeover")
func (a *Attempt) Upgrade(h http.Header, first ...websock.Message) *Conn {
	t := a.server.t
	t.Helper()
	a.answer("Upgrade")
	fields := with(h, http.Header{
		"Upgrade":              {"websocket"},
		"Connection":           {"Upgrade"},
		"Sec-Websocket-Accept": {rawclient.Accept(a.Request.Header.Get("Sec-WebSocket-Key"))},
	})
	head := response(http.StatusSwitchingProtocols, fields)
	deflate := strings.Contains(strings.Join(fields.Values("Sec-WebSocket-Extensions"), ","), "permessage-deflate")
	c := newConn(t, rawclient.NewServer(a.conn, a.br, deflate), a.conn, true)
	a.server.mu.Lock()
	a.server.conns = append(a.server.conns, c)
	a.server.mu.Unlock()
	for _, m := range first {
		head = c.appendFrame(head, byte(m.Opcode), m.Data)
	}
	c.send("Upgrade", head)
	return c
}

// Refuse answers with another status, such as 503, and the fields of h, such as Retry-After, and closes TCP.
func (a *Attempt) Refuse(status int, h http.Header) {
	a.server.t.Helper()
	a.answer("Refuse")
	body := http.StatusText(status) + "\n"
	a.write("Refuse", append(response(status, with(h, http.Header{
		"Connection":     {"close"},
		"Content-Type":   {"text/plain"},
		"Content-Length": {fmt.Sprint(len(body))},
	})), body...))
	_ = a.conn.Close() // at the end of the test it is closed
}

// SendRaw sends p as it is: no HTTP at all, half an answer, or a whole one. TCP stays open. It may be called again.
func (a *Attempt) SendRaw(p []byte) {
	a.server.t.Helper()
	if a.answered {
		a.server.t.Fatalf("sockettest: Attempt.SendRaw after Upgrade, Refuse or Drop")
	}
	a.write("SendRaw", p)
}

// Drop cuts TCP: the client gets a reset.
func (a *Attempt) Drop() {
	a.answered = true
	a.conn.Reset()
}

// answer notes that the attempt gets its answer.
func (a *Attempt) answer(call string) {
	a.server.t.Helper()
	if a.answered {
		a.server.t.Fatalf("sockettest: Attempt.%s after Upgrade, Refuse or Drop", call)
	}
	a.answered = true
}

// write writes p. What is written to a client that has gone is lost.
func (a *Attempt) write(call string, p []byte) {
	a.server.t.Helper()
	_ = a.conn.SetWriteDeadline(time.Now().Add(a.server.limit)) // if it fails, so does Write
	if _, err := a.conn.Write(p); errors.Is(err, os.ErrDeadlineExceeded) {
		a.server.t.Fatalf("sockettest: Attempt.%s: the client has not read %d bytes within %v", call, len(p), a.server.limit)
	}
}

// with is fields, with those of h added or replaced. A literal may spell a name as it likes.
func with(h, fields http.Header) http.Header {
	for name, values := range h {
		fields[http.CanonicalHeaderKey(name)] = values
	}
	return fields
}

// response is the head of an answer.
func response(status int, fields http.Header) []byte {
	b := fmt.Appendf(nil, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		for _, value := range fields[name] {
			b = fmt.Appendf(b, "%s: %s\r\n", name, value)
		}
	}
	return append(b, "\r\n"...)
}
