package wire

import (
	"encoding/binary"
	"slices"

	"github.com/troupe-dev/troupe/socket/internal/frame"
	"github.com/troupe-dev/troupe/websock"
)

// Watcher is told what crosses a connection: what is appended, in the order in which it is, and what [Conn.Show] is given. Its
// methods are called with the lock of the writing side held, one at a time, on any goroutine. They must not block, and must not
// keep payload. It must be comparable.
type Watcher interface {
	// Crossed gets a message, whole and not compressed, or a control frame.
	Crossed(in bool, op websock.Opcode, payload []byte)
	// Gone is called once, last, when the Watcher was not taken off before [Conn.EndWatch].
	Gone()
}

// OpClose is the opcode of a Close frame, for Watchers; package websock has none.
const OpClose = websock.Opcode(frame.Close)

// watchers are those of one connection. They are not changed, but replaced by others.
type watchers []Watcher

// noWatchers is what a connection has after EndWatch.
var noWatchers = new(watchers)

// Watch adds a Watcher, unless there are most already, or EndWatch was called.
func (w *writer) Watch(x Watcher, most int) (added, over bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var now watchers
	if old := w.t.watchers; old == noWatchers {
		return false, true
	} else if old != nil {
		now = *old
	}
	if len(now) >= most {
		return false, false
	}
	w.setWatchers(append(slices.Clip(now), x))
	return true, false
}

// Unwatch takes a Watcher off. False: it was off already.
func (w *writer) Unwatch(x Watcher) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	old := w.t.watchers
	if old == nil || !slices.Contains(*old, x) {
		return false
	}
	w.setWatchers(slices.DeleteFunc(slices.Clone(*old), func(y Watcher) bool { return y == x }))
	return true
}

// EndWatch takes all Watchers off, and tells them so. There will be none any more.
func (w *writer) EndWatch() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if old := w.t.watchers; old != nil {
		for _, x := range *old {
			x.Gone()
		}
	}
	w.watched, w.t.watchers = false, noWatchers
}

// setWatchers replaces the watchers; w.mu is held.
func (w *writer) setWatchers(now watchers) {
	w.watched = len(now) > 0
	w.t.watchers = nil
	if w.watched {
		w.t.watchers = &now
	}
}

// Show tells the Watchers what has come from the peer.
func (w *writer) Show(m websock.Message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.watched {
		w.show(true, m.Opcode, m.Data)
	}
}

// ShowClose is Show of a Close frame.
func (w *writer) ShowClose(d websock.CloseDetail) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.watched {
		w.show(true, OpClose, closePayload(d))
	}
}

// show tells the watchers, of which there are some; w.mu is held. It must not be inlined: Append is to need little of the stack.
//
//go:noinline
func (w *writer) show(in bool, op websock.Opcode, payload []byte) {
	for _, x := range *w.t.watchers {
		x.Crossed(in, op, payload)
	}
}

// closePayload is the payload of a Close frame, as its receiver sees it: code 1005 stands for an empty one.
func closePayload(d websock.CloseDetail) []byte {
	if d.Code == 0 || d.Code == websock.CloseNoStatus {
		return nil
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(d.Code)), d.Reason...)
}
