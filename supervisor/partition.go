package supervisor

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

// partition holds a part of the children, from their start to their end, restarts included.
type partition struct {
	mu       sync.Mutex
	closed   bool
	children host.Map[string, *dynChild]
	leaving  []actor.PID // actors that have ended, and may still run exit hooks
	tidyAt   int         // how long leaving may become
	_        [64]byte    // keeps neighbours off the cache line
}

// gone notes, in the exit hook of an actor, that it ends.
func (q *partition) gone(pid actor.PID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.leaving) >= q.tidyAt { // tidied rarely enough to cost little for each actor
		q.leaving = host.Shrink(slices.DeleteFunc(q.leaving, func(p actor.PID) bool {
			_, err := actor.Inspect(p)
			return err != nil // dead
		}))
		q.tidyAt = 2*len(q.leaving) + 64
	}
	q.leaving = append(q.leaving, pid)
}

// waitDead waits until the exit hooks of all actors that have ended have run, or ctx is done, and returns how many it has
// not waited for.
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

// members returns the children that are there now.
func (q *partition) members() []*dynChild {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := make([]*dynChild, 0, q.children.Len())
	for _, c := range q.children.All() {
		all = append(all, c)
	}
	return all
}
