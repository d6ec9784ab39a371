package wire

import (
	"time"

	"github.com/troupe-dev/troupe/socket/internal/rawio"
)

// Options say how a connection is read and written.
type Options struct {
	Threshold      int           // least bytes of a message that is deflated; 0: every message
	Level          int           // of deflate, 1 to 9
	MaxMessageSize int64         // bytes after inflation; negative: no limit
	MaxRatio       int           // a message of more than 1 MiB inflates to at most so many times what was read of it; 0 or less: no limit
	SkipUTF8Check  bool          // of text messages; close reasons are always checked
	WriteTimeout   time.Duration // for a write of which the peer takes nothing; 0 or less: none
	SendBuffer     int           // bytes that the kernel may hold for the peer; see rawio.Settings
	Client         bool          // we are the client: our frames are masked, those of the peer are not, and the peer closes TCP first
}

// Opener opens connections with the same Options, and holds what they share.
// Its methods are safe from any goroutine. It needs no closing.
type Opener struct {
	opts     Options
	settings rawio.Settings
}

// NewOpener returns an Opener. The Options must not change any more.
func NewOpener(o Options) *Opener {
	return &Opener{opts: o, settings: rawio.Settings{Epoch: time.Now(), WriteTimeout: o.WriteTimeout, SendBuffer: o.SendBuffer}}
}
