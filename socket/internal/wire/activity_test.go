package wire_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// TestActivity walks through the life of a connection on a fake clock. Times are
// seconds since the start; -1: zero.
func TestActivity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		client, c := connect(t, wire.Options{MaxMessageSize: mb}, false)
		check := func(step string, read, write, waiting, message float64) {
			t.Helper()
			synctest.Wait()
			a := c.Activity()
			seconds := func(at time.Time) float64 {
				if at.IsZero() {
					return -1
				}
				return at.Sub(start).Seconds()
			}
			got := [4]float64{seconds(a.LastRead), seconds(a.LastWrite), seconds(a.WaitingSince), seconds(a.MessageSince)}
			if want := [4]float64{read, write, waiting, message}; got != want {
				t.Errorf("%s: LastRead, LastWrite, WaitingSince, MessageSince = %v, want %v", step, got, want)
			}
		}
		sleep := func() { time.Sleep(time.Second) }
		send := func(p []byte) { client.WriteBytes(p) }
		messages := make(chan websock.Message)
		more := make(chan bool)
		go func() {
			defer close(messages)
			for range more {
				m, err := c.Next()
				if err != nil {
					return
				}
				messages <- m
			}
		}()

		check("nobody reads", -1, -1, -1, -1)
		sleep() // 1
		more <- true
		check("waits", -1, -1, 1, -1)
		sleep() // 2
		send([]byte{0x81})
		check("first byte of a header", 2, -1, 2, 2)
		sleep() // 3
		send(frame(fin, opText, "hello")[1:8])
		check("some payload", 3, -1, 3, 2)
		sleep() // 4
		send(frame(fin, opText, "hello")[8:])
		<-messages
		check("message complete, nobody reads", 4, -1, -1, -1)
		sleep() // 5
		more <- true
		check("waits again", 4, -1, 5, -1)
		sleep() // 6
		send(frame(0, opText, "a"))
		check("a fragment", 6, -1, 6, 6)
		sleep() // 7
		send(frame(fin, opPing, "p"))
		check("a ping inside a message", 7, -1, 7, 6)
		sleep() // 8
		send(join(frame(fin, opCont, "b"), frame(fin, opText, "c")[:3]))
		<-messages
		sleep() // 9
		more <- true
		check("the next message began with the same read", 8, -1, 9, 9)
		send(frame(fin, opText, "c")[3:])
		<-messages
		more <- true
		sleep() // 10
		send(frame(fin, opPing, "p")[:3])
		check("part of a ping", 10, -1, 10, 10)
		sleep() // 11
		send(frame(fin, opPing, "p")[3:])
		check("a whole ping", 11, -1, 11, -1)
		sleep() // 12
		if err := errors.Join(c.Append(websock.Text("x")), c.Flush()); err != nil {
			t.Fatal(err)
		}
		check("a write", 11, 12, 11, -1)
		c.Discard()
		<-messages
		check("the end", 11, 12, -1, -1)
		close(more)
	})
}

func TestCounts(t *testing.T) {
	client, c := connect(t, wire.Options{MaxMessageSize: mb}, true)
	squeezed := deflated(str(1000))
	client.WriteBytes(join(
		frame(fin, opText, "hello"), frame(0, opBinary, "abc"), frame(0, opCont, ""), frame(fin, opPing, "12"), frame(fin, opCont, "d"),
		frame(fin, opPong, ""), frame(fin|rsv1, opText, squeezed), frame(fin, opText, ""), closeFrame(1000, "bye"),
	))
	readAll(c)
	for range 3 {
		c.Append(websock.Text("out"))
	}
	c.Append(websock.Ping([]byte("1")))
	c.AppendClose(websock.CloseDetail{Code: 1000})
	want := wire.Counts{
		In: wire.FrameCounts{
			Text:         wire.Count{Frames: 3, Bytes: 5 + int64(len(squeezed))},
			Binary:       wire.Count{Frames: 1, Bytes: 3},
			Continuation: wire.Count{Frames: 2, Bytes: 1},
			Ping:         wire.Count{Frames: 1, Bytes: 2},
			Pong:         wire.Count{Frames: 1},
			Close:        wire.Count{Frames: 1, Bytes: 5},
		},
		Out: wire.FrameCounts{
			Text:  wire.Count{Frames: 3, Bytes: 9},
			Ping:  wire.Count{Frames: 1, Bytes: 1},
			Close: wire.Count{Frames: 1, Bytes: 2},
		},
	}
	if got := c.Counts(); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
