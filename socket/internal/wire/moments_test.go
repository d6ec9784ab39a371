package wire_test

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// TestActivity_messageAfterASplitPing: a ping that came in two reads is over when it is whole. The time of a message whose
// first byte comes with its end begins then.
func TestActivity_messageAfterASplitPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, c := connect(t, wire.Options{MaxMessageSize: mb}, false)
		next := make(chan string)
		go func() {
			m, err := c.Next()
			if err != nil {
				t.Errorf("Next: %v", err)
			}
			next <- string(m.Data)
		}()
		ping, hello := frame(fin, opPing, "p"), frame(fin, opText, "hello")
		client.WriteBytes(ping[:3])
		time.Sleep(time.Second)
		began := time.Now()
		client.WriteBytes(join(ping[3:], hello[:1]))
		synctest.Wait()
		if got := c.Activity().MessageSince; !got.Equal(began) {
			t.Errorf("the first byte of a message has come with the end of a ping: MessageSince is %v after that, want 0", got.Sub(began))
		}
		client.WriteBytes(hello[1:])
		if got := <-next; got != "hello" {
			t.Errorf("Next: got %q, want hello", got)
		}
	})
}

// slowControl is a hook that takes a while for a ping.
type slowControl time.Duration

func (slowControl) BeforeWait() {}

func (d slowControl) OnControl(websock.Message) bool { time.Sleep(time.Duration(d)); return true }

// TestActivity_notDuringOnControl: what the hook takes is not the time of the peer, whose message is open.
func TestActivity_notDuringOnControl(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, c := connect(t, wire.Options{MaxMessageSize: mb}, false)
		c.SetHooks(slowControl(10 * time.Second))
		next := make(chan string)
		go func() {
			m, err := c.Next()
			if err != nil {
				t.Errorf("Next: %v", err)
			}
			next <- string(m.Data)
		}()
		began := time.Now()
		client.WriteBytes(frame(0, opText, "a"))
		time.Sleep(time.Second)
		client.WriteBytes(frame(fin, opPing, "p"))
		synctest.Wait()
		if got := c.Activity().MessageSince; !got.IsZero() {
			t.Errorf("while OnControl runs MessageSince is %v, want none", got.Sub(began))
		}
		time.Sleep(11 * time.Second)
		if got, want := c.Activity().MessageSince.Sub(began), 10*time.Second; got != want {
			t.Errorf("a message is open for 12 s, of which OnControl took 10: MessageSince is %v after its first byte, want %v", got, want)
		}
		client.WriteBytes(frame(fin, opCont, "b"))
		if got := <-next; got != "ab" {
			t.Errorf("Next: got %q, want ab", got)
		}
	})
}

// TestFinished: TCP can be closed without a reset when nothing was read after the peer's Close.
func TestFinished(t *testing.T) {
	for after, want := range map[string]bool{"": true, "x": false} {
		client, c := connect(t, wire.Options{MaxMessageSize: mb}, false)
		client.WriteBytes(join(closeFrame(1000, ""), []byte(after)))
		readAll(c)
		if got := c.Finished(); got != want {
			t.Errorf("with %q after the peer's Close: Finished is %t, want %t", after, got, want)
		}
	}
}

// TestCloseWrite_afterAWriteOnItsWay: FIN takes nothing away of what another goroutine writes.
func TestCloseWrite_afterAWriteOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := pipe.New(8)
		client, c := over(t, near, far, wire.Options{MaxMessageSize: mb}, false)
		flushed, closed := make(chan error, 1), make(chan error, 1)
		go func() { flushed <- errors.Join(c.Append(websock.Text("more than eight bytes")), c.Flush()) }()
		synctest.Wait()
		go func() { closed <- c.CloseWrite() }()
		synctest.Wait()
		if _, p, err := client.ReadMessage(); err != nil || string(p) != "more than eight bytes" {
			t.Errorf("the message on its way: got %q, %v, want it whole", p, err)
		}
		if err := errors.Join(<-flushed, <-closed); err != nil {
			t.Errorf("Flush and CloseWrite: %v", err)
		}
		if n, err := near.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("after the message: %d bytes, %v, want io.EOF", n, err)
		}
	})
}
