package wire_test

import (
	"bytes"
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// TestLinger_waits: also when Next would not have.
func TestLinger_waits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, c := connect(t, wire.Options{}, false)
		c.SetPatient(false)
		c.Interrupt(errIdle)
		if _, err := c.Next(); err != errIdle {
			t.Fatalf("Next: %v, want what interrupted it", err)
		}
		done := blocked(func() error { return c.Linger(time.Time{}, 0) })
		client.WriteBytes(closeFrame(1000, ""))
		if err := <-done; err != nil {
			t.Errorf("Linger, while the peer's Close comes: %v", err)
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
			t.Errorf("Next after Linger: %v, want ErrStopped", err)
		}
	})
}

// reads notes how much each Read can take, and cannot be waited for without reading, as TLS.
type reads struct {
	net.Conn
	sizes []int
}

func (r *reads) Read(p []byte) (int, error) {
	r.sizes = append(r.sizes, len(p))
	return r.Conn.Read(p)
}

// Connections that wait for their peers' Close frames may be many, as when a server drains: while nothing has come, they
// hold no read buffer.
func TestLinger_waitsWithoutABuffer(t *testing.T) {
	near, far := pipe.New(4 << 20)
	transport := &reads{Conn: far}
	client, c := over(t, near, transport, wire.Options{MaxMessageSize: mb}, false)
	client.WriteBytes(join(frame(fin, opText, "hello"), closeFrame(1000, "")))
	if err := c.Linger(time.Time{}, 0); err != nil {
		t.Fatalf("Linger: %v", err)
	}
	if transport.sizes[0] > 64 {
		t.Errorf("Linger waits with a buffer of %d bytes, want 64 at most", transport.sizes[0])
	}
}
