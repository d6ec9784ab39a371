package supervisor

import (
	"context"
	"errors"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
)

// dynService is a service of a Dynamic, through all its lives. Each life is a goroutine, which at its end decides what
// comes next.
type dynService struct {
	dynChild   // whose mu guards what follows
	service    Service
	life       *life        // nil before the first one
	concluding bool         // life only ends what was kept
	waits      chan<- error // for the error of Start; nil when Start has returned
}

// startService is Dynamic.Start.
func (r *dynamicRun) startService(ctx context.Context, id string, s Service) error {
	if err := r.reserve(); err != nil {
		return err
	}
	started := make(chan error, 1)
	c := &dynService{service: s, waits: started}
	c.dynChild = dynChild{run: r, self: c, id: id, course: courseOf(s, shutdownOf(s, r.d.cfg.Shutdown))}
	if _, err := r.enter(id, &c.dynChild); err != nil {
		r.release(false)
		return err
	}
	c.start()
	select {
	case err := <-started:
		return err
	case <-ctx.Done():
		c.sweep(false)
		return &StartError{Supervisor: r.d.rep.name, Child: id, Err: context.Cause(ctx)}
	}
}

// start begins a life, or ends the child when it is to stop.
func (c *dynService) start() {
	c.mu.Lock()
	if c.stage != alive {
		c.mu.Unlock()
		c.finish(ErrTerminated)
		return
	}
	l := newLife(c.run.base, c.id, c, c.shutdown, c.run.d.rep.log)
	c.life, c.idle = l, false
	restarts := c.restarts
	c.mu.Unlock()
	kind := EventStarted
	if restarts > 0 {
		kind = EventRestarted
	}
	c.event(Event{Kind: kind, Restarts: restarts})
	go l.run(c.service, !announces(c.service))
}

// answer is what Start returns; c.mu is held.
func (c *dynService) answer(err error) {
	if c.waits != nil {
		c.waits <- err // has room for one
		c.waits = nil
	}
}

// ready implements owner.
func (c *dynService) ready(l *life) {
	c.mu.Lock()
	first := c.life == l && !c.idle && c.becameReady()
	if first {
		c.answer(nil)
	}
	c.mu.Unlock()
	if first {
		c.event(Event{Kind: EventReady, PID: l.currentPID()})
	}
}

// ended implements owner.
func (c *dynService) ended(l *life, reason error, kind exit.Kind) {
	was, restarts := c.lifeOver()
	if was.stage == abandoned {
		c.run.returned(&c.dynChild)
		return
	}
	wasTold := was.stage != alive
	c.mu.Lock()
	first, silent := c.waits != nil, c.concluding && exit.KindOf(reason) != exit.Abnormal
	c.mu.Unlock()
	if judged := ignoreTaken(reason); !wasTold && judged != reason {
		reason, kind = judged, exit.Normal
	}
	if !silent {
		c.event(Event{Kind: EventExited, PID: l.currentPID(), Reason: reason, ExitKind: kind, Restarts: restarts})
	}
	ignored := errors.Is(reason, exit.ErrIgnore)
	switch {
	case wasTold:
		if below := c.run.abandonedBelow(c.id, reason); below != nil {
			c.mu.Lock()
			c.incomplete = below
			c.mu.Unlock()
		}
		c.finish(ErrTerminated)
		return
	case first && (kind != exit.Normal || c.run.d.cfg.Restart == Permanent || ignored):
		if kind == exit.Normal && !ignored {
			reason = errors.Join(errEarly, reason)
		}
		c.finish(&StartError{Supervisor: c.run.d.rep.name, Child: c.id, Err: reason})
		return
	}
	v, wait := c.after(reason, kind, was.ready || first)
	switch {
	case v == restart:
		c.start()
	case v == retry && c.later(wait, c.start):
	default:
		c.finish(nil)
	}
}

// finish implements member.
func (c *dynService) finish(err error) {
	c.mu.Lock()
	c.answer(err)
	concludes := c.stage != abandoned && c.life != nil && keeps(c.service, c.life)
	if concludes {
		c.concluding = true
		c.life, c.idle = newLife(c.run.base, c.id, c, c.shutdown, c.run.d.rep.log), false
		c.course = c.next()
		base := lifeOf(c.run.base)
		concludeLife(c.life, &c.course, c.service, time.Now(), base != nil && base.killed.Err() != nil)
		c.setTimer()
	}
	c.mu.Unlock()
	if !concludes {
		c.strikeOff()
	}
}

// comesBack implements owner.
func (c *dynService) comesBack(l *life) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life != l || c.idle || c.stage != alive || c.waits != nil || !c.run.d.cfg.Restart.wants(exit.Abnormal) {
		return false
	}
	each := c.run.each
	each.times = c.recent
	return !c.course.ready || each.allows(time.Now()) && c.run.allowsRestart()
}

// tell implements member. No life begins once the child has been told.
func (c *dynService) tell(reason error) {
	c.mu.Lock()
	l := c.life
	c.mu.Unlock()
	if l != nil {
		l.tell(reason)
	}
}

func (c *dynService) process() actor.PID { return c.life.currentPID() }

func (c *dynService) awaitDead() bool { return true } // Serve has returned
