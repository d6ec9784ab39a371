package wire

import "sync/atomic"

// Counts says what crossed the wire: every frame once, payload bytes as they
// were on the wire, after compression.
type Counts struct {
	In  FrameCounts // whole frames that were read; not those Drain discards after a protocol error
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
func (c *Conn) countIn(op opcode, bytes int64) {
	t := &c.others.in[0]
	switch op {
	case opText, opBinary:
		t = &c.counts.in[op-opText]
	case opPing, opPong, opClose:
		t = &c.others.in[otherCount(op)]
	}
	t.frames.Add(1)
	t.bytes.Add(bytes)
}

// countOut counts a frame that was appended; c.out.mu is held.
func (c *Conn) countOut(op opcode, bytes int) {
	n := &c.others.out[0]
	switch op {
	case opText, opBinary:
		n = &c.counts.out[op-opText]
	case opPing, opPong, opClose:
		n = &c.others.out[otherCount(op)]
	}
	n.Frames++
	n.Bytes += int64(bytes)
}

// otherCount is the place of a control frame; 0 is that of continuations.
func otherCount(op opcode) int {
	switch op {
	case opPing:
		return 1
	case opPong:
		return 2
	default:
		return 3
	}
}
