package observer

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/actor"
)

const (
	// describePatience is how long a socket has to say what its state is: the rest is shown without it.
	describePatience = 500 * time.Millisecond
	mostStates       = 64
)

// states are what handlers have said of themselves last. One that has handled nothing since would say the same again, so it is not
// asked: asking is a callback, and a page asks each second.
type states struct {
	mu   sync.Mutex
	last map[actor.PID]state
}

type state struct {
	handled uint64 // messages, which questions are not
	value   *valueJSON
	err     string
}

// of is the state of a socket; nil and "" when its handler does not say. info is what it was when that was asked for.
//
// It is kept when nothing was handled since then, and no callback ran then. One that did may have been the same question of somebody
// else, whose answer is shared: it is of before what was counted meanwhile.
func (st *states) of(ctx context.Context, s *server, pid actor.PID, info *actor.ProcessInfo) (*valueJSON, string) {
	handled, alone := info.Handled, info.Handling == ""
	st.mu.Lock()
	known, ok := st.last[pid]
	st.mu.Unlock()
	if ok && known.handled == handled {
		return known.value, known.err
	}
	now, keep := s.describe(ctx, pid)
	if !keep || !alone {
		return now.value, now.err
	}
	if info, err := actor.Inspect(pid); err == nil && info.Handled == handled {
		now.handled = info.Handled
		st.keep(pid, now)
	}
	return now.value, now.err
}

func (st *states) keep(pid actor.PID, now state) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if len(st.last) >= mostStates || st.last == nil {
		st.last = make(map[actor.PID]state)
	}
	st.last[pid] = now
}

// describe asks the handler of a socket for its state. keep: it has answered, or says that it cannot.
func (s *server) describe(ctx context.Context, pid actor.PID) (now state, keep bool) {
	ctx, cancel := context.WithTimeout(ctx, describePatience)
	defer cancel()
	v, err := s.Describe(ctx, pid)
	switch {
	case errors.Is(err, errors.ErrUnsupported), errors.Is(err, actor.ErrNoProcess):
		return now, false
	case errors.Is(err, context.DeadlineExceeded):
		return state{err: "the process is busy: it has not answered within " + describePatience.String()}, false
	case ctx.Err() != nil: // whoever has asked has gone, and nobody reads this
		return state{err: errorText(err)}, false
	case err != nil:
		return state{err: errorText(err)}, true
	}
	return state{value: valueOf(v, mostState)}, true
}
