package supervisor

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/actor/exit"
)

// tree is one run of a Supervisor, from the call of Serve to its return.
//
// Its rules run on the goroutine of Serve alone: commands and the goroutines of the children only note under mu what
// they want or what has happened, and wake it. So a command waits for the child it is about, and for no other start or
// stop that is going on. mu is not held while events are reported or user code runs.
type tree struct {
	cfg  Config
	rep  reporter
	base context.Context // that of Serve
	wake chan struct{}   // holds one token

	mu        sync.Mutex
	children  []*child // in the order of their start
	byID      map[string]*child
	happened  []happening
	events    []Event
	intensity intensity
	stopping  bool  // all children are to stop
	back      bool  // with stopping: the Supervisor is expected to be served again
	killing   bool  // with stopping: the children are killed
	finished  bool  // Serve returns
	err       error // what Serve returns
	abandoned abandonments
}

// happening is what the goroutine of a life reports: that it is ready, or that it has ended.
type happening struct {
	life   *life
	ended  bool
	reason error
	kind   exit.Kind
}

func newTree(s *Supervisor, ctx context.Context) *tree {
	t := &tree{
		cfg:       s.cfg,
		rep:       s.rep,
		base:      ctx,
		wake:      make(chan struct{}, 1),
		byID:      make(map[string]*child),
		intensity: newIntensity(s.cfg.MaxRestarts, s.cfg.Within),
		abandoned: newAbandonments(s.rep.name),
	}
	for _, spec := range s.specs {
		t.insert(&child{spec: spec, want: true, initial: true, kept: s.kept[spec.ID]})
	}
	return t
}

func (t *tree) insert(c *child) {
	t.children = append(t.children, c)
	t.byID[c.spec.ID] = c
}

// remove forgets c. A loop over t.children goes on with the slice as it was.
func (t *tree) remove(c *child) {
	t.children = slices.Concat(t.children[:t.index(c)], t.children[t.index(c)+1:])
	delete(t.byID, c.spec.ID)
}

func (t *tree) index(c *child) int { return slices.Index(t.children, c) }

func (t *tree) poke() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// ready implements owner.
func (t *tree) ready(l *life) {
	t.mu.Lock()
	t.happened = append(t.happened, happening{life: l})
	t.mu.Unlock()
	t.poke()
}

// ended implements owner; the life may have been abandoned meanwhile.
func (t *tree) ended(l *life, reason error, kind exit.Kind) {
	t.mu.Lock()
	if !t.abandoned.returned(l) {
		t.happened = append(t.happened, happening{life: l, ended: true, reason: reason, kind: kind})
	}
	t.mu.Unlock()
	t.poke()
}

// event notes an event about c, nil for the supervisor; report reports it when mu is free.
func (t *tree) event(c *child, e Event) {
	e.Time = time.Now()
	if c != nil {
		e.Child, e.Restarts = c.spec.ID, c.restarts
	}
	id := ""
	if c != nil && !c.added {
		id = e.Child
	}
	t.rep.counts.note(e.Kind, id)
	t.events = append(t.events, e)
}

// serve is the event loop.
func (t *tree) serve() error {
	done, killed := t.base.Done(), (<-chan struct{})(nil)
	if l := lifeOf(t.base); l != nil {
		killed = l.killed.Done()
	}
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	defer timer.Stop()
	saidReady := false
	for {
		next, ready, over := t.step()
		t.report()
		if over {
			return t.result()
		}
		if ready && !saidReady {
			saidReady = true
			Ready(t.base)
		}
		var due <-chan time.Time
		if !next.IsZero() {
			timer.Reset(time.Until(next))
			due = timer.C
		}
		select {
		case <-t.wake:
		case <-due:
		case <-done:
			done = nil // seen once is enough
		case <-killed:
			killed = nil
		}
	}
}

// step takes in what has happened and does what follows. It returns when it has to be called again at the latest (zero:
// only when something happens), whether all first starts are over, and whether the tree has ended.
func (t *tree) step() (next time.Time, ready, over bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if t.base.Err() != nil {
		t.stop(nil)
		if l := lifeOf(t.base); l != nil && l.killed.Err() != nil {
			t.killing = true
		}
	}
	happened := t.happened
	t.happened = nil
	for _, h := range happened {
		c := t.byID[h.life.id]
		switch {
		case c == nil || c.life != h.life: // it was abandoned
		case h.ended:
			t.exited(c, h.reason, h.kind, now)
		default:
			t.becameReady(c, now)
		}
	}
	for _, c := range t.children {
		if c.life != nil && c.due(now) {
			t.expire(c, now)
		}
	}
	t.reconcile(now)

	ready, over = !t.stopping, t.stopping
	earliest := func(at time.Time) {
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	for _, c := range t.children {
		ready = ready && !c.initial
		over = over && c.life == nil && !t.toConclude(c)
		switch {
		case c.life != nil && !c.deadline.IsZero():
			earliest(c.deadline)
		case c.life == nil && c.want && c.notBefore.After(now):
			earliest(c.notBefore)
		}
	}
	t.finished = over
	return next, ready, over
}

// stop has all children stopped, because of err or, when err is nil, because the ctx of Serve is done. Only the first
// call counts.
func (t *tree) stop(err error) {
	if t.stopping {
		return
	}
	t.stopping, t.err = true, err
	cause := err
	if err == nil {
		cause = context.Cause(t.base)
		t.back = errors.Is(cause, ErrRestarting)
	} else {
		t.back = comesBack(t.base)
	}
	for _, c := range t.children {
		if c.life == nil {
			t.retire(c, ErrNotRunning)
			continue
		}
		c.want, c.swept = false, true
	}
	t.event(nil, Event{Kind: EventShutdown, Reason: cause, Remaining: t.running()})
}

// progress reports that one more child has ended.
func (t *tree) progress() { t.event(nil, Event{Kind: EventShutdown, Remaining: t.running()}) }

func (t *tree) running() int {
	n := 0
	for _, c := range t.children {
		if c.life != nil || t.toConclude(c) {
			n++
		}
	}
	return n
}

func (t *tree) giveUp(c *child, reason error) {
	err := &IntensityError{Supervisor: t.rep.name, Child: c.spec.ID, MaxRestarts: t.intensity.max,
		Within: t.intensity.within, Err: reason}
	t.event(c, Event{Kind: EventGaveUp, Reason: err})
	t.stop(err)
}

// report reports the events so far. Only the goroutine of Serve calls it, so they keep their order.
func (t *tree) report() {
	t.mu.Lock()
	events := t.events
	t.events = nil
	t.mu.Unlock()
	for _, e := range events {
		t.rep.report(e)
	}
}

// result is what Serve returns.
func (t *tree) result() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.abandoned.result(t.err)
}
