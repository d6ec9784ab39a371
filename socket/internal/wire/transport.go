package wire

import (
	"sync/atomic"

	"github.com/troupe-dev/troupe/socket/internal/rawio"
)

// transport is the connection below, and what its two directions know of each other.
type transport struct {
	rawio.Conn
	opts     *Options
	pending  atomic.Bool // frames wait for a Flush; the writer's
	deflates bool        // permessage-deflate was negotiated
}
