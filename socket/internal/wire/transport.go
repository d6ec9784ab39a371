package wire

import (
	"sync"
	"sync/atomic"

	"github.com/troupe-dev/troupe/socket/internal/frame"
	"github.com/troupe-dev/troupe/socket/internal/rawio"
)

// transport is the connection below, and what its two directions know of each other.
type transport struct {
	// These are the writer's, and its mu guards them. Few messages need them.
	watchers *watchers  // nil: none
	free     *sync.Cond // nil until somebody waits; see writer.begin
	over     *over      // nil until the stream ends

	rawio.Conn
	opts    *Options
	pending atomic.Bool // frames wait for a Flush; the writer's
	rules   frame.Rules // for the peer's frames
	lends   bool        // see Conn.Lend
}

// deflates reports whether permessage-deflate was negotiated.
func (t *transport) deflates() bool { return t.rules.Deflate }

// client reports whether we are the client: that is when the peer's frames are a server's.
func (t *transport) client() bool { return t.rules.Unmasked }
