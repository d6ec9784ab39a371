package wire

import (
	"fmt"
	"net/http"
	"time"
)

// Options say how a connection is opened and read.
type Options struct {
	Subprotocols   []string      // in order of preference (RFC 6455 section 4.2.2)
	Compress       bool          // negotiate permessage-deflate
	Threshold      int           // least bytes of a message that is deflated; 0: every message
	Level          int           // of deflate, 1 to 9
	MaxMessageSize int64         // bytes after inflation; negative: no limit
	MaxRatio       int           // a message of more than 1 MiB inflates to at most so many times what was read of it; 0 or less: no limit
	SkipUTF8Check  bool          // of text messages; close reasons are always checked
	WriteTimeout   time.Duration // for a write of which the peer takes nothing; 0 or less: none
	ReuseBuffers   bool          // messages of 1 KiB and more are read into buffers that [Conn.Recycle] takes back
}

// Upgrader opens connections with the same Options, and holds what they share.
// Its methods are safe from any goroutine. It needs no closing.
type Upgrader struct {
	opts  Options
	level deflatedForm
	epoch time.Time // all times of its connections are kept as distance from it
}

// NewUpgrader returns an Upgrader. The Options must not change any more.
func NewUpgrader(o Options) *Upgrader {
	return &Upgrader{opts: o, level: deflateLevel(o.Level), epoch: time.Now()}
}

// Accept checks a request and opens one connection with an [Upgrader] of its own.
// For more than one, share an Upgrader.
func Accept(w http.ResponseWriter, r *http.Request, o Options) (*Conn, error) {
	if refusal := CheckRequest(r); refusal != nil {
		return nil, refusal
	}
	return NewUpgrader(o).Accept(w, r)
}

// Accept writes the 101 and takes the connection over. Headers that were set on
// w stay in the 101. The request must have passed [CheckRequest] and, unless
// every origin is welcome, [Origins.Check].
//
// A [*Refusal] says that nothing was written and w is still the caller's. An error that is [http.ErrHijacked] says that
// the connection had been taken over before. With any other error the 101 may be out and the transport has failed; the
// connection, if there was one, is closed.
func (u *Upgrader) Accept(w http.ResponseWriter, r *http.Request) (*Conn, error) {
	if !canHijack(w) {
		return nil, refuse(http.StatusNotImplemented, nil,
			"a %T does not give its connection away (http.Hijacker)", w)
	}
	keys := r.Header["Sec-Websocket-Key"]
	if refusal := checkKey(keys); refusal != nil { // the application may have changed the request since CheckRequest
		return nil, refusal
	}
	a := answer{key: keys[0], subprotocol: u.subprotocol(w.Header(), r.Header)}
	if u.opts.Compress {
		a.extensions, a.deflate = negotiateDeflate(r.Header["Sec-Websocket-Extensions"])
	}
	conn, brw, err := hijack(w)
	if err != nil {
		return nil, err
	}
	opened := false
	defer func() {
		if !opened { // also when the ResponseWriter panics
			conn.Close() //nolint:errcheck,gosec // it has failed already
		}
	}()
	var leftover []byte                  // what net/http has read after the request's head
	if brw != nil && brw.Reader != nil { // not every ResponseWriter has one
		p, _ := brw.Peek(brw.Reader.Buffered()) // cannot fail: so many bytes are buffered
		leftover = append(leftover, p...)
	}
	c := u.open(conn, a.subprotocol, a.deflate, leftover)
	err = conn.SetDeadline(time.Time{}) // those of net/http
	if err == nil {
		b := newBatch()
		b.buf = a.appendHead(b.buf, w.Header())
		err = c.writeAll(b)
		b.release()
	}
	if err != nil {
		return nil, fmt.Errorf("wire: upgrade: %w", err)
	}
	opened = true
	return c, nil
}
