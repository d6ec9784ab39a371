package handshake_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
)

// hijackable is a ResponseWriter over any connection, so that a test needs no
// server.
type hijackable struct {
	conn     net.Conn
	header   http.Header
	leftover string // what the server read after the head
	status   int    // that WriteHeader was called with
	body     int    // bytes that Write got
}

func (h *hijackable) Header() http.Header         { return h.header }
func (h *hijackable) Write(p []byte) (int, error) { h.body += len(p); return len(p), nil }
func (h *hijackable) WriteHeader(status int)      { h.status = status }

func (h *hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	br := bufio.NewReaderSize(io.MultiReader(strings.NewReader(h.leftover), h.conn), len(h.leftover)+4096)
	br.Peek(len(h.leftover))
	return h.conn, bufio.NewReadWriter(br, nil), nil
}

// request is a legal handshake; fields replaces headers, "" removes one.
func request(fields ...string) *http.Request {
	r := &http.Request{
		Method: "GET", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: "example.com",
		Header: http.Header{
			"Connection":            {"Upgrade"},
			"Upgrade":               {"websocket"},
			"Sec-Websocket-Version": {"13"},
			"Sec-Websocket-Key":     {rawclient.DefaultKey},
		},
	}
	for i := 0; i < len(fields); i += 2 {
		key := http.CanonicalHeaderKey(fields[i])
		if delete(r.Header, key); fields[i+1] != "" {
			r.Header[key] = strings.Split(fields[i+1], "\n")
		}
	}
	return r
}

// script is a connection that keeps what is written to it.
type script struct {
	written []byte
	most    int   // bytes that a Write takes before it fails; 0: all
	err     error // of SetDeadline, or of such a Write
	closed  atomic.Bool
}

func (s *script) Read([]byte) (int, error) { return 0, io.EOF }

func (s *script) Write(p []byte) (int, error) {
	if s.most > 0 && len(p) > s.most {
		s.written = append(s.written, p[:s.most]...)
		return s.most, s.err
	}
	s.written = append(s.written, p...)
	return len(p), nil
}

func (s *script) Close() error                     { s.closed.Store(true); return nil }
func (s *script) LocalAddr() net.Addr              { return pipe.Addr(1) }
func (s *script) RemoteAddr() net.Addr             { return pipe.Addr(2) }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

func (s *script) SetDeadline(time.Time) error {
	if s.most > 0 {
		return nil
	}
	return s.err
}
