package wire_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
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
			t.Errorf("Next behind it: %v, %v, want ErrStopped", m, err)
		}

		client, c = connect(t, wire.Options{MaxMessageSize: mb}, false)
		client.WriteBytes(join(frame(fin, opText, "one"), frame(fin, opPing, "p"), frame(fin, opText, "two")))
		c.SetHooks(hooks{nil, func(m websock.Message) bool { t.Errorf("hook called with %v", m); return true }})
		if _, err := c.Next(); err != nil {
			t.Fatal(err)
		}
		c.Discard()
		if m, err := c.Next(); err != wire.ErrStopped {
			t.Errorf("a message that was read before: %v, %v, want ErrStopped", m, err)
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
				t.Errorf("%s: Append behind Abort: %v, want net.ErrClosed", name, err)
			}
		}
	})
}

// TestLinger starts where Next stopped, in the middle of anything.
func TestLinger(t *testing.T) {
	bye := closeFrame(1001, "bye")
	tests := []struct {
		name   string
		before []byte // read by Next until it waits, then it is interrupted
		after  []byte
		code   websock.CloseCode // of the Close received; 0: none
	}{
		{"nothing", nil, bye, 1001},
		{"inside a header", []byte{0x81}, join(frame(fin, opText, "hello")[1:], bye), 1001},
		{"inside a control frame", frame(fin, opPing, "hello")[:7], join(frame(fin, opPing, "hello")[7:], bye), 1001},
		{"inside a Close frame", bye[:7], bye[7:], 1001},
		{"inside a payload", frame(fin, opText, "hello")[:8], join(frame(fin, opText, "hello")[8:], bye), 1001},
		{"inside a large payload", frame(fin, opText, str(100_000))[:70_000], join(frame(fin, opText, str(100_000))[70_000:], bye), 1001},
		{"between fragments", frame(0, opText, "hello"), join(frame(fin, opCont, "hello"), frame(fin, opPing, "p"), bye), 1001},
		{"between fragments, never finished", frame(0, opText, "hello"), bye, 1001},
		{"inside a deflated payload", frame(fin|rsv1, opBinary, deflated(noise(100)))[:30], join(frame(fin|rsv1, opBinary, deflated(noise(100)))[30:], bye), 1001},
		{"messages of any size", nil, join(frame(fin, opText, str(3*mb)), frame(fin, opBinary, ""), bye), 1001},
		{"text that is not UTF-8", nil, join(frame(fin, opText, "\xff"), bye), 1001},
		{"empty Close", nil, frame(fin, opClose, ""), 1005},
		{"illegal Close", nil, frame(fin, opClose, "\x00"), 0},
		{"end of TCP", nil, frame(fin, opText, "hello"), 0},
		{"end of TCP inside a frame", nil, frame(fin, opText, "hello")[:3], 0},
		{"what cannot be parsed", nil, join([]byte{0xff, 0xff}, bytes.Repeat([]byte("junk"), 30_000)), 0},
	}
	for _, tt := range tests {
		for cut, chunks := range chops(tt.after) {
			t.Run(tt.name+", "+cut, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					client, c := connect(t, wire.Options{MaxMessageSize: mb}, true)
					client.WriteBytes(tt.before)
					done := blocked(next(c))
					c.Interrupt(errIdle)
					<-done
					drained := blocked(func() error { return c.Linger(time.Now(), time.Minute) })
					for _, chunk := range chunks {
						client.WriteBytes(chunk)
						if len(chunks) < 2000 {
							synctest.Wait()
						}
					}
					if tt.code == 0 {
						client.Conn().(*pipe.Conn).CloseWrite()
					}
					if err := <-drained; err != nil {
						t.Errorf("Linger: %v", err)
					}
					_, received := c.CloseFrames()
					if tt.code == 0 && received != nil || tt.code != 0 && (received == nil || received.Code != tt.code) {
						t.Errorf("Close frame received: %v, want code %d", received, tt.code)
					}
				})
			})
		}
	}
}

// TestLinger_afterErrors: whatever ended Next, a Close of the peer ends Linger
// where the frames can still be told apart; else the end of TCP does.
func TestLinger_afterErrors(t *testing.T) {
	bye := closeFrame(1000, "")
	tests := []struct {
		name  string
		input []byte // ends Next
		frame bool   // frames can be told apart
	}{
		{"too big", frame(fin, opBinary, str(2*mb)), true},
		{"deflate bomb", frame(fin|rsv1, opBinary, deflated(string(make([]byte, 2*mb)))), true},
		{"bad deflate", frame(rsv1, opBinary, "\x06\x06\x06"), true},
		{"not UTF-8", frame(0, opText, "\xff and more"), true},
		{"not UTF-8, inside a frame", frame(0, opText, "\xff"+str(100_000)), true},
		{"continuation of nothing", frame(fin, opCont, "hello"), true},
		{"text inside a message", join(frame(0, opText, "a"), frame(fin, opText, "hello")), true},
		{"not masked", []byte{0x81, 0x01, 'a'}, false},
		{"RSV", frame(fin|rsv3, opText, "hello"), false},
		{"unknown opcode", frame(fin, 5, "hello"), false},
		{"bad length", header16(0x81, 0x80, 1), false},
		{"peer's Close", closeFrame(4000, ""), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, c := connect(t, wire.Options{MaxMessageSize: mb}, true)
				client.WriteBytes(tt.input)
				if _, err := c.Next(); err == nil {
					t.Fatal("Next returned no error")
				}
				drained := blocked(func() error { return c.Linger(time.Time{}, 0) })
				client.WriteBytes(bye)
				synctest.Wait()
				select {
				case err := <-drained:
					if err != nil || !tt.frame {
						t.Errorf("Linger returned at the Close frame: %v", err)
					}
					return
				default:
				}
				if tt.frame {
					t.Error("Linger did not return at the Close frame")
				}
				client.WriteBytes([]byte("whatever"))
				client.Conn().Close()
				if err := <-drained; err != nil {
					t.Errorf("Linger at the end of TCP: %v", err)
				}
			})
		})
	}
}

func TestLinger_deadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, c := connect(t, wire.Options{MaxMessageSize: mb}, false)
		c.Discard()
		start := time.Now()
		done := blocked(func() error { return c.Linger(start, 5*time.Second) })
		client.Text("I do not close")
		// What ends Next does not end Linger.
		c.Interrupt(errIdle)
		c.Discard()
		if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 5*time.Second {
			t.Errorf("Linger: %v after %v, want a deadline error after 5s", err, time.Since(start))
		}
		if _, err := c.Next(); err != wire.ErrStopped {
			t.Errorf("Next behind Linger: %v, want ErrStopped", err)
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
