package socket

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/socket/internal/conn"
	"github.com/troupe-dev/troupe/websock"
)

// Closed is how a socket ended.
type Closed struct {
	ConnInfo
	// Reason is the exit reason as Terminate got it. Monitors got the same, with one exception: after an Exit with a Close
	// frame that cannot be sent it is a *websock.ResultError here, and monitors got what was given to Exit.
	Reason error
	// Cause is [CauseOf] Reason.
	Cause Cause
	// Lifetime is how long there was a process, until TCP was closed.
	Lifetime time.Duration
	// Sent and Received are the Close frames; nil: none. An empty one has the code 1005.
	Sent, Received *websock.CloseDetail
	// Dropped is how many messages of other processes were refused by MailboxLimit, waited when the end overtook them,
	// or came after it.
	Dropped uint64
	// Record is what has happened to the socket last, the oldest first; nil without Config.Record.
	Record []Recorded
}

// closed is the last thing that happens to a socket: TCP is closed and the process is dead. The only code of the user's that
// it runs is that of the methods of the exit reason. They may end this goroutine, so what must happen is deferred.
func (s *Server) closed(c *conn.Conn) {
	defer s.release()
	s.subjects.leave(c) // after a kill
	if s.gone != nil {
		defer s.gone(c.PID())
	}
	end := c.End()
	cl := Closed{ConnInfo: s.infoOf(end.Info), Reason: end.Reason, Cause: CauseError, Sent: end.Sent, Received: end.Received,
		Dropped: end.Dropped, Lifetime: time.Since(end.Since), Record: recordedOf(c.Record())}
	defer c.EndTaps()
	defer s.ended(c, &cl, &end)
	cl.Cause = causeOf(cl.Reason)
}

// causeOf is CauseOf a reason whose methods may panic.
func causeOf(reason error) (cause Cause) {
	defer func() {
		if recover() != nil {
			cause = CauseError
		}
	}()
	return CauseOf(reason)
}

// ended is the rest of closed, when the cause is known.
func (s *Server) ended(c *conn.Conn, cl *Closed, end *conn.End) {
	s.remove(c, cl, end.Counts)
	s.last.add(cl)
	_, attrs := c.Scope()
	if f := s.cfg.OnClose; f != nil {
		defer s.callOnClose(f, *cl, attrs)
	}
	if s.cfg.OnEvent != nil { // to make an Event of it takes memory
		defer s.tell(*cl)
	}
	s.logClosed(cl, end.Lost, attrs)
}

// logClosed writes the line that answers "why did this user drop".
func (s *Server) logClosed(cl *Closed, lost bool, scope []slog.Attr) {
	defer func() { // the exit reason may be anybody's error, whose methods may do anything
		if r := recover(); r != nil {
			s.cfg.Logger.LogAttrs(context.Background(), slog.LevelError, "panic in the exit reason",
				append([]slog.Attr{slog.String("pid", cl.PID.String()), slog.Any("panic", r)}, scope...)...)
		}
	}()
	level := cl.level(lost)
	if !s.cfg.Logger.Enabled(context.Background(), level) {
		return
	}
	read, written := cl.Read.total(), cl.Written.total()
	attrs := []slog.Attr{
		slog.String("pid", cl.PID.String()),
		slog.String("label", cl.Label),
		slog.String("remote_addr", cl.RemoteAddr.String()),
		slog.String("age", cl.Lifetime.String()), // a Duration is a bare number in JSON
		slog.String("cause", cl.Cause.String()),
		slog.Any("exit_reason", cl.Reason),
		slog.Int64("frames_read", read.Frames),
		slog.Int64("bytes_read", read.Bytes),
		slog.Int64("frames_written", written.Frames),
		slog.Int64("bytes_written", written.Bytes),
		slog.Uint64("dropped", cl.Dropped),
	}
	attrs = appendClose(attrs, "close_sent", cl.Sent)
	attrs = appendClose(attrs, "close_received", cl.Received)
	if len(cl.Record) > 0 && cl.Cause.bad() {
		attrs = append(attrs, slog.Any("record", recordText(cl.Record)))
	}
	if panicked, ok := errors.AsType[*actor.PanicError](cl.Reason); ok {
		attrs = append(attrs, slog.String("stack", string(panicked.Stack)))
	}
	s.cfg.Logger.LogAttrs(context.Background(), level, "socket closed", append(attrs, scope...)...)
}

// slow writes the line about a callback that takes long.
func (s *Server) slow(c *conn.Conn, handling string, d time.Duration) {
	_, scope := c.Scope()
	i := c.Info()
	s.tell(SlowCallback{Server: s.cfg.Name, PID: i.PID, Label: i.Label, Subject: i.Subject, Handling: handling, For: d})
	s.cfg.Logger.LogAttrs(context.Background(), slog.LevelWarn, "slow callback", append([]slog.Attr{
		slog.String("pid", c.PID().String()),
		slog.String("label", i.Label),
		slog.String("handling", handling),
		slog.String("for", d.String()),
	}, scope...)...)
}

// level is the level of the line in the log. lost says that the exit reason is the loss of this socket's own transport.
func (cl *Closed) level(lost bool) slog.Level {
	switch {
	case exit.KindOf(cl.Reason) == exit.Abnormal:
		return slog.LevelError
	case lost && cl.Received == nil:
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// appendClose logs the code alone: a close reason that the peer wrote is payload. (So [websock.RemoteCloseError] leaves it
// out of its text.)
func appendClose(attrs []slog.Attr, key string, d *websock.CloseDetail) []slog.Attr {
	if d == nil {
		return attrs
	}
	return append(attrs, slog.Int(key, int(d.Code)))
}

// callOnClose has f called, after the calls for sockets that have ended before.
func (s *Server) callOnClose(f func(Closed), cl Closed, scope []slog.Attr) {
	log := s.cfg.Logger
	s.closes.Do(func() {
		defer func() {
			if r := recover(); r != nil {
				log.LogAttrs(context.Background(), slog.LevelError, "panic in Config.OnClose", append([]slog.Attr{
					slog.String("pid", cl.PID.String()), slog.Any("panic", r), slog.String("stack", string(debug.Stack()))}, scope...)...)
			}
		}()
		f(cl)
	})
}
