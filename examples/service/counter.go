package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

// counter counts ticks and shows the count to every socket. After a crash a new one begins at 0: the old state may have
// been what caused the crash.
type counter struct {
	o       options
	sockets *socket.Server
	jobs    *supervisor.Dynamic
	life    int64 // which counter it is; the first has 1
	count   int
}

// tick and crash are what a counter is sent.
type (
	tick  struct{}
	crash struct{}
)

var errCrash = errors.New("the counter has lost count")

// newCounter returns what makes the first counter, and one after each crash.
func newCounter(o options, sockets *socket.Server, jobs *supervisor.Dynamic) func() actor.Actor {
	var lives atomic.Int64
	return func() actor.Actor {
		return &counter{o: o, sockets: sockets, jobs: jobs, life: lives.Add(1)}
	}
}

func (c *counter) Init(ctx context.Context) error {
	actor.SendEvery(ctx, c.o.tick, tick{})
	c.show()
	return nil
}

func (c *counter) Receive(_ context.Context, msg any) error {
	switch msg.(type) {
	case crash:
		return errCrash
	case tick:
		if c.o.crashEvery > 0 && rand.IntN(c.o.crashEvery) == 0 {
			return errCrash
		}
		c.count++
		c.show()
	}
	return nil
}

// show sends the count to all sockets. A websock.Message goes to the client without a callback of its handler.
func (c *counter) show() {
	msg := websock.Prepare(websock.JSON(map[string]any{
		"count": c.count, "life": c.life, "sockets": c.sockets.Count(), "jobs": c.jobs.Count(),
	}))
	for pid := range c.sockets.Sockets() {
		pid.Send(msg)
	}
}
