// Package notify watches connections without a goroutine for each. Whoever waits
// for bytes registers a [Waker] with a [Notifier], which calls it when the
// connection is readable; or, if that is all that is wanted, when the peer has
// gone.
//
//	already, err := n.Arm(&c.sleeper, c.conn, c, notify.Readable)
//	switch {
//	case err != nil: // cannot be watched: read with a goroutine
//	case already != 0: // there is something to read now
//	}
//	...
//	n.Release(&c.sleeper, c.conn)
//	c.conn.Close()
//
// Connections in memory (package pipe) call the Waker themselves. Descriptors
// are watched by an epoll instance of the Notifier, beside the one of Go's
// runtime, on Linux only. The two do not disturb each other, because:
//
//   - The descriptor stays that of the connection. Each epoll_ctl happens inside
//     [syscall.RawConn.Control], or while a connection of package rawio lends it,
//     so that it cannot be closed, nor its number be used again, meanwhile. Where
//     it becomes another one, [Notifier.Leave] comes before.
//   - What an event carries is a slot and the slot's generation, never the
//     descriptor. Each Arm has a generation of its own, which ends with the
//     wake, Disarm or Release; an event of an ended generation is dropped.
//   - A connection is watched level-triggered and one-shot, so what came before
//     Arm fires at once, and a connection fires once for each Arm. What it is
//     watched for may change from one Arm to the next.
//   - Before a connection is closed its slot is released.
//
// The goroutine that waits for events is parked in Go's own poller, which
// watches the epoll descriptor: it costs no thread.
package notify
