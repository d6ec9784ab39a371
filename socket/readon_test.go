package socket_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/websock"
)

// slowTerminate stops at the first message, or in Init, and takes its time to terminate.
type slowTerminate struct {
	atInit bool
	done   chan time.Time
}

func (s *slowTerminate) Init(context.Context) websock.Result {
	if s.atInit {
		return websock.Close(websock.CloseNormal, "")
	}
	return websock.OK()
}
func (s *slowTerminate) HandleIn(context.Context, websock.Message) websock.Result {
	return websock.Close(websock.CloseNormal, "")
}
func (s *slowTerminate) HandleInfo(context.Context, any) websock.Result { return websock.OK() }
func (s *slowTerminate) Terminate(context.Context, error) {
	time.Sleep(2 * time.Second)
	s.done <- time.Now()
}

// Terminate does not keep the wire from waiting for the peer's Close, on whatever goroutine the socket
// has ended.
func TestEnd_readsOnWhileTerminateRuns(t *testing.T) {
	for name, atInit := range map[string]bool{"in Init": true, "in HandleIn": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &slowTerminate{atInit: atInit, done: make(chan time.Time, 1)}
				closed := make(chan socket.Closed, 1)
				c := sockettest.Serve(t, socket.Config{
					CloseTimeout: time.Second,
					OnClose:      func(cl socket.Closed) { closed <- cl },
				}, h)
				if !atInit {
					c.Send(websock.Text("stop"))
				}
				c.WantClose(websock.CloseNormal, "") // and the client answers with its own
				cl := <-closed
				if cl.Received == nil || cl.Received.Code != websock.CloseNormal {
					t.Errorf("Closed.Received = %+v, want the client's 1000", cl.Received)
				}
				if at := <-h.done; cl.LastRead.After(at.Add(-2 * time.Second)) {
					t.Errorf("the peer's Close was read at %v, Terminate began at %v: want no later", cl.LastRead, at.Add(-2*time.Second))
				}
			})
		})
	}
}
