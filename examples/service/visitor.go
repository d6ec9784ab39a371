package main

import (
	"context"
	"errors"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

// visitor is one socket. It starts jobs and tells its client how they are going.
type visitor struct {
	sys  *actor.System
	jobs *supervisor.Dynamic
	mine map[actor.PID]bool // jobs of this visitor that run
}

func (v *visitor) Init(context.Context) websock.Result {
	v.mine = map[actor.PID]bool{}
	return websock.OK()
}

func (v *visitor) HandleIn(ctx context.Context, msg websock.Message) websock.Result {
	switch text := string(msg.Data); text {
	case "job", "bad job":
		return v.start(ctx, text == "bad job")
	case "stop":
		for pid := range v.mine {
			v.jobs.Stop(ctx, pid.String()) // ErrNotFound: it has ended meanwhile; Down tells
		}
		return websock.OK()
	default:
		return note(`send "job", "bad job" or "stop"`)
	}
}

// start starts a job. Its supervisor outlives this socket, but the job ends when the socket does.
func (v *visitor) start(ctx context.Context, bad bool) websock.Result {
	self := actor.Self(ctx)
	pid, err := v.jobs.Spawn(ctx, "", v.sys, func() actor.Actor { return &job{owner: self, bad: bad} }, actor.SpawnOptions{Label: "job"})
	switch {
	case errors.Is(err, supervisor.ErrMaxChildren):
		return note("too many jobs, try again later")
	case err != nil:
		return note("no job can be started now")
	}
	v.mine[pid] = true
	actor.Monitor(ctx, pid)
	return status(pid, "started")
}

func (v *visitor) HandleInfo(_ context.Context, msg any) websock.Result {
	switch m := msg.(type) {
	case jobProgress:
		return websock.Push(websock.JSON(map[string]any{"job": m.job.String(), "done": m.done, "of": jobSteps}))
	case actor.Down:
		delete(v.mine, m.PID)
		switch {
		case errors.Is(m.Reason, actor.ErrNormal):
			return status(m.PID, "finished")
		case errors.Is(m.Reason, actor.ErrShutdown):
			return status(m.PID, "stopped")
		}
		return status(m.PID, "crashed") // the reason is in the log; clients need not know it
	}
	return websock.OK()
}

func note(text string) websock.Result {
	return websock.Push(websock.JSON(map[string]any{"note": text}))
}

func status(pid actor.PID, text string) websock.Result {
	return websock.Push(websock.JSON(map[string]any{"job": pid.String(), "status": text}))
}
