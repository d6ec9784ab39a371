package socket_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

// A drain that the supervisor cuts short, as after a second signal, gives all their Close frame before it kills, those too
// whose callback does not return, and takes half a second at most.
func TestTree_killedInADrain(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{Drain: socket.Drain{Over: 10 * time.Second}})
		release := make(chan struct{})
		defer close(release)
		type end struct {
			code uint16
			at   time.Time
		}
		ends := make(chan end, 50)
		for i := range 50 {
			c := r.dial(puppet())
			if i%10 == 0 {
				c.pid.Send(do(func(context.Context) websock.Result { <-release; return websock.OK() }))
			}
			go func() {
				op, p, err := c.ReadMessage()
				if err != nil || op != rawclient.OpClose {
					p = nil
				}
				ends <- end{codeOf(p), time.Now()}
				c.conn.Close()
			}()
		}
		synctest.Wait()
		tree, err := supervisor.New(supervisor.Config{Logger: quiet},
			supervisor.ChildSpec{ID: "sockets", Service: r.srv, Shutdown: 2 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		v := runService(t, tree)
		start := time.Now()
		v.stop(nil)
		<-v.done
		early := 0
		for range 50 {
			e := <-ends
			if e.code != 1001 {
				t.Errorf("Close frame %d, want 1001", e.code)
			}
			if d := e.at.Sub(start); d > 2500*time.Millisecond {
				t.Errorf("Close frame after %v, want it by 2.5s", d)
			} else if d < 2*time.Second {
				early++
			}
		}
		if early == 0 || early > 12 {
			t.Errorf("%d Close frames before the kill, want some: they are spread over 10s", early)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := r.srv.Count(); n != 0 {
			t.Errorf("%d sockets are left", n)
		}
	})
}
