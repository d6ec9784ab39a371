package rawio

import (
	"crypto/tls"
	"net"
)

// A [tls.Conn] reads more than it is asked for: records that have come together, and the beginning of one that has not come
// whole. So whether a Read would block cannot be seen at its descriptor. But this holds (crypto/tls, readRecordOrCCS and Read):
//
//   - A Read that a deadline has ended fails for want of bytes of the next record, and not before it has used up all whole
//     ones. So after it there is nothing to be read until bytes arrive at the descriptor, which can be watched for that.
//   - It is no error of the connection: the beginning of a record, and of a handshake message such as a key update, stays where
//     it is, and the next Read goes on.
//   - A deadline that has passed ends the Read when it comes to the descriptor. What has been read before is returned.
//
// Only a client that lets its server renegotiate (TLS 1.2, tls.Config.Renegotiation) must not be read with a deadline: that is a
// handshake, which does not survive it.

// Arrived tells whether a Read may find something that has not been read by the connection below c yet. It is true where that
// is not known.
func (c *Conn) Arrived() bool {
	t, ok := c.Conn.(*tls.Conn)
	if !ok {
		return true
	}
	switch below := t.NetConn().(type) {
	case waiter:
		return below.Readable()
	case *net.TCPConn, *net.UnixConn:
		d := controlOf(below)
		return d == nil || readable(d)
	}
	return true
}

// Release gives back the memory that the connection keeps for its next Read. It is for the goroutine that reads, after a Read
// that a deadline has ended.
func (c *Conn) Release() {
	if t, ok := c.Conn.(*tls.Conn); ok {
		releaseTLS(t)
	}
}
