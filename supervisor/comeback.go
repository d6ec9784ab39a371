package supervisor

import (
	"context"
	"errors"
	"time"

	"github.com/troupe-dev/troupe/actor/exit"
)

// A service that is stopped with ErrRestarting may keep something for its next Serve. The decision may change until that
// begins: then the supervisor concludes the child, which is a short life in its turn, within its shutdown time, that
// calls the Shutdown of the service. A supervisor has none: to conclude it is to serve it with a ctx that is done, and so
// it concludes those of its children that were stopped with ErrRestarting.

// concluder is a Service that is told when it does not come back after all.
type concluder interface {
	Shutdown(ctx context.Context) error
}

// keeps tells whether a life of s, which has ended, may have kept something for the next one.
func keeps(s Service, l *life) bool {
	switch s := s.(type) {
	case *Supervisor:
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.kept) > 0
	case concluder:
		return errors.Is(context.Cause(l.ctx), ErrRestarting)
	}
	return false
}

// concludeLife begins the life that concludes s; c is its course.
func concludeLife(l *life, c *course, s Service, now time.Time) {
	over, service := s.(concluder)
	if service {
		c.yields = true // Shutdown gets the shutdown time, and then a moment to return
		s = ServiceFunc(over.Shutdown)
	}
	if cause := c.tell(exit.ErrShutdown, now); !service || cause == exit.ErrKilled {
		l.tell(cause)
	}
	go l.run(s, false)
}

// comesBack tells whether the service of ctx will be served again when it fails now. It may turn out otherwise.
func comesBack(ctx context.Context) bool {
	l := lifeOf(ctx)
	return l != nil && l.owner != nil && l.owner.comesBack(l)
}

// comesBack implements owner. Supervisors ask upward with their own lock held, never downward.
func (t *tree) comesBack(l *life) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.byID[l.id]
	switch {
	case c == nil || c.life != l: // it was abandoned
		return false
	case t.stopping:
		return t.servesAgain(c)
	case c.swept, c.terminated:
		return c.want
	case !c.initial && (len(c.starting) > 0 || c.fresh || c.spec.Restart == Temporary):
		return false
	}
	return !c.initial && t.intensity.allows(time.Now()) || !c.added && comesBack(t.base)
}

// servesAgain tells whether t, which is stopping, will be served again, and c with it.
func (t *tree) servesAgain(c *child) bool { return t.back && !c.added }

// toConclude tells whether c is to be concluded.
func (t *tree) toConclude(c *child) bool {
	return c.kept && c.life == nil && !c.want && !(t.stopping && t.servesAgain(c))
}

// conclude begins the life of c that concludes it.
func (t *tree) conclude(c *child, now time.Time) {
	c.life = newLife(t.base, c.spec.ID, t, c.spec.Shutdown, t.rep.log)
	c.course = courseOf(c.spec.Service, c.spec.Shutdown)
	c.kept, c.concluding, c.swept, c.terminated = false, true, t.stopping, true
	concludeLife(c.life, &c.course, c.spec.Service, now)
}

// kept is the IDs of those that may have kept something for the next time that the Supervisor is served.
func (t *tree) kept() map[string]bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	ids := make(map[string]bool)
	for _, c := range t.children {
		if c.kept && !c.added {
			ids[c.spec.ID] = true
		}
	}
	return ids
}
