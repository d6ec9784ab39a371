package registry

import (
	"context"
	"errors"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

// Ask finds or starts the process of a name, as [Registry.Ensure], and calls it, as [actor.Call]. When the callee turns out to
// be gone before it was given the request, because it was ending or has crashed just before, Ask begins anew, within ctx
// (without a deadline: within the System's CallTimeout), at once and then after 1 ms, 2 ms, and so on up to 100 ms. So a request
// reaches one callee at most: an error of one that has begun to handle it is returned, whatever became of the callee.
//
// The errors are those of Ensure and Call; ctx.Err() after the last try is joined by what that try said.
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

// sleep waits for d or for the end of ctx.
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
