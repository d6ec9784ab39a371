package registry

import (
	"context"
	"errors"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

// Ask finds or starts the process of a name, like [Registry.Ensure], and calls it, like [actor.Call]. When the callee has
// ended before it was given the request, because it was ending already or has just crashed, or when its node was lost before
// the request was sent, Ask tries again, within ctx (or, if that has no deadline, within the System's CallTimeout): first at
// once, and then after 1 ms, 2 ms, and so on up to 100 ms. A request reaches at most one callee: once a callee has begun to handle it, the result of that Call is
// returned, whatever became of the callee.
//
// The errors are those of Ensure and Call. When ctx is done, ctx.Err() is joined with the error of the last try.
func Ask[R any](ctx context.Context, r *Registry, name string, start func(ctx context.Context) (actor.PID, error), req any) (R, error) {
	ctx, cancel := r.bound(ctx)
	defer cancel()
	for pause := time.Duration(0); ; pause = min(max(2*pause, time.Millisecond), 100*time.Millisecond) {
		pid, err := r.Ensure(ctx, name, start)
		if err == nil {
			var answer R
			if answer, err = actor.Call[R](ctx, pid, req); !host.Unhandled(err) {
				return answer, err
			}
		} else if !errors.Is(err, errEndedAtOnce) {
			var none R
			return none, err
		}
		if late := sleep(ctx, pause); late != nil {
			var none R
			return none, errors.Join(late, err)
		}
	}
}

// sleep waits for d, or until ctx is done.
func sleep(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
