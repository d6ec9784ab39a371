package websock

import (
	"context"
	"time"
)

// Lag is how far a socket is behind with what it has to do and to send, at one moment. Zero: it is not behind.
type Lag struct {
	// Messages is how many messages wait for the process: those that were sent to it, and what its client has sent.
	Messages int
	// Bytes is how much waits for the client: the payloads of messages to be forwarded to it that wait, and what was pushed
	// and is not written yet. What the kernel has taken does not count.
	Bytes int64
	// Age is how long the oldest of Messages has waited. It is never less than that, and more by at most as long as the
	// callback ran that was running when it came, or the time in which 31 more came after it. A message that has taken the place
	// of an older one of its key counts from when that came.
	Age time.Duration
	// LeftOut is how many messages were left out, as their [Delivery] allows or a setting of the server says, since the socket
	// opened; for a [LagHandler], since it was told last.
	LeftOut uint64
}

// LagHandler is implemented by a Handler that wants to know when messages to its client were left out: to say so to the client,
// or to send it the state anew.
type LagHandler interface {
	// HandleLag is called once when, after messages were left out, the socket has caught up: nothing waits for it any more, and
	// the client's kernel, or ours, has all that was written. l.LeftOut is how many were left out since it was called last; the
	// rest of l is zero. Its Result is taken as that of HandleIn.
	HandleLag(ctx context.Context, l Lag) Result
}
