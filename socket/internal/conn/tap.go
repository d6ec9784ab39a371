package conn

import (
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// mostTaps is how many taps one connection may have at a time.
const mostTaps = 16

// Tap has x told of what crosses the connection from now on, until Untap or EndTaps. Not added: there are 16 taps already or,
// with over, the connection has ended.
func (c *Conn) Tap(x wire.Watcher) (added, over bool) {
	most := mostTaps
	if c.recorder() != nil {
		most++
	}
	c.taps.Add(1) // first, so that what comes as soon as x is there is shown
	if added, over = c.wire.Watch(x, most); !added {
		c.taps.Add(-1)
	}
	return added, over
}

// Untap undoes Tap. It does nothing when that is undone already.
func (c *Conn) Untap(x wire.Watcher) {
	if c.wire.Unwatch(x) {
		c.taps.Add(-1)
	}
}

// EndTaps tells all taps that the connection has ended. There can be none after it.
func (c *Conn) EndTaps() { c.wire.EndWatch() }

// show shows the taps what has come from the peer.
func (c *Conn) show(m *websock.Message) {
	if c.taps.Load() != 0 {
		c.wire.Show(*m)
	}
}

// showClose shows them the peer's Close.
func (c *Conn) showClose(e *websock.RemoteCloseError) {
	if c.taps.Load() != 0 {
		c.wire.ShowClose(websock.CloseDetail{Code: e.Code, Reason: e.Reason})
	}
}
