package socket

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket/internal/conn"
)

// Describe asks the handler of a socket what its state is: it returns what [websock.Describer].Describe does. The process is
// asked in its turn, after what waits in its mailbox; no MailboxLimit counts that, so looking at a busy socket does it no harm.
// Those who ask at the same time share one answer. Without a deadline in ctx it waits for actor.Config.CallTimeout at most.
//
// The error is
//   - actor.ErrNoProcess, when p is no socket of this Server, or it ends before it answers
//   - errors.ErrUnsupported, when its handler is no Describer
//   - ctx.Err(), or context.DeadlineExceeded, when the process does not get to it in time
//   - a *actor.PanicError, when Describe has panicked
//   - one that comes at once, when p is the process of ctx itself: it would wait for itself
func (s *Server) Describe(ctx context.Context, p actor.PID) (any, error) {
	c, err := s.find(p)
	switch {
	case err != nil:
		return nil, err
	case !c.Describes():
		return nil, fmt.Errorf("socket: the handler of %v is no websock.Describer: %w", p, errors.ErrUnsupported)
	case actor.Self(ctx) == p:
		return nil, fmt.Errorf("socket: describe of %v by itself would wait for ever", p)
	}
	var late <-chan time.Time
	if d := s.sys.CallTimeout(); d > 0 {
		if _, ok := ctx.Deadline(); !ok {
			t := time.NewTimer(d)
			defer t.Stop()
			late = t.C
		}
	}
	d := s.asked.of(c)
	select {
	case <-d.Done():
		v, err := d.Answer()
		if err != nil {
			return nil, fmt.Errorf("socket: describe %v: %w", p, err)
		}
		return v, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-late:
		return nil, fmt.Errorf("socket: describe %v: no answer within actor.Config.CallTimeout: %w", p, context.DeadlineExceeded)
	}
}

// descriptions are those that are asked for, at most one of each connection. Its mutex is below all others.
type descriptions struct {
	mu    sync.Mutex
	asked map[*conn.Conn]*conn.Description
}

// of returns the one of c that is asked for, and asks for it if there is none. Each has an answer in the end, when the process
// ends at the latest, and is out of the map then.
func (ds *descriptions) of(c *conn.Conn) *conn.Description {
	ds.mu.Lock()
	d := ds.asked[c]
	if d != nil {
		ds.mu.Unlock()
		return d
	}
	d = conn.NewDescription(func() {
		ds.mu.Lock()
		defer ds.mu.Unlock()
		delete(ds.asked, c)
	})
	if ds.asked == nil {
		ds.asked = map[*conn.Conn]*conn.Description{}
	}
	ds.asked[c] = d
	ds.mu.Unlock()
	d.Ask(c)
	return d
}
