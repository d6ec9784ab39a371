package socket_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// borrower is a handler that borrows its messages.
type borrower struct{ handler }

func (*borrower) Borrows() {}

// TestBorrower: whatever HandleIn pushes of a message leaves as it was when HandleIn returned, though the next message
// is read into the same memory.
func TestBorrower(t *testing.T) {
	tests := []struct {
		name string
		push func(data []byte) []byte
	}{
		{"the message", func(d []byte) []byte { return d }},
		{"a part of it", func(d []byte) []byte { return d[len(d)/3:] }},
		{"more, in what room is behind it", func(d []byte) []byte { return append(d, make([]byte, 4096)...) }},
		{"16 KiB, in what room is behind it", func(d []byte) []byte {
			return append(d, make([]byte, max(16384-len(d), 0))...)
		}},
		{"changed in place", func(d []byte) []byte { slices.Reverse(d); return d }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			site := tcpSite(t, socket.Config{}, func() websock.Handler {
				return &borrower{handler{in: func(_ context.Context, m websock.Message) websock.Result {
					return websock.Push(websock.Binary(test.push(m.Data)))
				}}}
			})
			c := site.connect(rawclient.HandshakeOptions{})
			sizes := []int{5000, 5000, 100, 16384, 16384, 15000, 12000, 70000, 70000, 3000, 300000, 20000}
			for round := range 30 {
				background(t, func() {
					var frames []rawclient.Frame
					for i, n := range sizes {
						frames = append(frames, rawclient.Frame{Fin: true, Opcode: rawclient.OpBinary, Payload: filled(byte(i+round), n)})
					}
					c.Write(frames...)
				})
				for i, n := range sizes {
					op, got, err := c.ReadMessage()
					if want := test.push(filled(byte(i+round), n)); err != nil || op != rawclient.OpBinary || !bytes.Equal(got, want) {
						t.Fatalf("round %d, message %d of %d bytes: opcode %d, %d bytes, error %v, not what was pushed", round, i, n, op, len(got), err)
					}
				}
			}
		})
	}
}

// lends tells whether a message of 5,000 bytes that h gets is lent to it: then its memory is a buffer for messages of several
// sizes, else it has memory of its own.
func lends(t *testing.T, h websock.Handler, got chan websock.Message) (lent bool) {
	bubble(t, fmt.Sprintf("%T", h), func(t *testing.T) {
		c := serve(t, socket.Config{}).dial(h)
		c.must(c.Binary(make([]byte, 5000)))
		lent = cap((<-got).Data) > 8192
	})
	return lent
}

// passes is a websock.Wrapper that promises to keep nothing.
type passes struct{ wrapper }

func (passes) Borrows() {}

// A message is lent only if the handler and all that is around it keep nothing.
func TestBorrower_wrapped(t *testing.T) {
	got := make(chan websock.Message, 1)
	in := func(_ context.Context, m websock.Message) websock.Result {
		got <- m
		return websock.OK()
	}
	keeps, borrows := &handler{in: in}, &borrower{handler{in: in}}
	for _, tt := range []struct {
		name string
		h    websock.Handler
		want bool
	}{
		{"none borrows", keeps, false},
		{"it borrows", borrows, true},
		{"it borrows, and the wrapper may keep", wrapper{borrows}, false},
		{"the wrapper borrows, and it may keep", passes{wrapper{keeps}}, false},
		{"both borrow", passes{wrapper{borrows}}, true},
		{"the middle of three may keep", passes{wrapper{wrapper{borrows}}}, false},
		{"all of three borrow", passes{wrapper{passes{wrapper{borrows}}}}, true},
		{"it borrows, in something that is no Wrapper", struct{ websock.Handler }{borrows}, false},
	} {
		if got := lends(t, tt.h, got); got != tt.want {
			t.Errorf("%s: lent %t, want %t", tt.name, got, tt.want)
		}
	}
}

// What a callback has borrowed is not used again while it runs, though its process was killed, and never if it panics.
func TestBorrower_killedOrPanicked(t *testing.T) {
	const size = 20000
	for _, panics := range []bool{false, true} {
		bubble(t, fmt.Sprintf("panics %t", panics), func(t *testing.T) {
			r := serve(t, socket.Config{})
			var borrowed []byte
			entered, leave, left := make(chan bool), make(chan bool), make(chan bool)
			c := r.dial(&borrower{handler{in: func(_ context.Context, m websock.Message) websock.Result {
				borrowed = m.Data
				close(entered)
				<-leave
				defer close(left)
				if panics {
					panic("a mistake")
				}
				return websock.Push(m)
			}}})
			c.must(c.Binary(filled('a', size)))
			<-entered
			if !panics {
				c.pid.Exit(actor.ErrKilled)
				synctest.Wait()
			} else {
				close(leave)
				<-left
				synctest.Wait()
			}
			other := r.dial(&borrower{handler{in: func(_ context.Context, m websock.Message) websock.Result { return websock.Push(m) }}})
			for i := range 20 {
				other.must(other.Binary(filled(byte(i), size)))
				if _, got, err := other.ReadMessage(); err != nil || !bytes.Equal(got, filled(byte(i), size)) {
					t.Fatalf("the echo %d of another socket: %d bytes, error %v, not what was sent", i, len(got), err)
				}
			}
			if !bytes.Equal(borrowed, filled('a', size)) {
				t.Errorf("a message of %d bytes was overwritten though its callback has not given it back: begins with %q", size, borrowed[:8])
			}
			if !panics {
				close(leave)
				<-left
			}
		})
	}
}

// filled is n bytes that differ with b.
func filled(b byte, n int) []byte {
	p := make([]byte, n, n+20000)
	for i := range p {
		p[i] = b + byte(i%251)
	}
	return p
}
