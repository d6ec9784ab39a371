package wire_test

import (
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

var errIdle = errors.New("idle")

// blocked runs f in a goroutine and returns when it waits, with where its error
// will come.
func blocked(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	synctest.Wait()
	return done
}

func next(c *wire.Conn) func() error {
	return func() error {
		_, err := c.Next()
		return err
	}
}

func TestInterrupt(t *testing.T) {
	for name, sent := range map[string][]byte{
		"between messages":   nil,
		"inside a header":    {0x81},
		"inside a control":   frame(fin, opPing, "hello")[:7],
		"inside a payload":   frame(fin, opText, "hello")[:8],
		"inside a large one": frame(fin, opText, str(100_000))[:70_000],
		"between fragments":  frame(0, opText, "hello"),
		"inside a deflated":  frame(fin|rsv1, opBinary, deflated(noise(100)))[:30],
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, c := connect(t, wire.Options{MaxMessageSize: mb}, true)
				client.WriteBytes(sent)
				done := blocked(next(c))
				c.Interrupt(errIdle)
				c.Interrupt(errors.New("second"))
				if err := <-done; err != errIdle {
					t.Errorf("Next: %v, want the error of the first Interrupt", err)
				}
				if _, err := c.Next(); err != errIdle {
					t.Errorf("Next again: %v, want the same error", err)
				}
			})
		})
	}
}

// TestInterrupt_keepsItsPlace: it does not overtake messages that were read.
func TestInterrupt_keepsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, c := connect(t, wire.Options{MaxMessageSize: mb}, false)
		client.WriteBytes(join(frame(fin, opText, "one"), frame(fin, opText, "two"), frame(fin, opText, "three")[:5]))
		if m, err := c.Next(); err != nil || string(m.Data) != "one" {
			t.Fatalf("first: %v, %v", m, err)
		}
		c.Interrupt(errIdle) // while nobody waits
		if m, err := c.Next(); err != nil || string(m.Data) != "two" {
			t.Fatalf("second, already read: %v, %v", m, err)
		}
		if _, err := c.Next(); err != errIdle {
			t.Errorf("third, not all there: %v, want %v", err, errIdle)
		}
	})
}

func TestDiscard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, c := connect(t, wire.Options{MaxMessageSize: mb}, false)
		done := blocked(next(c))
		c.Discard()
		if err := <-done; err != wire.ErrStopped {
			t.Errorf("Next that waited: %v, want ErrStopped", err)
		}
		client.Text("late")
		if m, err := c.Next(); err != wire.ErrStopped {
			t.Errorf("Next after it: %v, %v, want ErrStopped", m, err)
		}

		client, c = connect(t, wire.Options{MaxMessageSize: mb}, false)
		client.WriteBytes(join(frame(fin, opText, "one"), frame(fin, opPing, "p"), frame(fin, opText, "two")))
		c.SetHooks(hooks{nil, func(m websock.Message) bool { t.Errorf("hook called with %v", m); return true }})
		if _, err := c.Next(); err != nil {
			t.Fatal(err)
		}
		c.Discard()
		if m, err := c.Next(); err != wire.ErrStopped {
			t.Errorf("a ping that was read before: %v, %v, want ErrStopped", m, err)
		}

		for name, rest := range map[string][]byte{"in one frame": frame(fin, opText, "two"), "in two": join(frame(0, opText, "tw"), frame(fin, opCont, "o"))} {
			client, c = connect(t, wire.Options{MaxMessageSize: mb}, false)
			client.WriteBytes(join(frame(fin, opText, "one"), rest))
			if _, err := c.Next(); err != nil {
				t.Fatal(err)
			}
			c.Discard()
			if m, err := c.Next(); err != wire.ErrStopped {
				t.Errorf("a message %s that was read before: %v, %v, want ErrStopped", name, m, err)
			}
		}
	})
}

// TestNext_hookStops: OnControl's false ends reading, also inside a message.
func TestNext_hookStops(t *testing.T) {
	client, c := connect(t, wire.Options{MaxMessageSize: mb}, false)
	client.WriteBytes(join(frame(0, opText, "a"), frame(fin, opPing, "p"), frame(fin, opCont, "b"), closeFrame(1000, "bye")))
	c.SetHooks(hooks{nil, func(websock.Message) bool { return false }})
	if m, err := c.Next(); err != wire.ErrStopped {
		t.Fatalf("Next: %v, %v, want ErrStopped", m, err)
	}
	if err := c.Linger(time.Time{}, 0); err != nil {
		t.Errorf("Linger: %v", err)
	}
	if _, received := c.CloseFrames(); received == nil || *received != (websock.CloseDetail{Code: 1000, Reason: "bye"}) {
		t.Errorf("Close frame received: %v", received)
	}
}

// TestNext_hookBeforeWait: called whenever Next may block while frames wait, and
// not when what it needs is there.
func TestNext_hookBeforeWait(t *testing.T) {
	client, c := connect(t, wire.Options{MaxMessageSize: mb}, false)
	calls := 0
	c.SetHooks(hooks{func() { calls++ }, nil})
	c.Append(websock.Text("waits"))
	client.WriteBytes(join(frame(fin, opText, "one"), frame(fin, opText, "two"), frame(fin, opPing, "no hook for it")))
	client.Close(1000, "")
	for want, i := []int{1, 1, 1}, 0; i < 3; i++ {
		c.Next()
		if calls != want[i] {
			t.Fatalf("Next %d: hook was called %d times, want %d", i+1, calls, want[i])
		}
	}

	// What the hook does is seen before the wait.
	_, c = connect(t, wire.Options{}, false)
	c.SetHooks(hooks{func() { c.Discard() }, nil})
	c.Append(websock.Text("waits"))
	if _, err := c.Next(); err != wire.ErrStopped {
		t.Errorf("Discard in the hook: %v, want ErrStopped", err)
	}
}

func TestAbort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, call := range map[string]func(c *wire.Conn) error{
			"Next":   func(c *wire.Conn) error { return next(c)() },
			"Linger": func(c *wire.Conn) error { return c.Linger(time.Time{}, 0) },
			"Flush": func(c *wire.Conn) error {
				c.Append(websock.Binary(make([]byte, 8<<20)))
				return c.Flush()
			},
		} {
			_, c := connect(t, wire.Options{MaxMessageSize: mb}, false)
			done := blocked(func() error { return call(c) })
			if err := c.Abort(); err != nil {
				t.Errorf("%s: Abort: %v", name, err)
			}
			if err := <-done; !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s that blocked: %v, want net.ErrClosed", name, err)
			}
			if err := c.Abort(); err != nil {
				t.Errorf("%s: second Abort: %v", name, err)
			}
			if err := c.Append(websock.Text("late")); !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s: Append after Abort: %v, want net.ErrClosed", name, err)
			}
		}
	})
}

// TestTransportErrors are returned as they are.
func TestTransportErrors(t *testing.T) {
	client, c := connect(t, wire.Options{MaxMessageSize: mb}, false)
	client.Conn().Close()
	if _, err := c.Next(); err != io.EOF {
		t.Errorf("peer closed TCP: %v, want io.EOF", err)
	}
	client, c = connect(t, wire.Options{MaxMessageSize: mb}, false)
	client.WriteBytes(frame(fin, opText, "hello")[:5])
	client.Conn().(*pipe.Conn).Reset()
	if _, err := c.Next(); !errors.Is(err, pipe.ErrReset) {
		t.Errorf("peer reset TCP: %v, want %v", err, pipe.ErrReset)
	}
}
