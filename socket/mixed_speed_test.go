package socket_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

// teller streams numbered messages to its client, when that says so.
type teller struct {
	idleHandler
	messages, size int
	every          time.Duration // between two of them
	made           atomic.Int64
	ended          chan error // when all were made, or no more can be
}

func (h *teller) next(i int) websock.Message {
	p := make([]byte, h.size)
	binary.BigEndian.PutUint32(p, uint32(i))
	h.made.Add(1)
	return websock.Binary(p)
}

// byWaiting is a teller that makes a message when it has slept, and waits with each for room.
type byWaiting struct{ *teller }

func (h byWaiting) HandleIn(ctx context.Context, _ websock.Message) websock.Result {
	actor.Async(ctx, func(ctx context.Context) (struct{}, error) {
		for i := range h.messages {
			time.Sleep(h.every)
			if err := actor.SendWait(ctx, actor.Self(ctx), h.next(i)); err != nil {
				h.ended <- err
				return struct{}{}, err
			}
		}
		h.ended <- nil
		return struct{}{}, nil
	})
	return websock.OK()
}

// byStream is a teller that has all messages at hand.
type byStream struct{ *teller }

func (h byStream) HandleIn(context.Context, websock.Message) websock.Result {
	return websock.Stream(func(yield func(websock.Message) bool) {
		for i := range h.messages {
			if !yield(h.next(i)) {
				h.ended <- errors.New("stopped")
				return
			}
		}
		h.ended <- nil
	})
}

// reads is how a client reads: how long it sleeps before message i.
type reads struct {
	name  string
	sleep func(i int) time.Duration
}

var mixedSpeeds = []reads{
	{"at once", func(int) time.Duration { return 0 }},
	{"200 a second", func(int) time.Duration { return 5 * time.Millisecond }},
	{"20 a second", func(int) time.Duration { return 50 * time.Millisecond }},
	{"one a second, and then at once", func(i int) time.Duration {
		if i < 10 {
			return time.Second
		}
		return 0
	}},
	{"not for nine seconds, in the middle", func(i int) time.Duration {
		if i == 50 {
			return 9 * time.Second // shorter than WriteTimeout
		}
		return 0
	}},
}

// A thousand streams at once, to clients of five speeds: nothing is lost, everything is in order, what a stream is ahead of its client
// is bounded, and a client that reads at once gets each message in the moment in which it is made.
func TestStream_aThousandOfMixedSpeed(t *testing.T) {
	const messages, size, limit, window = 100, 2 << 10, 16, 8 << 10
	// What a write has in its hands, which is 64 KiB and one message more, what is on the way, and read ahead.
	const most = 64<<10/size + 1 + window/size + 2
	streams := 1000
	if raceEnabled() {
		streams = 200
	}
	for _, how := range []struct {
		name  string
		every time.Duration
		more  int64 // that it may be ahead
		make  func(*teller) websock.Handler
	}{
		// half of the mailbox, and one in the hands of the stream
		{"SendWait", time.Millisecond, limit/2 + 1, func(h *teller) websock.Handler { return byWaiting{h} }},
		// what is put together while a write waits
		{"Stream", 0, 64<<10/size + 1, func(h *teller) websock.Handler { return byStream{h} }},
	} {
		bubble(t, how.name, func(t *testing.T) {
			r := serve(t, socket.Config{Logger: quiet, MailboxLimit: limit})
			start := time.Now()
			var clients sync.WaitGroup
			for i := range streams {
				h := &teller{messages: messages, size: size, every: how.every, ended: make(chan error, 1)}
				c, speed := r.dial(how.make(h)), mixedSpeeds[i%len(mixedSpeeds)]
				c.conn.SetReadBuffer(window)
				c.must(c.Text("go"))
				clients.Go(func() {
					if err := readStream(c, h, speed, most+how.more, limit/2+2, start); err != nil { // a Done, and a notice
						t.Errorf("client %d, which reads %s: %v", i, speed.name, err)
					}
				})
			}
			clients.Wait()
			synctest.Wait()
			if n := r.srv.Count(); n != streams {
				t.Errorf("%d sockets are left, want all %d; ended: %v", n, streams, r.closed)
			}
			if st := r.srv.Stats(); st.LeftOut != 0 {
				t.Errorf("%d messages were left out", st.LeftOut)
			}
		})
	}
}

// readStream reads all messages of a stream at its speed.
func readStream(c *client, h *teller, speed reads, ahead int64, wait int, start time.Time) error {
	for i := range h.messages {
		time.Sleep(speed.sleep(i))
		_, p, err := c.ReadMessage()
		if err != nil {
			return fmt.Errorf("message %d: %w", i, err)
		}
		if n := binary.BigEndian.Uint32(p); len(p) != h.size || n != uint32(i) {
			return fmt.Errorf("message %d is %d, of %d bytes", i, n, len(p))
		}
		if n := h.made.Load() - int64(i); n > ahead {
			return fmt.Errorf("at message %d the stream is %d ahead, want %d at most", i, n, ahead)
		}
		if info, err := actor.Inspect(c.pid); err != nil || info.Mailbox > wait {
			return fmt.Errorf("at message %d %d wait, %v; want %d at most", i, info.Mailbox, err, wait)
		}
		if at, made := time.Since(start), time.Duration(i+1)*h.every; speed.name == "at once" && at != made {
			return fmt.Errorf("message %d came after %v, and was made after %v", i, at, made)
		}
	}
	if err := <-h.ended; err != nil {
		return fmt.Errorf("the stream has ended with %w", err)
	}
	return nil
}
