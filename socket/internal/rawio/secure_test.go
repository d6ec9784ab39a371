package rawio_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawio"
	"github.com/troupe-dev/troupe/socket/internal/rawtls"
)

// These are the facts about crypto/tls that secure.go builds on, with the Go that compiles them.

// held is a connection that keeps what is written to it, so that a test can cut it.
type held struct {
	net.Conn
	hold bool
	kept []byte
}

func (h *held) Write(p []byte) (int, error) {
	if !h.hold {
		return h.Conn.Write(p)
	}
	h.kept = append(h.kept, p...)
	return len(p), nil
}

// certificate is a server's configuration.
func certificate(t *testing.T) *tls.Config {
	t.Helper()
	ts := httptest.NewUnstartedServer(nil)
	ts.StartTLS()
	t.Cleanup(ts.Close)
	return ts.TLS
}

// secured returns a server of crypto/tls over memory, and a client whose writes are held.
func secured(t *testing.T, config *tls.Config, version uint16) (client *tls.Conn, below *held, server *tls.Conn) {
	t.Helper()
	near, far := pipe.New(1 << 20)
	below = &held{Conn: near}
	client = tls.Client(below, &tls.Config{InsecureSkipVerify: true, MaxVersion: version}) //nolint:gosec // for tests
	server = tls.Server(far, config)
	var both sync.WaitGroup
	var failed error
	both.Go(func() { failed = client.Handshake() })
	if err := server.Handshake(); err != nil {
		t.Fatal(err)
	}
	if both.Wait(); failed != nil {
		t.Fatal(failed)
	}
	below.hold = true
	t.Cleanup(func() { near.Close(); far.Close() })
	return client, below, server
}

var versions = map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13}

// readAll reads until the deadline, which must not be an error that stays, and returns what came.
func readAll(t *testing.T, server *tls.Conn) (got []byte) {
	t.Helper()
	server.SetReadDeadline(time.Now().Add(time.Second))
	p := make([]byte, 7)
	for {
		n, err := server.Read(p)
		got = append(got, p[:n]...)
		var timeout net.Error
		switch {
		case err == nil:
			continue
		case n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout():
			t.Fatalf("Read: %d, %v; want the deadline's error", n, err)
		}
		return got
	}
}

// TestTLS_deadlineIsNoError: wherever a stream of records is cut, a Read that waits for the rest and meets its deadline has
// returned all records that are whole, and the next Read goes on, with the memory that was given back in between.
func TestTLS_deadlineIsNoError(t *testing.T) {
	config := certificate(t)
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, below, server := secured(t, config, version)
				var c rawio.Conn
				c.Init(server, &rawio.Settings{Epoch: time.Now()})
				records := []string{"one", "a second record", "3"}
				cuts := 1
				for cut := 0; cut < cuts; cut++ {
					below.kept = nil
					var ends []int
					for _, r := range records {
						client.Write([]byte(r))
						ends = append(ends, len(below.kept))
					}
					stream := below.kept
					cuts = len(stream)
					var want string
					for i, end := range ends {
						if end <= cut {
							want += records[i]
						}
					}
					below.Conn.Write(stream[:cut])
					got := readAll(t, server)
					if string(got) != want {
						t.Fatalf("%d of %d bytes, records end at %v: got %q, want %q", cut, cuts, ends, got, want)
					}
					c.Release()
					if again := readAll(t, server); len(again) != 0 {
						t.Fatalf("%d of %d bytes: after the deadline there was %q", cut, cuts, again)
					}
					c.Release()
					below.Conn.Write(stream[cut:])
					got = append(got, readAll(t, server)...)
					if all := "onea second record3"; string(got) != all {
						t.Fatalf("cut after %d of %d bytes: got %q, want %q", cut, cuts, got, all)
					}
				}
				if cuts < 60 {
					t.Fatalf("%d cuts", cuts)
				}
			})
		})
	}
}

// TestTLS_pastDeadline: with a deadline that has passed, Read returns what was read before, and nothing that was not.
func TestTLS_pastDeadline(t *testing.T) {
	config := certificate(t)
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, below, server := secured(t, config, version)
				read := func(past bool, want string) {
					t.Helper()
					server.SetReadDeadline(time.Time{})
					if past {
						server.SetReadDeadline(time.Unix(1, 0))
					}
					p := make([]byte, 3)
					n, err := server.Read(p)
					if want == "" {
						if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
							t.Fatalf("got %q, %v, want the deadline", p[:n], err)
						}
					} else if string(p[:n]) != want || err != nil {
						t.Fatalf("got %q, %v, want %q", p[:n], err, want)
					}
				}
				write := func(records ...string) {
					for _, r := range records {
						client.Write([]byte(r))
					}
					below.Conn.Write(below.kept)
					below.kept = nil
				}
				write("begins", "2nd", "3rd")
				read(true, "") // nothing was read yet
				read(false, "beg")
				read(true, "ins")
				read(true, "2nd")
				read(true, "3rd")
				read(true, "")
				write("new")
				read(true, "")
				read(false, "new")
				read(true, "")
			})
		})
	}
}

// TestTLS_deadlineInHandshakeMessages: a deadline inside a key update, which may be in two records, or between records
// that say nothing, is no error either. Alerts that come after it are seen.
func TestTLS_deadlineInHandshakeMessages(t *testing.T) {
	config := certificate(t)
	for _, end := range []struct {
		name string
		send func(c *rawtls.Conn) []byte
		want func(error) bool
	}{
		{"close_notify", func(c *rawtls.Conn) []byte { return c.Seal(rawtls.Alert, []byte{1, rawtls.CloseNotify}) },
			func(err error) bool { return err == errEnd }},
		{"an alert", func(c *rawtls.Conn) []byte { return c.Seal(rawtls.Alert, []byte{2, rawtls.BadRecordMAC}) },
			func(err error) bool { var op *net.OpError; return errors.As(err, &op) && op.Op == "remote error" }},
		{"a bad record", func(c *rawtls.Conn) []byte {
			r := c.Seal(rawtls.ApplicationData, []byte("x"))
			r[len(r)-1]++
			return r
		}, func(err error) bool { var op *net.OpError; return errors.As(err, &op) && op.Op == "local error" }},
	} {
		t.Run(end.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := pipe.New(1 << 20)
				defer near.Close()
				server := tls.Server(far, config)
				var both sync.WaitGroup
				both.Go(func() { server.Handshake() })
				client, err := rawtls.Client(near)
				if err != nil {
					t.Fatal(err)
				}
				both.Wait()
				var c rawio.Conn
				c.Init(server, &rawio.Settings{Epoch: time.Now()})
				for _, pieces := range []bool{false, true} {
					stream := slices.Concat(client.KeyUpdate(true, pieces), client.Seal(rawtls.ApplicationData, nil),
						client.Seal(rawtls.ApplicationData, []byte("with the new key")), client.KeyUpdate(false, pieces))
					var got []byte
					for _, b := range stream {
						near.Write([]byte{b})
						got = append(got, readAll(t, server)...)
						c.Release()
					}
					if want := "with the new key"; string(got) != want {
						t.Fatalf("byte by byte: got %q, want %q", got, want)
					}
				}
				near.Write(slices.Concat(client.Seal(rawtls.ApplicationData, []byte("the last")), end.send(client)))
				server.SetReadDeadline(time.Now().Add(time.Second))
				got, err := io.ReadAll(errReader{server})
				if string(got) != "the last" || !end.want(err) {
					t.Errorf("got %q, %v", got, err)
				}
			})
		})
	}
}

// errReader keeps io.ReadAll from hiding io.EOF.
type errReader struct{ io.Reader }

var errEnd = errors.New("EOF")

func (r errReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err == io.EOF { //nolint:errorlint // as it comes
		err = errEnd
	}
	return n, err
}
