package main

import (
	"context"
	"time"

	"github.com/troupe-dev/troupe/actor"
)

const (
	jobSteps = 5
	jobStep  = 400 * time.Millisecond
)

// job is work that one visitor has asked for. It reports each step, and ends with the visitor.
type job struct {
	owner actor.PID
	bad   bool // it panics half-way
	done  int
}

// jobProgress is what a job tells its owner.
type jobProgress struct {
	job  actor.PID
	done int
}

func (j *job) Init(ctx context.Context) error {
	actor.Monitor(ctx, j.owner)
	actor.SendEvery(ctx, jobStep, tick{})
	return nil
}

func (j *job) Receive(ctx context.Context, msg any) error {
	switch msg.(type) {
	case tick:
		j.done++
		if j.bad && j.done > jobSteps/2 {
			panic("a bad job")
		}
		j.owner.Send(jobProgress{actor.Self(ctx), j.done})
		if j.done == jobSteps {
			return actor.ErrNormal
		}
	case actor.Down: // nobody waits for the result any more
		return actor.ErrNormal
	}
	return nil
}
