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

// counter counts the frames of one direction. One goroutine at a time adds;
// any may read.
type counter struct {
	text, binary, continuation, ping, pong, close tally
}

type tally struct {
	frames, bytes atomic.Int64
}

func (c *counter) add(op opcode, bytes int64) {
	t := c.of(op)
	t.frames.Add(1)
	t.bytes.Add(bytes)
}

func (c *counter) of(op opcode) *tally {
	switch op {
	case opText:
		return &c.text
	case opBinary:
		return &c.binary
	case opPing:
		return &c.ping
	case opPong:
		return &c.pong
	case opClose:
		return &c.close
	default:
		return &c.continuation
	}
}

func (t *tally) load() Count {
	return Count{Frames: t.frames.Load(), Bytes: t.bytes.Load()}
}

func (c *counter) load() FrameCounts {
	return FrameCounts{
		Text:         c.text.load(),
		Binary:       c.binary.load(),
		Continuation: c.continuation.load(),
		Ping:         c.ping.load(),
		Pong:         c.pong.load(),
		Close:        c.close.load(),
	}
}
