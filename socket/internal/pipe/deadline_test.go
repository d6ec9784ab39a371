package pipe_test

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/pipe"
)

// calls are the three that block, on an end whose peer does nothing and whose
// buffer holds 4 bytes.
var calls = []struct {
	name string
	call func(*pipe.Conn) error
	set  func(*pipe.Conn, time.Time) error
}{
	{"Read", func(c *pipe.Conn) error { _, err := c.Read(make([]byte, 1)); return err }, (*pipe.Conn).SetReadDeadline},
	{"WaitRead", (*pipe.Conn).WaitRead, (*pipe.Conn).SetReadDeadline},
	{"Write", func(c *pipe.Conn) error { _, err := c.Write([]byte("12345678")); return err }, (*pipe.Conn).SetWriteDeadline},
	{"Read, SetDeadline", func(c *pipe.Conn) error { _, err := c.Read(make([]byte, 1)); return err }, (*pipe.Conn).SetDeadline},
	{"Write, SetDeadline", func(c *pipe.Conn) error { _, err := c.Write([]byte("12345678")); return err }, (*pipe.Conn).SetDeadline},
}

// eachCall runs f in a bubble for every call that blocks.
func eachCall(t *testing.T, f func(t *testing.T, c *pipe.Conn, call func() error, set func(time.Time))) {
	for _, tt := range calls {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, peer := pipe.New(4)
				f(t, c, func() error { return tt.call(c) }, func(at time.Time) {
					if err := tt.set(c, at); err != nil {
						t.Fatalf("set deadline: %v", err)
					}
				})
				_ = peer.Close()
			})
		})
	}
}

func wantDeadline(t *testing.T, err error) {
	t.Helper()
	ne, ok := errors.AsType[net.Error](err)
	if !errors.Is(err, os.ErrDeadlineExceeded) || !ok || !ne.Timeout() {
		t.Errorf("got %v, want os.ErrDeadlineExceeded with Timeout", err)
	}
}

func TestDeadline_endsABlockedCallOnTime(t *testing.T) {
	eachCall(t, func(t *testing.T, _ *pipe.Conn, call func() error, set func(time.Time)) {
		begin := time.Now()
		set(begin.Add(time.Minute))
		wantDeadline(t, call())
		if got := time.Since(begin); got != time.Minute {
			t.Errorf("the call ended after %v, want 1m", got)
		}
		wantDeadline(t, call()) // it stays expired
		if got := time.Since(begin); got != time.Minute {
			t.Errorf("the second call ended after %v, want 1m", got)
		}
	})
}

func TestDeadline_setWhileBlocked(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before time.Duration // 0: none
		after  time.Duration // from the time of setting
		want   time.Duration
	}{
		{"past", 0, -time.Hour, time.Second},
		{"now", 0, 0, time.Second},
		{"later", 0, time.Hour, time.Hour + time.Second},
		{"shortened", time.Hour, time.Minute, time.Minute + time.Second},
		{"extended", time.Minute, time.Hour, time.Hour + time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			eachCall(t, func(t *testing.T, _ *pipe.Conn, call func() error, set func(time.Time)) {
				begin := time.Now()
				if tt.before != 0 {
					set(begin.Add(tt.before))
				}
				done, got := start(t, func() (int, error) { return 0, call() })
				time.Sleep(time.Second)
				set(time.Now().Add(tt.after))
				<-done
				wantDeadline(t, got.err)
				if got := time.Since(begin); got != tt.want {
					t.Errorf("the call ended after %v, want %v", got, tt.want)
				}
			})
		})
	}
}

func TestDeadline_removedWhileBlocked(t *testing.T) {
	eachCall(t, func(t *testing.T, c *pipe.Conn, call func() error, set func(time.Time)) {
		set(time.Now().Add(time.Minute))
		done, got := start(t, func() (int, error) { return 0, call() })
		set(time.Time{})
		time.Sleep(time.Hour)
		synctest.Wait()
		select {
		case <-done:
			t.Fatalf("the call ended with %v, want it to block", got.err)
		default:
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		<-done
		if !errors.Is(got.err, net.ErrClosed) {
			t.Errorf("got %v, want net.ErrClosed", got.err)
		}
	})
}

func TestDeadline_endsAllBlockedCalls(t *testing.T) {
	eachCall(t, func(t *testing.T, _ *pipe.Conn, call func() error, set func(time.Time)) {
		begin := time.Now()
		set(begin.Add(time.Minute))
		errs := make(chan error)
		const n = 5
		for range n {
			go func() { errs <- call() }()
		}
		for range n {
			wantDeadline(t, <-errs)
		}
		if got := time.Since(begin); got != time.Minute {
			t.Errorf("the calls ended after %v, want 1m", got)
		}
	})
}

func TestDeadline_expiredFailsEvenWhenReady(t *testing.T) {
	a, b := pipe.New(0)
	if _, err := b.Write([]byte("data")); err != nil {
		t.Fatal(err)
	}
	if err := a.SetDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 4)
	_, err := a.Read(p)
	wantDeadline(t, err)
	wantDeadline(t, a.WaitRead())
	_, err = a.Write([]byte("x"))
	wantDeadline(t, err)

	// A new deadline makes the end usable again, nothing is lost.
	if err := a.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(a, p); err != nil || string(p) != "data" {
		t.Errorf("read %q, %v, want data", p, err)
	}
	if _, err := a.Write([]byte("x")); err != nil {
		t.Errorf("write: %v", err)
	}
}

func TestDeadline_ofOneDirectionLeavesTheOther(t *testing.T) {
	a, b := pipe.New(0)
	if err := a.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Write([]byte("x")); err != nil {
		t.Errorf("write with an expired read deadline: %v", err)
	}
	if _, err := b.Read(make([]byte, 1)); err != nil {
		t.Errorf("read of the peer: %v", err)
	}
}

func TestDeadline_partOfAWriteIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe.New(4)
		if err := a.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := a.Write([]byte("12345678"))
		wantDeadline(t, err)
		if n != 4 {
			t.Errorf("got %d bytes, want 4", n)
		}
		p := make([]byte, 8)
		if n, err := b.Read(p); err != nil || string(p[:n]) != "1234" {
			t.Errorf("the peer read %q, %v, want 1234", p[:n], err)
		}
	})
}

func TestDeadline_onAClosedConn(t *testing.T) {
	a, _ := pipe.New(0)
	_ = a.Close()
	for name, set := range map[string]func(time.Time) error{
		"SetDeadline": a.SetDeadline, "SetReadDeadline": a.SetReadDeadline, "SetWriteDeadline": a.SetWriteDeadline,
	} {
		if err := set(time.Time{}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: got %v, want net.ErrClosed", name, err)
		}
	}
}
