package supervisor

import (
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/actor/host"
)

// firstRequest is how long a connection may take to send its first request when the server stops.
const firstRequest = 500 * time.Millisecond

// newConns knows the connections of an http.Server that have sent no whole request yet. http.Server.Shutdown would wait
// 5 s for them.
type newConns struct {
	log   *host.Log
	state func(net.Conn, http.ConnState) // of the user's; nil: none

	mu    sync.Mutex
	conns host.Map[net.Conn, time.Time] // since when
}

func watchNewConns(srv *http.Server, log *host.Log) *newConns {
	n := &newConns{log: log, state: srv.ConnState}
	srv.ConnState = n.changed
	return n
}

// changed is http.Server.ConnState.
func (n *newConns) changed(c net.Conn, s http.ConnState) {
	n.mu.Lock()
	if s == http.StateNew {
		n.conns.Put(c, time.Now())
	} else {
		n.conns.Delete(c)
	}
	n.mu.Unlock()
	if n.state == nil {
		return
	}
	defer func() { // net/http does not guard it everywhere
		if v := recover(); v != nil {
			n.log.Error("panic in http.Server.ConnState", "panic", v, "stack", string(debug.Stack()))
		}
	}()
	n.state(c, s)
}

// close closes those that came no later than t.
func (n *newConns) close(t time.Time) {
	n.mu.Lock()
	var old []net.Conn
	for c, since := range n.conns.All() {
		if !since.After(t) {
			old = append(old, c)
		}
	}
	n.mu.Unlock()
	for _, c := range old {
		_ = c.Close()
	}
}

// closeAll closes each of the connections as soon as it is firstRequest old. stop calls off what has not happened, or
// waits for it.
func (n *newConns) closeAll() (stop func()) {
	now := time.Now()
	n.close(now.Add(-firstRequest))
	closed := make(chan struct{})
	later := time.AfterFunc(firstRequest, func() {
		defer close(closed)
		n.close(time.Now())
	})
	return func() {
		if !later.Stop() {
			<-closed
		}
	}
}
