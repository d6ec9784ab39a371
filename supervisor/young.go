package supervisor

import (
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/actor/host"
)

// youth is how long a connection may take to send its first request when the server stops.
const youth = 500 * time.Millisecond

// young knows the connections of an http.Server that have sent no whole request yet. http.Server.Shutdown would wait 5
// s for them.
type young struct {
	log   *host.Log
	state func(net.Conn, http.ConnState) // of the user's; nil: none

	mu    sync.Mutex
	conns host.Map[net.Conn, time.Time] // since when
}

func watchYoung(srv *http.Server, log *host.Log) *young {
	y := &young{log: log, state: srv.ConnState}
	srv.ConnState = y.changed
	return y
}

// changed is http.Server.ConnState.
func (y *young) changed(c net.Conn, s http.ConnState) {
	y.mu.Lock()
	if s == http.StateNew {
		y.conns.Put(c, time.Now())
	} else {
		y.conns.Delete(c)
	}
	y.mu.Unlock()
	if y.state == nil {
		return
	}
	defer func() { // net/http does not guard it everywhere
		if v := recover(); v != nil {
			y.log.Error("panic in http.Server.ConnState", "panic", v, "stack", string(debug.Stack()))
		}
	}()
	y.state(c, s)
}

// close closes those that came before t.
func (y *young) close(t time.Time) {
	y.mu.Lock()
	var old []net.Conn
	for c, since := range y.conns.All() {
		if !since.After(t) {
			old = append(old, c)
		}
	}
	y.mu.Unlock()
	for _, c := range old {
		_ = c.Close()
	}
}

// closeAll closes the connections, each when it is no longer younger than youth. stop ends that, and waits for it.
func (y *young) closeAll() (stop func()) {
	now := time.Now()
	y.close(now.Add(-youth))
	closed := make(chan struct{})
	later := time.AfterFunc(youth, func() {
		defer close(closed)
		y.close(time.Now())
	})
	return func() {
		if !later.Stop() {
			<-closed
		}
	}
}
