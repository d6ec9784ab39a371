package handshake

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// Options say what is negotiated, and how long the answer may take.
type Options struct {
	Subprotocols []string      // in order of preference (RFC 6455 section 4.2.2)
	Compress     bool          // permessage-deflate
	WriteTimeout time.Duration // for the 101; 0 or less: none
}

// Accepted is a connection whose opening handshake is done.
type Accepted struct {
	Conn        net.Conn // without deadlines
	Subprotocol string   // "": none
	Deflate     bool     // permessage-deflate, without context takeover in either direction
	Early       []byte   // what the server had read after the request's head, a copy; nil: nothing
}

// Accept takes the connection over and writes the 101, with the headers that were set on w. The request must have passed
// [CheckRequest] and, unless every origin is welcome, [Origins.Check]. It blocks until the 101 is written.
//
// A [*Refusal] says that nothing was written and w is still the caller's. An error that is [http.ErrHijacked] says that
// the connection had been taken over before. With any other error the 101 may be out and the transport has failed; the
// connection is closed.
func Accept(w http.ResponseWriter, r *http.Request, o Options) (Accepted, error) {
	x := begin(w, r)
	a := Accepted{Subprotocol: chooseSubprotocol(o.Subprotocols, w.Header(), r.Header)}
	x.set("Sec-Websocket-Protocol", a.Subprotocol)
	if o.Compress {
		var extensions string
		extensions, a.Deflate = negotiateDeflate(r.Header["Sec-Websocket-Extensions"])
		x.set("Sec-Websocket-Extensions", extensions)
	}
	done := false
	defer func() {
		if !done && x.conn != nil { // also when the ResponseWriter panics
			x.conn.Close() //nolint:errcheck,gosec // it has failed already
		}
	}()
	if err := x.accept(); err != nil {
		return Accepted{}, err
	}
	if err := x.answer(o.WriteTimeout); err != nil {
		return Accepted{}, fmt.Errorf("handshake: %w", err)
	}
	done = true
	a.Conn, a.Early = x.conn, x.early
	x.end()
	return a, nil
}

// exchange is the http.ResponseWriter that websocket.Accept gets: one around the server's own, which takes the connection
// over and keeps what is to be written to it.
type exchange struct {
	w       http.ResponseWriter // the server's
	request http.Request        // what websocket.Accept is to see of the client's
	header  http.Header         // of the answer, without what was set on w
	status  int                 // of the answer; 0: none yet
	conn    net.Conn            // nil: not taken over
	early   []byte
	err     error // of Hijack
	reader  *bufio.Reader
	head    []byte // the 101
}

// exchanges are those that have ended well. With them a handshake makes 1.5 KB less garbage.
var exchanges = sync.Pool{New: func() any {
	return &exchange{
		request: http.Request{Header: make(http.Header, 4)},
		header:  make(http.Header, len(answerFields)),
		reader:  bufio.NewReaderSize(nobody{}, 16),
	}
}}

func begin(w http.ResponseWriter, r *http.Request) *exchange {
	x := exchanges.Get().(*exchange)
	x.w = w
	q := &x.request
	q.Method, q.Proto, q.ProtoMajor, q.ProtoMinor = r.Method, r.Proto, r.ProtoMajor, r.ProtoMinor
	// A client may send a megabyte of elements in these lists, and in those that are negotiated here. CheckRequest has looked
	// through them; websocket.Accept would split them, which takes fifty times their memory.
	q.Header["Connection"], q.Header["Upgrade"] = upgrade, webSocket
	q.Header["Sec-Websocket-Version"] = r.Header["Sec-Websocket-Version"]
	q.Header["Sec-Websocket-Key"] = r.Header["Sec-Websocket-Key"]
	return x
}

var upgrade, webSocket = []string{"Upgrade"}, []string{"websocket"}

// end gives x back.
func (x *exchange) end() {
	clear(x.request.Header)
	clear(x.header)
	x.reader.Reset(nobody{})
	*x = exchange{request: http.Request{Header: x.request.Header}, header: x.header, reader: x.reader, head: x.head[:0]}
	if cap(x.head) <= 4<<10 {
		exchanges.Put(x)
	}
}

func (x *exchange) set(key, value string) {
	if value != "" {
		x.header[key] = []string{value}
	}
}

// acceptOptions leave to websocket.Accept what is neither checked nor negotiated before it.
var acceptOptions = websocket.AcceptOptions{InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled}

// accept has websocket.Accept do the handshake. The websocket.Conn that it returns is dropped: it starts nothing, and its
// connection is nobody's. Its finalizer has to go, since a cycle with a finalizer is never freed.
func (x *exchange) accept() error {
	ws, err := websocket.Accept(x, &x.request, &acceptOptions)
	switch {
	case err == nil:
		runtime.SetFinalizer(ws, nil)
		return nil
	case x.err != nil:
		return x.err
	}
	return &Refusal{Status: x.status, Err: err} // the request has been changed since CheckRequest
}

func (x *exchange) Header() http.Header { return x.header }

// Write drops the body of a refusal.
func (x *exchange) Write(p []byte) (int, error) { return len(p), nil }

// WriteHeader notes the status. The 101 is written to the connection itself: middleware in front of net/http may hold a
// status back until the first byte of a body, which a 101 does not have.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
	}
}

// Hijack takes the connection over. websocket.Accept gets another one, which is nobody's. A Hijack that is not net/http's own
// may return nil for anything.
func (x *exchange) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, brw, err := http.NewResponseController(x.w).Hijack()
	switch {
	case errors.Is(err, http.ErrHijacked): // w cannot even be written to
		x.err = fmt.Errorf("handshake: %w", err)
	case errors.Is(err, http.ErrNotSupported):
		x.err = refuse(http.StatusNotImplemented, nil, "a %T does not give its connection away (http.Hijacker): %w", x.w, err)
	case err != nil:
		x.err = refuse(http.StatusInternalServerError, nil, "the connection was not given away: %w", err)
	case conn == nil:
		x.err = refuse(http.StatusInternalServerError, nil, "the connection was not given away: Hijack of a %T returned nil", x.w)
	}
	if x.err != nil {
		return nil, nil, x.err
	}
	x.conn = conn
	if brw != nil && brw.Reader != nil { // not every ResponseWriter has one
		p, _ := brw.Peek(brw.Reader.Buffered()) // cannot fail: so many bytes are buffered
		x.early = append(x.early, p...)
	}
	return nobody{}, &bufio.ReadWriter{Reader: x.reader}, nil
}

// nobody is the connection of a websocket.Conn that is dropped.
type nobody struct{ net.Conn }

func (nobody) Close() error { return nil }

// answer writes the 101.
func (x *exchange) answer(timeout time.Duration) error {
	var limit time.Time
	if timeout > 0 {
		limit = time.Now().Add(timeout)
	}
	if err := x.conn.SetDeadline(limit); err != nil { // replaces those of the server
		return err
	}
	x.compose()
	switch n, err := x.conn.Write(x.head); {
	case err != nil:
		return err
	case n < len(x.head):
		return io.ErrShortWrite
	}
	if timeout > 0 {
		return x.conn.SetDeadline(time.Time{})
	}
	return nil
}
