package rawio

// Writer is the memory of a write, which is kept for the next one. The zero value is ready.
type Writer struct{ raw rawWrite }

// Write writes parts, which it uses up, or p when there are none. It waits as long as the peer takes some of it:
// WriteTimeout is for a peer that takes nothing. It ends before in any case at the time of [Conn.LimitWrites].
//
// After an error it is not known how much was written.
func (w *Writer) Write(c *Conn, p []byte, parts [][]byte) error {
	if c.raw != nil {
		return w.raw.write(c, p, parts)
	}
	return c.pace(p, parts)
}
