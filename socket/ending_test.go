package socket_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

// A callback that stops has decided, also while its last messages wait for a peer that reads slowly.
func TestEnding_takesNothingWhileTheLastMessagesAreWritten(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{WriteTimeout: time.Minute})
		c := r.dial(puppet())
		large := websock.Text(strings.Repeat("x", 1<<20)) // more than the transport holds
		c.pid.Send(do(func(context.Context) websock.Result { return websock.Close(4000, "", large) }))
		synctest.Wait()
		if c.pid.Send("late") || c.pid.Alive() {
			t.Errorf("while the last message is written: Send = %t, Alive = %t; want false, false", c.pid.Send("late"), c.pid.Alive())
		}
		c.pid.Exit(actor.ErrKilled)
	})
}
