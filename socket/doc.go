// Package socket upgrades HTTP requests and hosts every connection as a process of package actor.
//
//	sockets, err := socket.New(socket.Config{})
//	...
//	mux.Handle("/ws", sockets.Handler(func(r *http.Request) (websock.Handler, error) {
//		return &chat{user: r.FormValue("user")}, nil
//	}))
//	...
//	sockets.Shutdown(ctx) // 1001 to every client
//
// Handlers implement package websock and need of this package [Info] at most; main imports socket.
//
// # The life of a socket
//
//  1. [Server.Handler] or [Server.Upgrade] checks the request, takes a place (Config.MaxSockets), and answers 101.
//  2. The process runs Init, then HandleIn for each message of the peer, HandleControl for each ping and pong, and
//     HandleInfo for each message of other processes, in mailbox order and never two at once. A
//     websock.Message that is sent to its PID is written to the peer without a callback.
//  3. It ends by a Result that stops, by the peer's Close, by an error, by Exit, or by Shutdown: what was pushed is
//     written, then the Close frame, then Terminate runs, then monitors get Down.
//  4. TCP stays open for the peer's Close, at most Config.CloseTimeout. Then Config.OnClose is called.
//
// # What runs where
//
// Each connection has one goroutine that reads, except while the socket sleeps (Config.HibernateAfter). It runs Init,
// and, while nothing else goes on in the process, the callbacks for the frames it reads. Messages of other processes
// are handled on goroutines of the System, never on the sender's. A callback that takes
// long does not keep the connection from being read: another goroutine does that, and answers pings. One message and 16
// pings and pongs wait for it; the rest stays with TCP, so a peer cannot fill the memory. What callbacks push is written
// together when nothing more waits to be handled, and after a millisecond at the latest.
//
// A peer that does not read blocks its own process only, for at most Config.WriteTimeout, or until its mailbox is over
// Config.MailboxLimit or MailboxBytes.
package socket
