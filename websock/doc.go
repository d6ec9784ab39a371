// Package websock is the contract between an application and the host of its
// WebSockets: what a handler implements, receives and returns. It is Elixir's
// WebSock in Go. It runs nothing; package socket is the host, and a server of
// another kind can host the same handlers.
//
// # Life cycle
//
// A connection that was upgraded becomes a process with a PID and a mailbox,
// and a [Handler] value of its own. Init runs once. Then, one at a time, come
// HandleIn for what the client sends, HandleInfo for what other processes send
// and, for a [ControlHandler], HandleControl for pings and pongs. Each returns a
// [Result]: messages to write and, to end the socket, an exit reason. When the
// socket ends, a [Terminator] is told for which exit reason.
//
//	// Echo sends back what it receives, for an hour or until it is told "bye".
//	type Echo struct{ count int }
//
//	type expired struct{}
//
//	func (e *Echo) Init(ctx context.Context) websock.Result {
//		actor.SendAfter(ctx, time.Hour, expired{})
//		return websock.Push(websock.Text("welcome"))
//	}
//
//	func (e *Echo) HandleIn(ctx context.Context, msg websock.Message) websock.Result {
//		e.count++
//		if msg.Equal(websock.Text("bye")) {
//			return websock.Stop(websock.ErrNormal)
//		}
//		return websock.Push(msg)
//	}
//
//	func (e *Echo) HandleInfo(ctx context.Context, msg any) websock.Result {
//		switch msg.(type) {
//		case expired:
//			return websock.Close(4000, "one hour is over")
//		}
//		return websock.OK() // not for us
//	}
//
// # How a socket ends
//
// The exit reason decides which close frame the peer gets, what Terminate gets,
// and by its kind (see [exit.KindOf]) what supervisors and logs do. The text of
// an error never goes to the peer.
//
//	cause                               close frame                       Terminate gets
//
//	Stop(ErrNormal)                     1000                              ErrNormal
//	Stop(ErrRestart)                    1012                              ErrRestart
//	Stop(actor.ErrIgnore)               1000                              ErrIgnore
//	Stop(ErrShutdown)                   1001                              ErrShutdown
//	Stop(ErrOverload)                   1013                              ErrOverload
//	Stop(ErrTimeout)                    socket.Config.IdleClose           ErrTimeout
//	Stop(err), any other, ErrRemote     1011 without a close reason       err
//	  too
//	Close(code, text, last...)          last, then code and text          *CloseError
//	Stop of a reason that is or wraps   as it says                        that reason
//	  a *CloseError
//	StopWith(r, detail, last...)        last, then detail                 r
//	pid.Exit(r)                         as Stop(r)                        r
//	pid.Exit(actor.ErrKilled)           none, TCP is closed               does not run
//
//	peer's close frame                  its code without its close        *RemoteCloseError
//	                                    reason; empty for empty
//	  with an illegal code or payload   1002                              *ProtocolError
//	  with a reason that is not UTF-8   1007                              *ProtocolError
//	connection lost                     none                              wraps ErrRemote, the cause
//	write failed, or WriteTimeout       none possible                     wraps ErrRemote, the cause
//	peer silent or a message too slow   socket.Config.IdleClose,          ErrTimeout
//	                                    1002 by default
//	peer broke RFC 6455                 1002                              *ProtocolError
//	text not UTF-8, bad deflate data    1007                              *ProtocolError
//	message too big                     1009                              *ProtocolError
//
//	socket.Expire, not renewed          4401 "expired"                    ErrExpired
//	socket.Config.MaxAge                1012 "retry-after=N"              is ErrMaxAge
//	socket.Config.MaxPerSubject         4001 "replaced"                   ErrReplaced
//	socket.Server.Revoke                4403 "revoked", or what it says   is ErrRevoked
//
//	shutdown by a supervisor, the       1001, or what the drain says      ErrShutdown
//	  System, the server; drain
//	mailbox over its limit              1013, if it can be written        ErrOverload
//	Result that cannot be carried out   1011                              *ResultError
//	panic in a callback                 1011                              *actor.PanicError
//
// ErrRestart, ErrIgnore and a *CloseError without Err are errors.Is [ErrNormal].
//
// # Limits
//
// Pings and pongs carry at most 125 bytes, close reasons 123. Text and close
// reasons are UTF-8. Close codes are 1000-1003, 1007-1014 and 3000-4999.
// [Result.Check] holds a Result to that. Messages are neither sent nor received
// in parts, so what a socket takes is bounded by memory; the host's
// configuration has the limit.
package websock
