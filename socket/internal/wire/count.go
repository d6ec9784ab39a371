package wire

import "sync/atomic"

// Counts says what crossed the wire: every frame once, payload bytes as they
// were on the wire, after compression.
type Counts struct {
	In  FrameCounts // whole frames that were read; not those Linger discards after a protocol error
	Out FrameCounts // frames that were appended
}

// FrameCounts are the counts of one direction by kind of frame. Continuation is
// always zero in Counts.Out: what we send is never fragmented.
type FrameCounts struct {
	Text, Binary, Continuation, Ping, Pong, Close Count
}

// Add adds d to c.
func (c *Counts) Add(d Counts) {
	c.In.Add(d.In)
	c.Out.Add(d.Out)
}

// Add adds d to c.
func (c *FrameCounts) Add(d FrameCounts) {
	c.Text.add(d.Text)
	c.Binary.add(d.Binary)
	c.Continuation.add(d.Continuation)
	c.Ping.add(d.Ping)
	c.Pong.add(d.Pong)
	c.Close.add(d.Close)
}

func (c *Count) add(d Count) {
	c.Frames += d.Frames
	c.Bytes += d.Bytes
}

// Count is a number of frames and of their payload bytes.
type Count struct {
	Frames, Bytes int64
}

// tally is a Count to which one goroutine at a time adds; any may read.
type tally struct {
	frames, bytes atomic.Int64
}

func (t *tally) load() Count {
	return Count{Frames: t.frames.Load(), Bytes: t.bytes.Load()}
}
