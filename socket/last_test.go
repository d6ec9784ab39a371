package socket_test

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

func TestServer_LastClosed(t *testing.T) {
	for _, tt := range []struct{ setting, kept int }{{0, 256}, {3, 3}, {-1, 0}} {
		bubble(t, fmt.Sprint(tt.setting), func(t *testing.T) {
			r := serve(t, socket.Config{LastClosed: tt.setting})
			if got := r.srv.LastClosed(); len(got) != 0 {
				t.Errorf("before all: %+v", got)
			}
			var want []socket.Closed
			for i := range 300 {
				c := r.dial(puppet())
				c.pid.Exit(&websock.CloseError{Code: websock.CloseCode(3000 + i)})
				c.must(c.Close(1000, ""))
				c.conn.Close()
				want = append(want, c.end())
			}
			want = want[len(want)-tt.kept:]
			if got := r.srv.LastClosed(); len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
				t.Errorf("%d ends: %+v\nwant %d: %+v", len(got), got, len(want), want)
			}
		})
	}
}

// What Inspect says of a socket's process is the type of its Handler.
func TestInspect_actorOfASocket(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{})
		c := r.dial(puppet())
		if info, err := actor.Inspect(c.pid); err != nil || info.Actor != "*socket_test.handler" {
			t.Errorf("Actor is %q, %v; want *socket_test.handler", info.Actor, err)
		}
		c.must(c.Close(1000, ""))
		c.conn.Close()
		c.end()
	})
}
