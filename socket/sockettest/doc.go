// Package sockettest tests handlers of package websock, in three ways.
//
// By calling the callbacks, with the ctx of a process that collects what is sent to it:
//
//	sys := sockettest.NewSystem(t)
//	ctx, process := sockettest.NewProcess(t, sys)
//	h := &chat{}
//	result := h.HandleIn(ctx, websock.Text("hello"))
//
// And over a connection. All of it is real, a client that checks every byte of the server, net/http, the upgrade and the
// socket's process, except that the bytes stay in memory:
//
//	c := sockettest.Serve(t, socket.Config{}, &chat{})
//	c.Send(websock.Text("hello"))
//	c.Want(websock.Text("welcome"))
//
// What connects to a server is tested over a connection as well: the test plays the server. It accepts each attempt, or
// refuses it, lets it hang or answers garbage, and then has the server's end of the connection:
//
//	srv := sockettest.NewServer(t)
//	sockettest.Run(t, &socket.Dialer{URL: srv.URL, HTTP: srv.HTTP, Handler: func() websock.Handler { return &bot{} }})
//	c := srv.Accept().Upgrade(nil)
//	c.Want(websock.Text("hello"))
//	c.Close(1012, "")
//	srv.Accept().Refuse(503, http.Header{"Retry-After": {"30"}})
//	srv.WantNothing(30 * time.Second)
//
// [Run] serves what a handler needs around it, such as a supervisor with rooms, for as long as the test runs.
//
// # Time
//
// All of it works in a bubble of testing/synctest, where time is faked: an idle timeout of a minute takes none.
//
//	synctest.Test(t, func(t *testing.T) {
//		c := sockettest.Serve(t, socket.Config{IdleTimeout: time.Minute}, &chat{})
//		c.IgnorePings()
//		time.Sleep(time.Minute)
//		c.WantClose(1002, "")
//	})
//
// Make everything in the bubble, and give it the bubble's t, not that of the test around it: t.Cleanup functions of the
// bubble's t run in the bubble, before it ends, so nothing outlives it.
//
// Outside of a bubble the same code runs, on the real clock, with fewer guarantees:
//
//   - Messages still come in order, and calls that wait, such as [Conn.Want], [Process.Next] and [Run], return when what
//     they wait for is there.
//   - There is no moment at which everything has been done. What one line has started, a send to a PID or a [Conn.Send],
//     may still be under way in the next line. Wait for what it leads to before you look at [Process.Messages], at a
//     registry or at a field of the handler.
//   - [Conn.WantNothing] waits in real time, and proves only that nothing came within it.
//   - Timeouts take as long as they are set to. A test of one belongs in a bubble.
//
// # Failures
//
// What is not as wanted fails the test by t.Fatalf, which must run on the test's own goroutine. So call every
// function and method of this package there, but for [Process.Messages].
//
// A call that waits gives up and fails the test after 10 seconds. In a bubble it has a week of the bubble's clock,
// since a socket with [socket.Config.PingInterval] always has a next ping to send, so its bubble never counts as
// deadlocked. To wait for what comes later than that, sleep first.
//
// # The end
//
// What a call started is ended and waited for by t.Cleanup: processes with ErrShutdown, sockets of [Serve] with close
// code 1001. What the test made itself, such as the socket.Server behind the handler of [Dial], it must end itself.
package sockettest
