package socket_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/websock"
)

// answerer streams to its client what takes long to make, as a proxy of a language model does, and goes on answering meanwhile.
type answerer struct {
	messages, size int
	every          time.Duration
	stream         actor.TaskRef
	ended          actor.Done[int]
}

func (a *answerer) Init(ctx context.Context) websock.Result {
	a.stream = actor.Async(ctx, func(ctx context.Context) (int, error) {
		for i := range a.messages {
			time.Sleep(a.every)
			p := make([]byte, a.size)
			binary.BigEndian.PutUint32(p, uint32(i))
			if err := actor.SendWait(ctx, actor.Self(ctx), websock.Binary(p)); err != nil {
				return i, err
			}
		}
		return a.messages, nil
	})
	return websock.OK()
}

func (a *answerer) HandleIn(_ context.Context, msg websock.Message) websock.Result {
	a.stream.Cancel()
	return websock.Push(websock.Text("stopped"))
}

func (a *answerer) HandleInfo(_ context.Context, msg any) websock.Result {
	a.ended = msg.(actor.Done[int])
	return websock.OK()
}

// A thousand messages a second, to a client that reads two hundred: by Send the socket would end with ErrOverload, and with a
// thousand messages that Send has taken. By SendWait nothing is lost, and what waits is bounded.
func TestStream_toAClientThatReadsSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const messages, reads = 2500, 200
		h := &answerer{messages: messages, size: 512, every: time.Millisecond}
		sys := sockettest.NewSystem(t)
		c := sockettest.Serve(t, socket.Config{System: sys, Logger: quiet}, h)
		c.Pause(4 << 10)
		start := time.Now()
		for i := range messages {
			time.Sleep(time.Second / reads)
			if got := binary.BigEndian.Uint32(c.Next().Data); got != uint32(i) {
				t.Fatalf("message %d is %d", i, got)
			}
			if info, err := actor.Inspect(c.PID); err != nil || info.Mailbox > 512+1 { // and a Done at the end
				t.Fatalf("after %v: %d messages wait: %v", time.Since(start), info.Mailbox, err)
			}
		}
		synctest.Wait()
		if h.ended.Value != messages || h.ended.Err != nil {
			t.Errorf("the stream has ended after %d messages with %v, want %d, nil", h.ended.Value, h.ended.Err, messages)
		}
		if took := time.Since(start); took < messages*time.Second/reads {
			t.Errorf("%d messages were read in %v", messages, took)
		}
	})
}

// A socket whose stream waits takes what others send, and its client can stop the stream.
func TestStream_leavesRoomForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &answerer{messages: 10_000, size: 4 << 10, every: time.Millisecond}
		c := sockettest.Serve(t, socket.Config{Logger: quiet, MailboxLimit: 16}, h)
		c.Pause(4 << 10)
		time.Sleep(time.Second) // the stream waits for room
		for i := range 8 {
			if !c.PID.Send(websock.Text(fmt.Sprint("news ", i))) {
				t.Fatalf("news %d was refused, half of a mailbox is for those who do not wait", i)
			}
		}
		c.Send(websock.Text("stop"))
		c.Resume()
		for news, stopped := 0, false; news < 8 || !stopped; {
			switch m := c.Next(); {
			case m.Equal(websock.Text(fmt.Sprint("news ", news))):
				news++
			case m.Equal(websock.Text("stopped")):
				stopped = true
			case m.Opcode != websock.OpBinary:
				t.Fatalf("got %v", m)
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if h.ended.Err != context.Canceled || h.ended.Value == 10_000 {
			t.Errorf("the stream has ended after %d messages with %v, want it cancelled", h.ended.Value, h.ended.Err)
		}
	})
}

// A stream ends with its socket.
func TestStream_clientGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := sockettest.NewSystem(t)
		c := sockettest.Serve(t, socket.Config{System: sys, Logger: quiet}, &idleHandler{})
		ended := make(chan error, 1)
		go func() { // it belongs to no process
			for {
				if err := actor.SendWait(context.Background(), c.PID, websock.Binary(make([]byte, 4<<10))); err != nil {
					ended <- err
					return
				}
			}
		}()
		c.Pause(4 << 10)
		synctest.Wait()
		c.Drop()
		if err := <-ended; !isNoProcess(err) {
			t.Errorf("SendWait to a socket whose client has gone: %v, want ErrNoProcess", err)
		}
	})
}
