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
