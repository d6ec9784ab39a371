package websock

import "time"

// Delivery says what may become of a message while its client is behind: while something waits for the client, or for the
// socket, whose callback takes long. The zero Delivery is that of every message: it is written, in order, or the socket ends.
// To a client that keeps up everything is written, whatever its Delivery says.
type Delivery struct {
	// Key: while it waits, a newer message with the same key takes its place, and it is left out. So at most one message of a
	// key waits, and what the client gets of a key gets newer all the time. The newer one takes the place and does not
	// go to the end: a value that changes faster than the client reads would never be written. So it may overtake messages
	// with other keys, or none, that were sent before it and after the one that it replaces. Messages without a key keep
	// their order. "": none.
	Key string
	// Volatile: it is left out when a message waits already, when a write has not been taken by the client's kernel, or when
	// the running callback has been running for a millisecond.
	Volatile bool
	// Expires: it is left out when it has waited longer than this. 0 or negative: it does not expire.
	Expires time.Duration
}

// Deliver returns m with a Delivery, prepared as by [Prepare], so that it is encoded once for all sockets that it is sent to, pushed
// by or broadcast to:
//
//	reg.Broadcast("AAPL", websock.JSON(quote).Deliver(websock.Delivery{Key: "AAPL"}))
//
// Send and Broadcast count a message that is left out as taken: this is what may become of it. How many were left out is in
// [Lag], and a [LagHandler] is told. What actor.SendWait sends, and what is sent to a process that is no socket, is never left
// out. Neither Key nor Expires can do anything for what is pushed, since it does not wait for the process; but a message with
// the same key that waits is left out then, because it is older.
//
// A Delivery goes along to other nodes of a cluster, and says there what it says here. Expires begins when the message comes to
// the mailbox there: the way does not count. A Key may have 1024 bytes then; a message with a longer one is refused, as what cannot
// be encoded is. A node of a version that does not know a Delivery gets a plain message, and so does whoever gets m within a value
// of another type, of which only what is exported crosses.
//
// The Delivery belongs to Opcode and Data as the cache of Prepare does. The Delivery that m had is replaced; copies of m keep it.
func (m Message) Deliver(d Delivery) Message {
	m.cache = &cache{opcode: m.Opcode, data: m.Data}
	d.Expires = max(d.Expires, 0)
	if d != (Delivery{}) {
		m.cache.delivery = &d
	}
	return m
}

// Delivery is what [Message.Deliver] has given to m; nil: nothing. It is for hosts, and must not be changed.
func (m Message) Delivery() *Delivery {
	if m.cache == nil || m.cache.delivery == nil { // in most messages, and this is inlined
		return nil
	}
	return m.delivery()
}

func (m Message) delivery() *Delivery {
	if c := m.prepared(); c != nil {
		return c.delivery
	}
	return nil
}
