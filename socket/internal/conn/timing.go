package conn

import (
	"sync/atomic"
	"time"
)

// Callback is one of those of a handler, and what its Result has written. Describe is none: nothing happens in it.
type Callback uint8

const (
	callInit Callback = iota
	callIn
	callInfo
	callControl
	callDrain
	callExpiry
	callLag
	callTerminate
	Callbacks  = callTerminate + 1
	noCallback = Callbacks
)

var callbackNames = [Callbacks]string{
	"Init", "HandleIn", "HandleInfo", "HandleControl", "HandleDrain", "HandleExpiry", "HandleLag", "Terminate",
}

// String is the name of the method.
func (k Callback) String() string { return callbackNames[k] }

// TimingBounds are the upper bounds of the buckets of Timings. What is longer than all of them is in one more.
var TimingBounds = [...]time.Duration{
	10 * time.Microsecond, 50 * time.Microsecond, 100 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 5 * time.Millisecond,
	10 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond, time.Second, 5 * time.Second,
}

const timingBuckets = len(TimingBounds) + 1

// Timings are how long callbacks took: how many there were in each bucket, and their sum.
type Timings [Callbacks]struct {
	Counts [timingBuckets]uint64
	Sum    time.Duration
}

// timing counts durations of callbacks. Connections are spread over its parts, so that those that run at the same time seldom write to
// one cache line.
type timing [watches]struct {
	counts [Callbacks][timingBuckets]atomic.Uint64
	sums   [Callbacks]atomic.Int64
}

// Timings are those of all connections of the Group, ended ones included; nil without Options.Timings.
func (g *Group) Timings() *Timings {
	if g.timing == nil {
		return nil
	}
	var all Timings
	for i := range g.timing {
		part := &g.timing[i]
		for k := range all {
			for b := range all[k].Counts {
				all[k].Counts[b] += part.counts[k][b].Load()
			}
			all[k].Sum += time.Duration(part.sums[k].Load())
		}
	}
	return &all
}

// clock is when a callback begins; zero when nobody wants to know. It is for those that come seldom: observed sees to the
// others, so that they pay nothing without it.
func (c *Conn) clock() time.Time {
	if c.group.timing == nil {
		return time.Time{}
	}
	return time.Now()
}

// took notes a callback that began at start, by clock.
func (c *Conn) took(k Callback, start time.Time) {
	if start.IsZero() {
		return
	}
	d := time.Since(start)
	b := 0
	for b < len(TimingBounds) && d > TimingBounds[b] {
		b++
	}
	part := &c.group.timing[c.watch]
	part.counts[k][b].Add(1)
	part.sums[k].Add(int64(d))
}
