package conn

import (
	"sync"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket/internal/notify"
)

// longCallback is how long a callback may keep its goroutine from reading, and how often the watch looks.
const longCallback = 100 * time.Millisecond

// watch finds the callbacks that take long. A connection enters it with a callback, and leaves it when the watch looks and
// none runs, or there is nothing more to do for one that does. So one that is busy enters it once in a while, and its
// messages cost the look at a flag; and one that is quiet costs each message a place in a slice. The watch runs only while
// there are any.
type watch struct {
	mu    sync.Mutex
	conns []*Conn
	spare []*Conn     // the slice that is not in use
	timer *time.Timer // nil: there has been none
	runs  bool
}

// enter has c looked at. A callback that begins calls it when c is not watched, after its process has noted that it runs. So
// the watch, which takes c.watched back and asks the process after that, misses none.
func (g *Group) enter(c *Conn) {
	if !c.watched.CompareAndSwap(false, true) {
		return
	}
	w := &g.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns = append(w.conns, c)
	if w.runs {
		return
	}
	w.runs = true
	if w.timer == nil {
		w.timer = time.AfterFunc(longCallback, g.look)
	} else {
		w.timer.Reset(longCallback)
	}
}

// look looks at all connections that are watched.
func (g *Group) look() {
	w := &g.watch
	w.mu.Lock()
	conns := w.conns
	w.conns, w.spare = w.spare, nil
	w.mu.Unlock()
	stay := conns[:0]
	for _, c := range conns {
		c.watched.Store(false)
		if c.look() && c.watched.CompareAndSwap(false, true) { // else it may have entered anew
			stay = append(stay, c)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns = append(w.conns, stay...)
	clear(conns)
	w.spare = conns[:0]
	if w.runs = len(w.conns) > 0; w.runs {
		w.timer.Reset(longCallback)
	}
}

// look sees to a callback that takes long, and tells whether it is to be looked at again.
func (c *Conn) look() (again bool) {
	d, slow := c.port.Callback(), c.group.opts.SlowCallback
	if d >= longCallback {
		c.relieve()
		c.watchPeer(notify.HalfClosed)
	}
	switch {
	case d == 0:
		return false
	case d < longCallback:
		return true
	case slow <= 0:
		return false
	case d < slow || c.wire.Writing(): // what waits for the peer is no slow callback
		return true
	}
	info, err := actor.Inspect(c.PID())
	if err == nil && info.For < slow { // another one has begun
		return true
	} else if err == nil {
		c.group.opts.Slow(c, info.Handling, info.For)
	}
	return false
}
