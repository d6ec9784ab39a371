package socket_test

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// brokenWriter is an http.ResponseWriter whose transport fails at the 101.
type brokenWriter struct {
	*httptest.ResponseRecorder
	hijack func() (net.Conn, *bufio.ReadWriter, error)
	header func()
}

func (w *brokenWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) { return w.hijack() }

func (w *brokenWriter) WriteHeader(status int) {
	if w.header != nil {
		w.header()
	}
	w.ResponseRecorder.WriteHeader(status)
}

func TestServer_Upgrade_transportFailsAtThe101(t *testing.T) {
	gone := errors.New("gone")
	closedConn := func() *pipe.Conn {
		a, b := pipe.New(0)
		a.Close()
		b.Close()
		return a
	}
	buffers := func(c net.Conn) *bufio.ReadWriter {
		return bufio.NewReadWriter(bufio.NewReader(c), bufio.NewWriter(c))
	}
	tests := []struct {
		name   string
		w      *brokenWriter
		status int // 0: it panics
	}{
		{"Hijack fails", &brokenWriter{hijack: func() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, gone }}, 500},
		{"connection closed", &brokenWriter{hijack: func() (net.Conn, *bufio.ReadWriter, error) {
			c := closedConn()
			return c, buffers(c), nil
		}}, 101},
		{"WriteHeader panics", &brokenWriter{
			header: func() { panic(http.ErrAbortHandler) },
			hijack: func() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, gone },
		}, 0},
		{"Hijack panics", &brokenWriter{hijack: func() (net.Conn, *bufio.ReadWriter, error) { panic("boom") }}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := newSite(t, socket.Config{MaxSockets: 1})
			hd := echo()
			test.w.ResponseRecorder = httptest.NewRecorder()
			func() {
				defer func() {
					if r := recover(); (r != nil) != (test.status == 0) {
						t.Errorf("Upgrade: panic %v, want one: %v", r, test.status == 0)
					}
				}()
				pid, err := h.srv.Upgrade(test.w, goodRequest(), hd)
				var ue *socket.UpgradeError
				if !errors.As(err, &ue) || ue.Status != test.status || ue.Err == nil || pid != (actor.PID{}) {
					t.Errorf("Upgrade: got %v, %v, want the zero PID and an *UpgradeError with status %d and a cause", pid, err,
						test.status)
				}
			}()
			h.wantEmpty()
			if calls := hd.log(); len(calls) != 0 {
				t.Errorf("callbacks: got %q, want none", calls)
			}
			// The place is free.
			h.overMemory(h.sockets(func() websock.Handler { return echo() }))
			goodbye(t, h.connect(rawclient.HandshakeOptions{}))
			h.wantEnds(1) // of the second: the first never was a socket
		})
	}
}

// statusWriter is what logging middleware does, forward nothing but Unwrap.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// hijackWriter forwards Hijack by itself, as older middleware does.
type hijackWriter struct{ http.ResponseWriter }

func (w hijackWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.ResponseWriter.(http.Hijacker).Hijack()
}

// lateWriter notes the status and writes it when it must, as gin's does.
type lateWriter struct {
	http.ResponseWriter
	status int
}

func (w *lateWriter) WriteHeader(status int) { w.status = status }
func (w *lateWriter) WriteHeaderNow()        { w.ResponseWriter.WriteHeader(w.status) }
func (w *lateWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.ResponseWriter.(http.Hijacker).Hijack()
}

// opaqueWriter hides the Hijacker.
type opaqueWriter struct{ http.ResponseWriter }

func TestServer_Upgrade_responseWriters(t *testing.T) {
	var seen *statusWriter
	tests := []struct {
		name   string
		wrap   func(http.ResponseWriter) http.ResponseWriter
		status int
	}{
		{"Unwrap", func(w http.ResponseWriter) http.ResponseWriter { seen = &statusWriter{ResponseWriter: w}; return seen }, 101},
		{"Unwrap twice", func(w http.ResponseWriter) http.ResponseWriter {
			seen = &statusWriter{ResponseWriter: &statusWriter{ResponseWriter: w}}
			return seen
		}, 101},
		{"Hijack", func(w http.ResponseWriter) http.ResponseWriter { return hijackWriter{w} }, 101},
		{"WriteHeaderNow", func(w http.ResponseWriter) http.ResponseWriter { return &lateWriter{ResponseWriter: w} }, 101},
		{"WriteHeaderNow behind Unwrap", func(w http.ResponseWriter) http.ResponseWriter {
			return &statusWriter{ResponseWriter: &lateWriter{ResponseWriter: w}}
		}, 101},
		{"no Hijacker", func(w http.ResponseWriter) http.ResponseWriter { return opaqueWriter{w} }, 501},
	}
	for _, test := range tests {
		bubble(t, test.name, func(t *testing.T) {
			seen = nil
			h := newSite(t, socket.Config{MaxSockets: 1})
			h.overMemory(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				pid, err := h.srv.Upgrade(test.wrap(w), r, echo())
				if (err == nil) != (test.status == 101) || err != nil && pid.Alive() { // without an error it may have ended
					t.Errorf("Upgrade: got %v, %v, want status %d", pid, err, test.status)
				}
			}))
			if test.status != 101 {
				for range 2 { // the place is given back
					resp, body := h.refused(rawclient.HandshakeOptions{})
					if resp.StatusCode != test.status || strings.Contains(body, "Hijacker") {
						t.Errorf("got %d %q, want %d that does not speak of our types", resp.StatusCode, body, test.status)
					}
				}
				h.wantEmpty()
				return
			}
			c := h.connect(rawclient.HandshakeOptions{})
			wantEcho(t, c, "hello")
			goodbye(t, c)
		})
	}
}
