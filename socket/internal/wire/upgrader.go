package wire

import (
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// Options say how a connection is opened and read.
type Options struct {
	Subprotocols   []string      // in order of preference (RFC 6455 section 4.2.2)
	Compress       bool          // negotiate permessage-deflate
	Threshold      int           // least bytes of a message that is deflated; 0: every message
	Level          int           // of deflate, 1 to 9
	MaxMessageSize int64         // bytes after inflation; negative: no limit
	SkipUTF8Check  bool          // of text messages; close reasons are always checked
	WriteTimeout   time.Duration // for one write; 0 or less: none
	ReuseBuffers   bool          // messages of 1 KiB and more are read into buffers that [Conn.Recycle] takes back
}

// Upgrader opens connections with the same Options, and holds what they share.
// Its methods are safe from any goroutine. It needs no closing.
//
// Under testing/synctest an Upgrader belongs to the bubble in which it was made
// or first used, for so do the channels of what it shares.
type Upgrader struct {
	opts     Options
	level    deflatedForm
	epoch    time.Time // all times of its connections are kept as distance from it
	decoders sync.Pool // of *decoder
}

// NewUpgrader returns an Upgrader. The Options must not change any more.
func NewUpgrader(o Options) *Upgrader {
	return &Upgrader{opts: o, level: deflateLevel(o.Level), epoch: time.Now()}
}

// Accept opens one connection with an [Upgrader] of its own. For more than one,
// share an Upgrader.
func Accept(w http.ResponseWriter, r *http.Request, o Options) (*Conn, error) {
	return NewUpgrader(o).Accept(w, r)
}

// Accept writes the 101 and takes the connection over. Headers that were set on
// w stay in the 101. The request must have passed [CheckRequest] and, unless
// every origin is welcome, [CheckOrigin].
//
// A [*Refusal] says that nothing was written and w is still the caller's. With
// any other error the 101 may be out and the transport has failed; the
// connection, if there was one, is closed.
func (u *Upgrader) Accept(w http.ResponseWriter, r *http.Request) (*Conn, error) {
	if refusal := CheckRequest(r); refusal != nil {
		return nil, refusal
	}
	if !canHijack(w) {
		return nil, refuse(http.StatusNotImplemented, nil,
			"a %T does not give its connection away (http.Hijacker)", w)
	}

	// Ours to answer, so nothing that middleware set stays.
	w.Header().Del("Sec-WebSocket-Extensions")
	deflate := false
	if u.opts.Compress {
		var answer string
		if answer, deflate = negotiateDeflate(r.Header.Values("Sec-WebSocket-Extensions")); deflate {
			w.Header().Set("Sec-WebSocket-Extensions", answer)
		}
	}

	rw := &responseWriter{ResponseWriter: w, decoder: new(decoder), timeout: u.opts.WriteTimeout}
	ws, err := websocket.Accept(rw, r, &websocket.AcceptOptions{
		Subprotocols:       u.opts.Subprotocols,
		InsecureSkipVerify: true, // CheckOrigin is ours
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		if rw.conn == nil { // the 101 is written by Hijack
			for _, name := range [...]string{"Upgrade", "Connection", "Sec-WebSocket-Accept", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"} {
				w.Header().Del(name)
			}
			return nil, refuse(http.StatusInternalServerError, nil, "the connection was not given away: %w", err)
		}
		rw.conn.Close() //nolint:errcheck,gosec // it has failed already
		return nil, fmt.Errorf("wire: upgrade: %w", err)
	}
	rw.decoder.made(ws)
	u.spare(rw.decoder)
	c := u.open(rw.conn, u.spelled(ws.Subprotocol()), deflate, rw.leftover)
	if err := rw.conn.SetDeadline(time.Time{}); err != nil {
		c.Abort() //nolint:errcheck,gosec // it has failed already
		return nil, fmt.Errorf("wire: upgrade: %w", err)
	}
	return c, nil
}

// spelled returns name without holding the memory of the request that it came
// with.
func (u *Upgrader) spelled(name string) string {
	for _, s := range u.opts.Subprotocols {
		if s == name {
			return s
		}
	}
	return string([]byte(name))
}

// spare keeps the decoder that a handshake has made, unless there is one. A
// connection has no more need of it than any other, and a pool that grew with
// every handshake would be held by nothing but the next garbage collections.
func (u *Upgrader) spare(d *decoder) {
	if have := u.decoders.Get(); have != nil {
		d = have.(*decoder)
	}
	u.decoders.Put(d)
}

// decoder takes one from the pool, or makes one. It is given back when the
// message that it was taken for is complete, and never after an error.
func (u *Upgrader) decoder() (*decoder, error) {
	if d := u.decoders.Get(); d != nil {
		return d.(*decoder), nil
	}
	return newDecoder()
}

// made takes the Conn over that coder/websocket has made for d.
func (d *decoder) made(ws *websocket.Conn) {
	d.ws = ws
	ws.SetReadLimit(-1)           // the limit is held to from the header
	runtime.SetFinalizer(ws, nil) // it would keep what is in a cycle for ever
	d.br.Reset(&d.feed)           // past the io.MultiReader that Accept puts between
}
