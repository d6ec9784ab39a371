//go:build unix && !troupe_nosyscalls

package rawio

import (
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// watched is a TCP connection that tells of the write deadlines which are set.
type watched struct {
	*net.TCPConn
	set  chan time.Time
	last time.Time
}

func (w *watched) SetWriteDeadline(t time.Time) error {
	w.last = t
	if !t.IsZero() {
		w.set <- t
	}
	return w.TCPConn.SetWriteDeadline(t)
}

// watch returns a Conn over loopback whose descriptor is written to, and its peer. The kernel holds much less than 512
// KiB of what is on its way.
func watch(t *testing.T, timeout time.Duration) (near *net.TCPConn, far *watched, c *Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	near = client.(*net.TCPConn)
	far = &watched{TCPConn: server.(*net.TCPConn), set: make(chan time.Time, 1000)}
	near.SetReadBuffer(32 << 10)
	far.SetWriteBuffer(32 << 10)
	c = new(Conn)
	c.Init(far, &Settings{Epoch: time.Now(), WriteTimeout: timeout})
	raw, err := far.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	c.Conn, c.in, c.out = &descriptor{polled: far}, raw, raw
	t.Cleanup(func() {
		near.Close()
		far.Close()
	})
	return near, far, c
}

// next waits for the next deadline.
func (w *watched) next(t *testing.T) time.Time {
	t.Helper()
	select {
	case at := <-w.set:
		return at
	case <-time.After(10 * time.Second): // more than patience: it does not come
		t.Fatal("no deadline is set although the peer has taken hundreds of KiB since the last")
		panic("not reached")
	}
}

// TestWrite_deadlineFollowsProgress: the deadline of a write to a descriptor is set anew whenever the kernel has
// taken something. It needs a descriptor, and looks at the deadlines rather than at a clock.
func TestWrite_deadlineFollowsProgress(t *testing.T) {
	const size = 4 << 20
	for name, write := range map[string]func(*Writer, *Conn) error{
		"one buffer": func(w *Writer, c *Conn) error { return w.Write(c, make([]byte, size), nil) },
		"many pieces": func(w *Writer, c *Conn) error {
			return w.Write(c, nil, [][]byte{make([]byte, size), {1}, make([]byte, 10_000)})
		},
	} {
		t.Run(name, func(t *testing.T) {
			near, far, c := watch(t, time.Hour)
			var all sync.WaitGroup
			all.Go(func() {
				if err := write(new(Writer), c); err != nil {
					t.Errorf("Write: %v", err)
				}
				far.CloseWrite()
			})
			last := far.next(t) // the kernel takes no more
			for range 4 {
				if _, err := io.CopyN(io.Discard, near, 512<<10); err != nil {
					t.Fatal(err)
				}
				at := far.next(t) // it has taken some, and again takes no more
				if !at.After(last) {
					t.Errorf("the deadline was %v, and is %v after the peer has read 512 KiB; want a later one", last, at)
				}
				last = at
			}
			io.Copy(io.Discard, near)
			all.Wait()
			if !far.last.IsZero() {
				t.Errorf("after the write there is still a deadline, %v", far.last)
			}
		})
	}
}

// TestWrite_lastTry: at the deadline a write is tried once more, as the kernel may have room of which it has not told.
func TestWrite_lastTry(t *testing.T) {
	_, far, c := watch(t, time.Hour)
	w := Writer{c: c, armed: true}
	if !w.again() {
		t.Fatal("at its deadline: not tried again")
	}
	if w.again() {
		t.Error("at its deadline, though it was tried again and not even begun: tried once more")
	}
	w.written(0) // the kernel takes something, and no more
	<-far.set
	if !w.wait() || w.err != nil {
		t.Errorf("the last try took something: given up (%v), want that it waits again", w.err)
	}
	if !w.again() {
		t.Error("at the next deadline: not tried again")
	}
	if w.wait() || w.err != os.ErrDeadlineExceeded { //nolint:errorlint // itself
		t.Errorf("the last try took nothing: error %v, want the deadline's", w.err)
	}
}

// TestWrite_deadlineOfLimitWrites: it bounds also a write that begins to block after it was set.
func TestWrite_deadlineOfLimitWrites(t *testing.T) {
	near, far, c := watch(t, time.Hour)
	limit := time.Now().Add(time.Minute)
	c.LimitWrites(limit)
	if at := far.next(t); !at.Equal(limit) {
		t.Errorf("LimitWrites(%v) sets the deadline %v", limit, at)
	}
	var writing sync.WaitGroup
	writing.Go(func() { new(Writer).Write(c, make([]byte, 4<<20), nil) }) //nolint:errcheck,gosec // its peer goes
	if at := far.next(t); !at.Equal(limit) {
		t.Errorf("a write that blocks has the deadline %v, want %v, that of LimitWrites", at, limit)
	}
	near.SetLinger(0)
	near.Close()
	writing.Wait()
	if !far.last.Equal(limit) {
		t.Errorf("after the write the deadline is %v, want %v, that of LimitWrites", far.last, limit)
	}
}

// TestWrite_takesItsDeadlineBack: a write that had to wait leaves none for those after it, which would meet it.
func TestWrite_takesItsDeadlineBack(t *testing.T) {
	near, far, c := watch(t, time.Hour)
	written := make(chan error, 1)
	go func() { written <- new(Writer).Write(c, make([]byte, 512<<10), nil) }()
	far.next(t)
	if _, err := io.CopyN(io.Discard, near, 512<<10); err != nil {
		t.Fatal(err)
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if armed := c.limits.armed; armed != 0 {
		t.Errorf("after a write that has waited its deadline is %v, want none", c.Time(armed))
	}
}
