// Package conn is one WebSocket connection as a process: its record, the goroutine that reads, the callbacks, and the end
// in the order in which it happens. It knows frames by package wire, and no server: what the connections of one have in
// common is a [Group], whose maker is told when a connection is open and when it is closed.
//
// # The life of a connection
//
// Two states tell it, both guarded by Conn.mu. A life only grows.
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
//	awake    there is a reader                            asleep    lieDown, with the notifier armed, in an open life
//	                                                      always    lieDown, when the connection cannot be watched
//	                                                      gone      leave; or a kill that finds it in a callback
//	always   likewise, and it never sleeps                gone      likewise
//	asleep   there is none                                awake     wake: bytes have come, a time is over, or abort
//	gone     there will be none any more                  -
//
// Who makes it awake starts the next reader. So there is never more than one, and what one has written to its fields the
// next one sees. The reader is a role: when a callback takes long on its goroutine, that becomes a worker, and another
// goroutine is the reader from then on (relieve). Conn.role, a number, tells who it is.
//
// What the reader has read goes to the process without waiting for it. One message and 16 control frames wait in the mailbox
// of a process that is busy (backlog); then reading pauses, and the notifier watches for the end of the peer.
//
// Whoever still has something to do with a connection holds it: its process, its reader, and each task that writes beside
// them. The last one to let go reports the end, by Options.Closed. The process lets go when it is dead and all who had to
// be told have been, the reader when TCP is closed.
//
// # The end
//
// What happens, in order, whatever the cause. The reader and a worker of the System share the work.
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
// A connection that sleeps goes on sleeping until the peer's Close, or until CloseTimeout is over. A process that is killed
// before Open, because the System was shut down, is told then: Open does what Exited would have done.
//
// # Locks
//
// Conn.mu is held while package deadline, package notify, the state of package wire (Activity, Suspend) and the process
// (Port.Go and Relieve alone) are asked: their locks come after it. It is not held while the handler, the rest of
// Port or the transport is called, and nobody calls this package with a lock held. watch.mu stands alone. A message and its
// answer take no lock of this package.
package conn
