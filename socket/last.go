package socket

import (
	"slices"
	"sync"
)

// lastClosed are the last sockets that have ended.
type lastClosed struct {
	most int
	mu   sync.Mutex
	list []Closed
	next int // where the next one goes, once there are most of them
}

func (l *lastClosed) add(cl *Closed) {
	if l.most == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.list) < l.most {
		l.list = append(l.list, *cl)
		return
	}
	l.list[l.next] = *cl
	l.next = (l.next + 1) % l.most
}

// LastClosed returns how the sockets have ended that were the last to end, the oldest first: what OnClose has got, or is about
// to get, for a page or a tool that comes later. As many are kept as Config.LastClosed says, those from before a Shutdown
// included.
func (s *Server) LastClosed() []Closed {
	l := &s.last
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Concat(l.list[l.next:], l.list[:l.next])
}
