package wire

import (
	"sync/atomic"

	"github.com/troupe-dev/troupe/socket/internal/frame"
)

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

// countIn counts a frame that was read, on the reading goroutine.
func (c *Conn) countIn(op frame.Opcode, bytes int64) {
	t := &c.others[otherCount(op)]
	if op == frame.Text || op == frame.Binary {
		t = &c.counts[op-frame.Text]
	}
	t.frames.Add(1)
	t.bytes.Add(bytes)
}

// count counts a frame that was appended; o.mu is held.
func (o *outbound) count(op frame.Opcode, bytes int) {
	n := &o.others[otherCount(op)]
	if op == frame.Text || op == frame.Binary {
		n = &o.counts[op-frame.Text]
	}
	n.Frames++
	n.Bytes += int64(bytes)
}

// otherCount is the place of a frame that is neither text nor binary.
func otherCount(op frame.Opcode) int {
	switch op {
	case frame.Ping:
		return 1
	case frame.Pong:
		return 2
	case frame.Close:
		return 3
	default:
		return 0 // continuations
	}
}

// DataFrames is how many frames of messages were read so far. It is more after a
// message has come.
func (c *Conn) DataFrames() int64 {
	return c.counts[0].frames.Load() + c.counts[1].frames.Load() + c.others[0].frames.Load()
}
