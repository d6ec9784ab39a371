package sockettest

import "time"

var NewLogger = newLogger

const (
	RealLimit   = realLimit
	BubbleLimit = bubbleLimit
	Trespass    = trespass
)

func (c *Conn) Limit() time.Duration { return c.limit }

// SetLimit makes calls give up sooner, where time is not faked.
func (c *Conn) SetLimit(d time.Duration) { c.limit = d }
