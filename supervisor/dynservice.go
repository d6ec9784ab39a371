package supervisor

import (
	"context"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
)

// dynService is a service of a Dynamic, through all its lives. Each life is a goroutine, which at its end decides what
// comes next.
type dynService struct {
	dynChild   // whose mu guards what follows
	service    Service
	life       *life // nil before the first one
	concluding bool  // life only ends what was kept
}

// startService is Dynamic.Start.
func (r *dynamicRun) startService(ctx context.Context, id string, s Service) error {
	c := &dynService{service: s}
	c.dynChild = dynChild{run: r, self: c, id: id, course: courseOf(s, shutdownOf(s, r.d.cfg.Shutdown))}
	_, err := c.startFirst(ctx)
	return err
}

// begin implements member: it starts a life, or ends the child when it is to stop.
func (c *dynService) begin(context.Context) {
	c.mu.Lock()
	if c.stage != alive {
		c.mu.Unlock()
		c.finish(c.whyTold())
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

// again implements member.
func (c *dynService) again(actor.PID) { c.begin(context.Background()) }

// ready implements owner.
func (c *dynService) ready(l *life) {
	c.mu.Lock()
	first := c.life == l && !c.idle && c.becameReady()
	if first {
		c.answer(l.currentPID(), nil)
	}
	c.mu.Unlock()
	if first {
		c.event(Event{Kind: EventReady, PID: l.currentPID()})
	}
}

// ended implements owner.
func (c *dynService) ended(l *life, reason error, kind exit.Kind) {
	c.mu.Lock()
	concluded := c.concluding
	c.mu.Unlock()
	if judged := ignoreTaken(reason); judged != reason && l.ctx.Err() == nil {
		reason, kind = judged, exit.Normal
	}
	c.lifeEnded(lifeEnd{pid: l.currentPID(), reason: reason, kind: kind,
		unseen: concluded && exit.KindOf(reason) != exit.Abnormal, service: true})
}

// describe implements member.
func (c *dynService) describe(i *ChildInfo) {
	i.Service, i.Kind = c.service, kindOf(c.service)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life != nil && !c.idle {
		i.Since = c.life.began
	}
}

// conclude implements member; see concludeLife.
func (c *dynService) conclude() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stage == abandoned || c.life == nil || !keeps(c.service, c.life) {
		return false
	}
	c.life, c.idle, c.concluding = newLife(c.run.base, c.id, c, c.shutdown, c.run.d.rep.log), false, true
	c.course = c.next()
	concludeLife(c.life, &c.course, c.service, time.Now())
	c.setTimer()
	return true
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

func (c *dynService) title() string { return "service" } // never asked for: it has an id

func (c *dynService) awaitDead() bool { return true } // Serve has returned
