package handshake_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/handshake"
	"github.com/troupe-dev/troupe/socket/internal/pipe"
)

// TestDial_losesNothing: whatever comes with the 101, and however much of it net/http, TLS and the kernel have buffered,
// is there once, in order, and the connection works afterwards, with deadlines.
func TestDial_losesNothing(t *testing.T) {
	for name, tt := range map[string]struct {
		url   string
		start func(*testing.T, respond) *scripted
	}{
		"memory": {"ws://example.com/", inMemory}, "TCP": {"ws://example.com/", overTCP}, "TLS": {"wss://example.com/", overTLS},
	} {
		for _, n := range []int{0, 1, 100, 4096, 5000, 16 << 10, 40_000} {
			t.Run(fmt.Sprintf("%s/%d", name, n), func(t *testing.T) {
				extra := make([]byte, n)
				for i := range extra {
					extra[i] = byte(i) ^ byte(i>>8)
				}
				peers := make(chan net.Conn, 1)
				s := tt.start(t, func(r *http.Request, conn net.Conn) string {
					peers <- conn
					return switching(r, string(extra))
				})
				d, err := s.dial(t, t.Context(), tt.url, handshake.DialOptions{})
				if err != nil {
					t.Fatalf("Dial: %v", err)
				}
				got := slices.Clone(d.Early)
				rest := make([]byte, n-len(got))
				if _, err := io.ReadFull(d.Conn, rest); err != nil {
					t.Fatalf("%d bytes came with the 101 of %d, and reading the rest: %v", len(got), n, err)
				}
				if got = append(got, rest...); !bytes.Equal(got, extra) {
					t.Fatalf("the %d bytes after the 101 are not those that were sent", n)
				}
				wantBothWays(t, d.Conn, <-peers)
				wantDeadline(t, d.Conn)
			})
		}
	}
}

// wantDeadline: a deadline ends a read, and can be taken back.
func wantDeadline(t *testing.T, conn net.Conn) {
	t.Helper()
	for range 2 {
		if err := conn.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
			t.Fatalf("SetReadDeadline: %v", err)
		}
		if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a read with a deadline: got %d, %v, want os.ErrDeadlineExceeded", n, err)
		}
	}
}

// TestDial_serverGoesAtOnce: a server that writes its 101 and a Close frame and goes. What it wrote is read.
func TestDial_serverGoesAtOnce(t *testing.T) {
	const frame = "\x88\x02\x0f\xa1" // Close 4001
	for name, tt := range map[string]struct {
		url   string
		start func(*testing.T, respond) *scripted
	}{
		"memory": {"ws://example.com/", inMemory}, "TCP": {"ws://example.com/", overTCP}, "TLS": {"wss://example.com/", overTLS},
	} {
		t.Run(name, func(t *testing.T) {
			s := tt.start(t, func(r *http.Request, conn net.Conn) string {
				io.WriteString(conn, switching(r, frame))
				conn.Close()
				return ""
			})
			d, err := s.dial(t, t.Context(), tt.url, handshake.DialOptions{})
			if err != nil {
				t.Fatalf("Dial: %v", err)
			}
			rest, err := io.ReadAll(d.Conn)
			if got := string(d.Early) + string(rest); got != frame || err != nil {
				t.Errorf("got % x and then %v, want % x and the end", got, err, frame)
			}
		})
	}
}

// TestDial_outlivesTheHandshake: neither the end of ctx nor the Timeout of the client means anything to the connection.
func TestDial_outlivesTheHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t, right)
		s.client.Timeout = time.Second
		ctx, cancel := context.WithCancel(t.Context())
		d, err := s.dial(t, ctx, "ws://server.test/", handshake.DialOptions{})
		if err != nil {
			t.Fatalf("Dial: %v", err)
		}
		cancel()
		time.Sleep(time.Hour)
		wantBothWays(t, d.Conn, s.conns[0])
	})
}

// roundTripper is one that is not http.Transport.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// deaf is a connection that does not know deadlines.
type deaf struct{ net.Conn }

func (deaf) SetDeadline(time.Time) error     { return nil }
func (deaf) SetReadDeadline(time.Time) error { return nil }

// endless is a body that always has more.
type endless struct{ net.Conn }

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// unable says that it does not know them.
type unable struct{ net.Conn }

func (unable) SetReadDeadline(time.Time) error { return os.ErrNoDeadline }

// TestDial_roundTripper: what becomes of a RoundTripper that is not http.Transport.
func TestDial_roundTripper(t *testing.T) {
	// over answers with a 101 over conn, as http.Transport would, with what is not nil.
	over := func(traced net.Conn, body io.ReadCloser) roundTripper {
		return func(r *http.Request) (*http.Response, error) {
			if trace := httptrace.ContextClientTrace(r.Context()); traced != nil && trace != nil {
				trace.GotConn(httptrace.GotConnInfo{Conn: traced})
			}
			resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(switching(r, ""))), r)
			resp.Body = body
			return resp, err
		}
	}
	for name, tt := range map[string]struct {
		make func(conn net.Conn) roundTripper
		want string // part of the error; "": it works
	}{
		"as http.Transport":  {func(c net.Conn) roundTripper { return over(c, c) }, ""},
		"no trace":           {func(c net.Conn) roundTripper { return over(nil, c) }, "handshake_test.roundTripper does not give its connection away: it does not tell httptrace.ClientTrace.GotConn"},
		"a body that reads":  {func(c net.Conn) roundTripper { return over(c, struct{ io.ReadCloser }{c}) }, "does not give its connection away: the body of the 101 is a struct { io.ReadCloser } and cannot be written to"},
		"no deadlines":       {func(c net.Conn) roundTripper { return over(unable{c}, c) }, "file type does not support deadline"},
		"deadlines ignored":  {func(c net.Conn) roundTripper { return over(deaf{c}, deaf{c}) }, "does not keep to read deadlines: context deadline exceeded"},
		"another connection": {func(c net.Conn) roundTripper { other, _ := pipe.New(0); return over(other, c) }, "does not keep to read deadlines: context deadline exceeded"},
		"a body without end": {func(c net.Conn) roundTripper { return over(c, endless{c}) }, "does not keep to read deadlines"},
		"no upgrade": {func(c net.Conn) roundTripper {
			return func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 101, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Body: c, Request: r}, nil
			}
		}, `does not contain Upgrade`},
		"a failed connection": {func(c net.Conn) roundTripper { c.(*pipe.Conn).Reset(); return over(c, c) }, "use of closed network connection"},
		"an error": {func(net.Conn) roundTripper {
			return func(*http.Request) (*http.Response, error) { return nil, io.ErrNoProgress }
		}, io.ErrNoProgress.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, peer := pipe.New(0)
				defer conn.Close()
				defer peer.Close()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				d, err := handshake.Dial(ctx, "ws://server.test/", handshake.DialOptions{HTTP: &http.Client{Transport: tt.make(conn)}})
				if tt.want == "" && err == nil {
					wantBothWays(t, d.Conn, peer)
					return
				}
				if err == nil || tt.want == "" || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got error %v, want %q in it", err, tt.want)
				}
				peer.SetReadDeadline(time.Now().Add(time.Second))
				if _, err := peer.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) && name != "an error" {
					t.Error("the body of the 101 was not closed")
				}
			})
		})
	}
}

// TestDial_roundTripperPanics: the panic is the caller's, and no connection stays open.
func TestDial_roundTripperPanics(t *testing.T) {
	calls := 0
	tr := roundTripper(func(r *http.Request) (*http.Response, error) {
		if calls++; calls == 2 {
			panic("no")
		}
		return &http.Response{StatusCode: 302, Header: http.Header{"Location": {"/"}}, Body: http.NoBody, Request: r}, nil
	})
	defer func() {
		if v := recover(); v != "no" {
			t.Errorf("recovered %v, want the panic of the RoundTripper", v)
		}
	}()
	handshake.Dial(t.Context(), "ws://server.test/", handshake.DialOptions{HTTP: &http.Client{Transport: tr}})
	t.Error("Dial has returned")
}
