package socket_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

// lastMessage is what a handler sends with its Close: more than the kernels of both ends take in one second.
const lastMessage = 2 << 20

// ended is what a client got until its stream ended.
type ended struct {
	bytes int
	err   error // io.EOF: in order
	after time.Duration
}

// readSlowly reads size bytes every interval, for so long as it reads on, and counts.
func readSlowly(conn net.Conn, size int, every, reads time.Duration) ended {
	start, p, total := time.Now(), make([]byte, size), 0
	for {
		time.Sleep(every)
		if reads > 0 && time.Since(start) > reads {
			return ended{total, nil, time.Since(start)}
		}
		n, err := conn.Read(p)
		total += n
		if err != nil {
			return ended{total, err, time.Since(start)}
		}
	}
}

// lastFrames is how many bytes a last message and the Close frame "done" are.
const lastFrames = lastMessage + 10 + 2 + 2 + len("done")

func closesWithALastMessage() *handler {
	h := puppet()
	h.info = func(context.Context, any) websock.Result {
		return websock.Close(1000, "done", websock.Binary(make([]byte, lastMessage)))
	}
	return h
}

// A peer that is slow gets the last message and the Close frame, whatever it sends meanwhile: CloseTimeout begins when
// its kernel has all.
func TestClose_slowPeer(t *testing.T) {
	for _, tt := range []struct {
		name  string
		beats time.Duration // between heartbeats; 0: none
		sleep bool          // the socket sleeps when it ends
	}{
		{"that sends heartbeats", 50 * time.Millisecond, false},
		{"that is silent", 0, false},
		{"of a socket that sleeps", 0, true},
		{"that sends heartbeats to a socket that sleeps", 5 * time.Second, true},
	} {
		bubble(t, tt.name, func(t *testing.T) {
			r := serve(t, socket.Config{CloseTimeout: 500 * time.Millisecond, HibernateAfter: time.Second})
			r.ln.Buffer = 4 << 20
			c := r.dial(closesWithALastMessage())
			if tt.sleep {
				time.Sleep(4 * time.Second)
			}
			c.pid.Send("close")
			stop := make(chan struct{})
			var beating sync.WaitGroup
			if tt.beats > 0 {
				beating.Go(func() {
					for {
						select {
						case <-stop:
							return
						case <-time.After(tt.beats):
							c.Text("beat")
						}
					}
				})
			}
			got := readSlowly(c.conn, 32<<10, 20*time.Millisecond, 0)
			if got.bytes != lastFrames || got.err != io.EOF {
				t.Errorf("the peer, which reads 32 KiB in 20 ms, got %d bytes and %v after %v; want %d and EOF", got.bytes, got.err, got.after, lastFrames)
			}
			close(stop)
			beating.Wait()
			c.must(c.Close(1000, "")) // in time: the connection has waited for it
			if cl := c.end(); cl.Received == nil || cl.Received.Code != 1000 {
				t.Errorf("Closed.Received: got %v, want the Close that the peer sent when it had everything", cl.Received)
			}
		})
	}
}

// What ends the wait for a peer that has not taken everything: nothing taken for CloseTimeout, the end of Shutdown's
// ctx, a kill, and the end of a drain.
func TestClose_slowPeerEnds(t *testing.T) {
	for _, tt := range []struct {
		name  string
		reads time.Duration // how long the peer reads on; 0: to the end
		end   func(r *rig)
		want  time.Duration // from the Close to the end of TCP
	}{
		{"it stops reading", 300 * time.Millisecond, func(*rig) {}, 800 * time.Millisecond},
		{"it never reads", time.Nanosecond, func(*rig) {}, 500 * time.Millisecond},
		{"the end of Shutdown's ctx", 0, func(r *rig) {
			ctx, cancel := context.WithTimeout(context.Background(), 400*time.Millisecond)
			defer cancel()
			r.srv.Shutdown(ctx)
		}, 400 * time.Millisecond},
		{"Drain.Timeout", 0, func(r *rig) {
			r.srv.Drain(context.Background(), socket.Drain{Timeout: 400 * time.Millisecond})
		}, 400 * time.Millisecond},
	} {
		bubble(t, tt.name, func(t *testing.T) {
			var r *rig
			at := make(chan time.Time, 1)
			r = serve(t, socket.Config{CloseTimeout: 500 * time.Millisecond, OnClose: func(socket.Closed) { at <- time.Now() }})
			r.ln.Buffer = 4 << 20
			c := r.dial(closesWithALastMessage())
			start := time.Now()
			c.pid.Send("close")
			background(t, func() { readSlowly(c.conn, 32<<10, 20*time.Millisecond, tt.reads) })
			background(t, func() { tt.end(r) })
			took := (<-at).Sub(start)
			if took < tt.want || took > tt.want+80*time.Millisecond { // CloseTimeout looks eight times
				t.Errorf("TCP was closed after %v, want %v, or up to an eighth of CloseTimeout more", took, tt.want)
			}
		})
	}
}
