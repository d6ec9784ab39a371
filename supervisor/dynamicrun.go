package supervisor

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// dynamicRun is one run of a Dynamic, from the call of Serve to its return.
//
// All starts and ends share one counter; mu is taken only by restarts and for what was abandoned. Each partition is closed
// under its own lock, so a shutdown misses nobody: a child that is not in the partition by then does not get in.
type dynamicRun struct {
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

func newDynamicRun(d *Dynamic, ctx context.Context) *dynamicRun {
	r := &dynamicRun{
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
	return r
}

func partOf[K comparable](r *dynamicRun, key K) *partition {
	return &r.parts[maphash.Comparable(r.seed, key)%uint64(len(r.parts))]
}

// reserve takes a place for a child, or says why there is none.
func (r *dynamicRun) reserve() error {
	limit := int64(r.d.cfg.MaxChildren)
	for limit > 0 {
		n := r.count.Load()
		if n >= limit {
			return ErrMaxChildren
		}
		if r.count.CompareAndSwap(n, n+1) {
			break
		}
	}
	if limit == 0 {
		r.count.Add(1)
	}
	if r.closed.Load() {
		r.release(false)
		return ErrNotRunning
	}
	return nil
}

// release gives a place back; named says whether the child was in a partition.
func (r *dynamicRun) release(named bool) {
	r.count.Add(-1)
	if named {
		r.named.Add(-1)
	}
	if r.closed.Load() {
		select {
		case r.change <- struct{}{}:
		default:
		}
	}
}

// mayRestart counts a restart among those of all children; when it is one too many, the Dynamic gives up.
func (r *dynamicRun) mayRestart(child string, reason error) bool {
	if r.d.cfg.MaxRestartsAll == 0 {
		return true
	}
	r.mu.Lock()
	ok := r.intensity.add(time.Now())
	r.mu.Unlock()
	if ok {
		return true
	}
	err := &IntensityError{Supervisor: r.d.rep.name, Child: child, MaxRestarts: r.intensity.max,
		Within: r.intensity.within, Err: reason}
	select {
	case r.failed <- err:
		r.d.rep.counts.note(EventGaveUp, "")
		r.d.rep.report(Event{Kind: EventGaveUp, Child: err.Child, Reason: err})
	default: // it is giving up
	}
	return false
}

// allowsRestart tells whether mayRestart would return true.
func (r *dynamicRun) allowsRestart() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.d.cfg.MaxRestartsAll == 0 || r.intensity.allows(time.Now())
}

// serve is the goroutine of Serve.
func (r *dynamicRun) serve() error {
	var err error
	select {
	case <-r.base.Done():
	case err = <-r.failed:
	}
	unnamed := r.shutdown(err)
	var others []string
	if unnamed > 0 {
		others = append(others, fmt.Sprintf("%d actors", unnamed))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.abandoned.result(err, others...)
}

// abandon notes that c is abandoned. Its mu is held.
func (r *dynamicRun) abandon(c *dynChild) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.abandoned.add(c, c.id)
}

// returned notes that c, which was abandoned, has returned after all.
func (r *dynamicRun) returned(c *dynChild) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.abandoned.returned(c)
}

// abandonedBelow is abandonments.of.
func (r *dynamicRun) abandonedBelow(id string, reason error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.abandoned.of(id, reason, r.closed.Load())
}

// shutdown stops all children and waits for them. Each has ended or is abandoned at the end of its shutdown time, by a
// timer of its own. There is no such timer for a newActor of an actor without an id, or for the exit hooks of actors that
// have ended: shutdown waits for these for a while, and returns how many it has not waited for.
func (r *dynamicRun) shutdown(err error) (unnamed int64) {
	var killed <-chan struct{}
	l := lifeOf(r.base)
	if l != nil {
		killed = l.killed.Done()
	}
	r.closed.Store(true)
	var all []*dynChild
	for i := range r.parts {
		r.parts[i].mu.Lock()
		r.parts[i].closed = true
		r.parts[i].mu.Unlock()
		all = append(all, r.parts[i].members()...)
	}
	total := r.count.Load()
	cause := err
	if cause == nil {
		cause = context.Cause(r.base)
	}
	r.d.rep.report(Event{Kind: EventShutdown, Reason: cause, Remaining: int(total)})

	kill := l != nil && l.killed.Err() != nil
	for _, c := range all {
		c.stop(kill)
	}
	all = nil
	constructing := time.NewTimer(defaultShutdown)
	defer constructing.Stop()
	overtime, reported := false, total
	for r.count.Load() > 0 && !(overtime && r.named.Load() == 0) {
		select {
		case <-r.change:
			if n := r.count.Load(); n > 0 && reported-n >= max(total/10, 1) {
				reported = n
				r.d.rep.report(Event{Kind: EventShutdown, Remaining: int(n)})
			}
		case <-killed:
			killed = nil
			r.kill()
			constructing.Reset(killGrace)
		case <-constructing.C:
			overtime = true
		}
	}
	unnamed = r.count.Load()
	ctx, cancel := context.WithTimeout(context.Background(), killGrace)
	defer cancel()
	for i := range r.parts {
		unnamed += r.parts[i].waitDead(ctx)
	}
	r.d.rep.report(Event{Kind: EventShutdown, Remaining: int(unnamed)})
	return unnamed
}

// kill kills the children that are still there.
func (r *dynamicRun) kill() {
	for i := range r.parts {
		for _, c := range r.parts[i].members() {
			c.stop(true)
		}
	}
}

// find returns the child with that id; nil: there is none.
func (r *dynamicRun) find(id string) *dynChild {
	q := partOf(r, id)
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.children.Get(id)
}

// event reports e if anybody hears of it. Only then it calls child, which returns the ID and takes a lock.
func (r *dynamicRun) event(e Event, child func() string) {
	r.d.rep.counts.note(e.Kind, "")
	if r.d.rep.wants(e.level()) {
		e.Child = child()
		r.d.rep.report(e)
	}
}

// enter takes c in under its id, or returns the child that has it.
func (r *dynamicRun) enter(id string, c *dynChild) (present *dynChild, err error) {
	q := partOf(r, id)
	q.mu.Lock()
	defer q.mu.Unlock()
	switch present = q.children.Get(id); {
	case q.closed:
		return nil, ErrNotRunning
	case present != nil:
		return present, ErrAlreadyPresent
	}
	q.children.Put(id, c)
	r.named.Add(1)
	return nil, nil
}
