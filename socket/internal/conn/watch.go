package conn

import (
	"sync"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket/internal/notify"
)

// longCallback is how long a callback may keep its goroutine from reading, and how often the watch looks.
const longCallback = 100 * time.Millisecond

// watches is how many a Group has. Messages of quiet connections enter one each, on all processors at once.
const watches = 16

// watch finds callbacks that take long. A connection enters its watch when a callback begins, or the reader has taken a turn. It
// leaves it when the watch looks and neither is so any more, or nothing is left to do about the callback. So a busy connection
// enters it once in a while, and most of its messages cost a look at a flag; on a quiet one, each message costs an append to a
// slice. The timer runs only while there are connections in the watch.
type watch struct {
	mu    sync.Mutex
	conns []*Conn
	spare []*Conn     // the slice that is not in use
	timer *time.Timer // nil: there has been none
	runs  bool        // the timer is set, or has fired and looks
	_     [56]byte    // another watch is another cache line
}

// enter puts c into its watch. It is called when a callback begins, or the reader has taken a turn, and c is not in it; the process
// has noted that before. The watch clears c.watched first, and then asks the process, so it misses no callback.
func (g *Group) enter(c *Conn) {
	if !c.watched.CompareAndSwap(false, true) {
		return
	}
	w := &g.watches[c.watch]
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns = append(w.conns, c)
	if w.runs {
		return
	}
	w.runs = true
	if w.timer == nil {
		w.timer = time.AfterFunc(longCallback, w.look)
	} else {
		w.timer.Reset(longCallback)
	}
}

// look looks at all connections that are in the watch.
func (w *watch) look() {
	w.mu.Lock()
	conns := w.conns
	w.conns, w.spare = w.spare, nil
	w.mu.Unlock()
	stay := conns[:0]
	for _, c := range conns {
		c.watched.Store(false)
		if c.look() && c.watched.CompareAndSwap(false, true) { // else it has entered again meanwhile
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

// look does what is to be done about a callback that takes long, and tells whether to look at c again.
func (c *Conn) look() (again bool) {
	d, slow := c.port.Callback(), c.group.opts.SlowCallback
	if d >= longCallback {
		c.relieve()
		c.watchPeer(notify.HalfClosed)
	}
	switch {
	case d == 0:
		return c.turns() // it has taken the turn, and begins
	case d < longCallback:
		return true
	case slow <= 0:
		return c.turns()
	case d < slow || c.wire.Writing(): // a callback that waits for the peer to read is not slow itself
		return true
	}
	info, err := actor.Inspect(c.PID())
	if err == nil && info.For < slow { // another one has begun
		return true
	} else if err == nil {
		c.group.opts.Slow(c, info.Handling, info.For)
	}
	return c.turns()
}

// turns tells whether the reader runs a turn, in which a callback or a write may take long.
func (c *Conn) turns() bool { return c.port.Delivering() && c.PID().Alive() }
