package handshake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"
)

// takeover is the http.RoundTripper that websocket.Dial gets: one around the client's own, which takes the connection of a
// 101 over. websocket.Dial gets a body that is nobody's.
//
// A 101 of net/http has the connection as its body, and nothing else of net/http uses it any more: the two goroutines of
// http.Transport leave it alone and end, and no timer of the request is left. But the body has no deadlines, and may hold
// bytes that have come with the 101. The connection itself is what httptrace has told of last. So what the body holds is
// read from it, and the connection is used from then on.
type takeover struct {
	ctx  context.Context
	base http.RoundTripper
	o    *DialOptions

	dialed Dialed
	header http.Header        // of the 101
	body   io.ReadWriteCloser // of the 101; nil: there was none
	err    error              // why a 101 is none for us

	mu   sync.Mutex // a RoundTripper may have goroutines of its own
	last net.Conn   // that a request was sent on
}

// RoundTrip implements http.RoundTripper.
func (t *takeover) RoundTrip(r *http.Request) (*http.Response, error) {
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.last = info.Conn
	}}
	resp, err := t.base.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		return resp, err
	}
	t.header, t.dialed.Request = resp.Header.Clone(), r
	if !switches(resp.Header) { // websocket.Dial says what is missing
		resp.Body.Close() //nolint:errcheck,gosec // it is of no use
	} else if t.err = t.take(resp); t.err == nil {
		t.err = t.judge(resp)
	}
	delete(resp.Header, "Sec-Websocket-Extensions") // websocket.Dial would refuse what it has not offered itself
	resp.Body = nobodysBody{}
	return resp, nil
}

// switches tells whether a 101 has the fields by which net/http gives its connection away.
func switches(h http.Header) bool {
	for _, list := range h["Connection"] {
		for field := range strings.SplitSeq(list, ",") {
			if strings.EqualFold(trim(field), "Upgrade") {
				return h.Get("Upgrade") != ""
			}
		}
	}
	return false
}

// take takes the connection of a 101 over, with what was read of it.
func (t *takeover) take(resp *http.Response) error {
	body, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		resp.Body.Close() //nolint:errcheck,gosec // there is nothing to lose
		return fmt.Errorf("a %T does not give its connection away: the body of the 101 is a %T and cannot be written to", t.base, resp.Body)
	}
	t.body = body
	t.mu.Lock()
	conn := t.last
	t.mu.Unlock()
	if conn == nil {
		return fmt.Errorf("a %T does not give its connection away: it does not tell httptrace.ClientTrace.GotConn of it, as http.Transport does", t.base)
	}
	early, err := t.buffered(conn)
	if err != nil {
		return fmt.Errorf("taking the connection of a %T over: %w", t.base, err)
	}
	t.dialed.Conn, t.dialed.Body, t.dialed.Early = conn, body, early
	return nil
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

const maxEarly = 1 << 20

var errNoDeadlines = errors.New("its connection does not keep to read deadlines")

// buffered returns what was read from conn and is still in the body. With a read deadline that has passed, conn itself gives
// nothing: not what the kernel has, whatever it is. So what the body gives is what was buffered above it, in net/http and in
// TLS, until the deadline shows. A timeout harms neither TCP nor TLS: what TLS has read of a record stays with it.
//
// A connection that does not know deadlines, or is not the body's, keeps this waiting for the peer, until ctx is done.
func (t *takeover) buffered(conn net.Conn) ([]byte, error) {
	stop := context.AfterFunc(t.ctx, func() {
		t.body.Close() //nolint:errcheck,gosec // wakes Read
		conn.Close()   //nolint:errcheck,gosec // so does this
	})
	early, err := drain(t.body, conn)
	if !stop() {
		return nil, fmt.Errorf("%w: %w", errNoDeadlines, context.Cause(t.ctx))
	}
	return early, err
}

func drain(body io.Reader, conn net.Conn) (early []byte, err error) {
	if err := conn.SetReadDeadline(longAgo); err != nil {
		return nil, err
	}
	buf := make([]byte, 4<<10) // what net/http buffers, at most
	for len(early) < maxEarly {
		n, err := body.Read(buf)
		early = append(early, buf[:n]...) // nil as long as there is nothing
		if err == nil {
			continue
		}
		if ne, ok := errors.AsType[net.Error](err); (!ok || !ne.Timeout()) && err != io.EOF && len(early) == 0 { //nolint:errorlint // never wrapped
			return nil, err
		}
		// TLS may have read the end together with what came before it. Whoever reads conn meets it again.
		return early, conn.SetDeadline(time.Time{})
	}
	return nil, errNoDeadlines
}

// close is the end of a handshake that has failed.
func (t *takeover) close() {
	if t.body != nil {
		t.body.Close() //nolint:errcheck,gosec // it is of no use
	}
}

// nobodysBody is the connection of a websocket.Conn that is dropped.
type nobodysBody struct{}

func (nobodysBody) Read([]byte) (int, error)    { return 0, io.EOF }
func (nobodysBody) Write(p []byte) (int, error) { return len(p), nil }
func (nobodysBody) Close() error                { return nil }
