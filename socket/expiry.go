package socket

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/conn"
	"github.com/troupe-dev/troupe/websock"
)

// Expire has the socket whose callback runs with ctx, or a context derived from it, end at a time: that at which the token of its
// client expires, for example. Each call replaces the one before it: call it again to renew. The zero time is never. It may be
// called in any callback, Init too, and from any goroutine; it does not block. It panics when ctx is not that of a socket's
// process.
//
// At that time the socket ends with [websock.ErrExpired]: 4401 "expired", unless a later time was set. Before it, by
// Config.ExpiryWarning, the HandleExpiry of a [websock.ExpiryHandler] is called, once for each time that is set. It is not
// called any more when the time has come.
//
// Both take their place in the mailbox, like an Exit: what came before is handled first, also when it comes in the same instant,
// and a renewal among it counts. A callback in progress finishes. It makes no difference whether the socket sleeps. During a drain the
// first of the two ends it. A time that is over ends it as soon as what waits is handled.
//
// A time without a monotonic clock reading, as one from a token, is one of the wall clock. When that is set back, the socket lives
// until the clock shows the time; when it is set forward beyond the time, or the machine was suspended, the socket ends within a
// minute. A time with one, as that of time.Now().Add(time.Hour), is not moved by setting the clock.
//
// A socket that does not call Expire pays nothing for it. One that does has a timer, and is looked at once a minute.
func Expire(ctx context.Context, at time.Time) {
	c := conn.Of(ctx)
	if c == nil {
		panic("socket: Expire: ctx is not that of a socket's callback")
	}
	c.Expire(ctx, at)
}

// tooOld ends a socket that has lived for Config.MaxAge.
func (s *Server) tooOld(c *conn.Conn) {
	seconds := int64(1)
	if n := s.cfg.Drain.maxComeBack(); n > 0 {
		seconds += rand.Int64N(n)
	}
	c.PID().Exit(&websock.CloseError{Code: websock.CloseServiceRestart, Reason: fmt.Sprintf("retry-after=%d", seconds), Err: websock.ErrMaxAge})
}
