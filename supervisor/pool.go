package supervisor

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

// pool is one run of a Dynamic, from the call of Serve to its return.
//
// What children have in common is one counter, and the intensity, which only restarts touch. Each partition says for
// itself whether it still takes anybody, under its own lock, so that the sweep of a shutdown misses nobody: whoever is not
// in the partition when it is closed does not get in.
type pool struct {
	d     *Dynamic
	base  context.Context // that of Serve
	parts []partition
	seed  maphash.Seed

	count  atomic.Int64 // children, from the reservation of their place to their end
	named  atomic.Int64 // those of them that are in a partition; it does not fall before count has
	closed atomic.Bool
	change chan struct{} // holds a token when count has fallen while closed
	failed chan error    // holds the first IntensityError
	each   intensity     // what is allowed to one child

	mu        sync.Mutex
	intensity intensity // of all children together: DynamicConfig.MaxRestartsAll
	abandoned abandonments
}

// partition holds a part of the children, from their start to their end, restarts included.
type partition struct {
	mu       sync.Mutex
	closed   bool
	children host.Map[string, *dynChild]
	leaving  []actor.PID // actors that were gone, and may have exit hooks to run before they are dead
	tidyAt   int         // how many of these are too many
	_        [64]byte    // keeps neighbours off the cache line
}

// gone notes, in the exit hook of an actor, that it is about to end.
func (q *partition) gone(pid actor.PID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.leaving) >= q.tidyAt { // so that the list stays short, and tidying is paid for by what was added
		q.leaving = host.Shrink(slices.DeleteFunc(q.leaving, func(p actor.PID) bool {
			_, err := actor.Inspect(p)
			return err != nil // dead
		}))
		q.tidyAt = 2*len(q.leaving) + 64
	}
	q.leaving = append(q.leaving, pid)
}

// waitDead waits until all that were gone are dead, and says how many it has not waited for when ctx is done.
func (q *partition) waitDead(ctx context.Context) (alive int64) {
	q.mu.Lock()
	leaving := q.leaving
	q.leaving = nil
	q.mu.Unlock()
	for _, pid := range leaving {
		if _, err := actor.Wait(ctx, pid); err != nil && !errors.Is(err, actor.ErrNoProcess) {
			alive++
		}
	}
	return alive
}

func newPool(d *Dynamic, ctx context.Context) *pool {
	p := &pool{
		d:         d,
		base:      ctx,
		parts:     make([]partition, d.cfg.Partitions),
		seed:      maphash.MakeSeed(),
		change:    make(chan struct{}, 1),
		failed:    make(chan error, 1),
		intensity: newIntensity(d.cfg.MaxRestartsAll, d.cfg.Within),
		each:      newIntensity(d.cfg.MaxRestarts, d.cfg.Within),
		abandoned: newAbandonments(d.rep.name),
	}
	return p
}

func partOf[K comparable](p *pool, key K) *partition {
	return &p.parts[maphash.Comparable(p.seed, key)%uint64(len(p.parts))]
}

// members is who is there now.
func (q *partition) members() []*dynChild {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := make([]*dynChild, 0, q.children.Len())
	for _, c := range q.children.All() {
		all = append(all, c)
	}
	return all
}

// reserve takes a place for a child, or says why there is none.
func (p *pool) reserve() error {
	limit := int64(p.d.cfg.MaxChildren)
	for limit > 0 {
		n := p.count.Load()
		if n >= limit {
			return ErrMaxChildren
		}
		if p.count.CompareAndSwap(n, n+1) {
			break
		}
	}
	if limit == 0 {
		p.count.Add(1)
	}
	if p.closed.Load() {
		p.release(false)
		return ErrNotRunning
	}
	return nil
}

// release gives a place back; named says whether the child was in a partition.
func (p *pool) release(named bool) {
	p.count.Add(-1)
	if named {
		p.named.Add(-1)
	}
	if p.closed.Load() {
		select {
		case p.change <- struct{}{}:
		default:
		}
	}
}

// mayRestart counts a restart among those of all children; when it is one too many, the pool gives up.
func (p *pool) mayRestart(child string, reason error) bool {
	if p.d.cfg.MaxRestartsAll == 0 {
		return true
	}
	p.mu.Lock()
	ok := p.intensity.add(time.Now())
	p.mu.Unlock()
	if ok {
		return true
	}
	err := &IntensityError{Supervisor: p.d.rep.name, Child: child, MaxRestarts: p.intensity.max,
		Within: p.intensity.within, Err: reason}
	select {
	case p.failed <- err:
		p.d.rep.report(Event{Kind: EventGaveUp, Child: err.Child, Reason: err})
	default: // it is giving up
	}
	return false
}

// serve is the goroutine of Serve.
func (p *pool) serve() error {
	var err error
	select {
	case <-p.base.Done():
	case err = <-p.failed:
	}
	unnamed := p.shutdown(err)
	var others []string
	if unnamed > 0 {
		others = append(others, fmt.Sprintf("%d actors", unnamed))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.abandoned.result(err, others...)
}

// abandon notes that c is given up. Its mu is held.
func (p *pool) abandon(c *dynChild) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.abandoned.add(c, c.id)
}

// returned notes that c, which was given up, has returned after all.
func (p *pool) returned(c *dynChild) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.abandoned.returned(c)
}

// abandonedBelow is who was given up below the child of that ID, a supervisor that has ended with reason.
func (p *pool) abandonedBelow(id string, reason error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.abandoned.of(id, reason, p.closed.Load())
}

// shutdown ends all children and waits for them. Each is gone or abandoned at the end of its shutdown time, by a clock
// of its own. What no clock bounds is a newActor that does not return, of an actor that has no id yet, and the exit
// hooks of actors that are gone; shutdown says how many it has not waited for.
func (p *pool) shutdown(err error) (unnamed int64) {
	var killed <-chan struct{}
	l := lifeOf(p.base)
	if l != nil {
		killed = l.killed.Done()
	}
	p.closed.Store(true)
	var all []*dynChild
	for i := range p.parts {
		p.parts[i].mu.Lock()
		p.parts[i].closed = true
		p.parts[i].mu.Unlock()
		all = append(all, p.parts[i].members()...)
	}
	total := p.count.Load()
	cause := err
	if cause == nil {
		cause = context.Cause(p.base)
	}
	p.d.rep.report(Event{Kind: EventShutdown, Reason: cause, Remaining: int(total)})

	kill := l != nil && l.killed.Err() != nil
	for _, c := range all {
		c.sweep(kill)
	}
	all = nil
	constructing := time.NewTimer(defaultShutdown)
	defer constructing.Stop()
	overtime, reported := false, total
	for p.count.Load() > 0 && !(overtime && p.named.Load() == 0) {
		select {
		case <-p.change:
			if n := p.count.Load(); n > 0 && reported-n >= max(total/10, 1) {
				reported = n
				p.d.rep.report(Event{Kind: EventShutdown, Remaining: int(n)})
			}
		case <-killed:
			killed = nil
			p.kill()
			constructing.Reset(killGrace)
		case <-constructing.C:
			overtime = true
		}
	}
	unnamed = p.count.Load()
	ctx, cancel := context.WithTimeout(context.Background(), killGrace)
	defer cancel()
	for i := range p.parts {
		unnamed += p.parts[i].waitDead(ctx)
	}
	p.d.rep.report(Event{Kind: EventShutdown, Remaining: int(unnamed)})
	return unnamed
}

// kill kills who is still there.
func (p *pool) kill() {
	for i := range p.parts {
		for _, c := range p.parts[i].members() {
			c.sweep(true)
		}
	}
}

// find returns the child with that id; nil: there is none.
func (p *pool) find(id string) *dynChild {
	q := partOf(p, id)
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.children.Get(id)
}

// event reports an event, when anybody hears of it; child is asked for the ID only then, since making it may cost.
func (p *pool) event(e Event, child func() string) {
	if p.d.rep.wants(e.level()) {
		e.Child = child()
		p.d.rep.report(e)
	}
}
