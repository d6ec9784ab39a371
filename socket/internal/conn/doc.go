// Package conn is one WebSocket connection as a process: its record, the goroutine that reads, the callbacks, and the end,
// step by step. It reads and writes frames through package wire and knows nothing of the server. What connections share is
// a [Group]; whoever made it is told when a connection has opened and when it has closed.
//
// # The life of a connection
//
// Two fields of Conn say how far it has come, both guarded by Conn.mu: life, which only moves down its table, and reading.
//
//	life     means                                        becomes   by
//	opening  there is a process, and no TCP connection    open      Open
//	open     messages are handled                         ending    Ending, when the exit reason is decided
//	                                                      closed    abort
//	ending   what was pushed is written, then the Close   closing   the end of Ending
//	                                                      closed    abort
//	closing  the Close frame is out, or will never be:    closed    abort
//	         the reader waits for the peer's
//	closed   TCP is closed, or will be at once            -
//
// abort is for whoever finds the transport lost, for a kill, and for the reader when it has nothing to wait for any more.
// A process may go on in a life that is closed: a callback is running, children end, Terminate runs.
//
//	reading  means                                        becomes   by
//	awake    there is a reader                            asleep    fallAsleep, with the notifier armed, in an open life
//	                                                      always    fallAsleep, when the connection cannot be watched
//	                                                      gone      leave, or a kill that finds the reader in a callback
//	always   there is a reader, and it never sleeps       gone      leave, or a kill that finds the reader in a callback
//	asleep   there is no reader                           awake     wake: bytes have come, a time is over, or the end
//	gone     there will be no reader again                -
//
// The function that sets awake (wake) starts the next reader. So there is never more than one, and each sees what the one
// before it has written to the reader's fields. The reader is a role: when a callback takes long on its goroutine, that
// goroutine becomes a worker, and another one becomes the reader (relieve). Conn.role is the number of the current reader.
//
// The reader does not wait until the process has handled a message. When the process is busy, one message and 16 control
// frames may wait in its mailbox (backlog). After that reading pauses, and the notifier watches for the end of the peer.
// When the process only waits for a worker, the reader takes its turn (Port.Take).
//
// Whoever still works on a connection holds it: its process, its reader, and each task that writes beside them. The last
// one to release it reports the end, by Options.Closed. The process releases it when it is dead and its monitors and its
// parent have been told, the reader when TCP is closed.
//
// # The end
//
// This is what happens, from left to right, for each cause. The reader and a worker of the System share the work.
//
//	cause                   begins with                              Ending writes           TCP is closed
//	a Result or Exit stops  the callback, or the Exit's turn         pushes, Close, FIN      by the reader: peer's Close, CloseTimeout
//	the peer's Close        the reader, HandLast                     pushes, Close           by the reader, at once: nothing follows
//	breach, timeout         the reader, HandLast                     pushes, Close, FIN      by the reader: peer's Close, CloseTimeout
//	loss, in read or write  lose: Port.Fail, abort                   nothing                 by lose
//	loss, frames wait       loseInRead: after them, abort            nothing                 by loseInRead
//	overload                Overflow: the task writes 1013, FIN      the same, if not yet    as after a Result; in a callback: CloseTimeout
//	panic in a callback     the callback                             what was pushed before  as after a Result
//	callback abandoned      Exited, and Terminate does not run       does not run            by Exited
//	a kill                  Exited, and Terminate does not run       does not run            by Exited
//
// So it is as a server. A client leaves it to the server to end TCP (RFC 6455 section 7.1.1), and wire sees to that: no FIN
// is sent, and the reader waits until the server has ended TCP, also after the peer's Close, for CloseTimeout at most.
//
// A connection that sleeps goes on sleeping until the peer's Close comes or CloseTimeout is over. When a process is killed
// before Open, because the System is shut down, Exited cannot close TCP yet: Open does it.
//
// # Locks
//
// Conn.mu may be held in calls of package deadline, of package notify, of what package wire tells of its state (Activity,
// Suspend) and Rest, and of Port.Go and Port.Relieve: their locks come after it. It is not held in calls of the handler, of the
// other methods of Port or of the transport that may wait, and nobody calls this package with a lock held. watch.mu is never held together with
// another lock. A message and its answer take no lock of this package.
package conn
