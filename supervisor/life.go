package supervisor

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/actor/host"
)

// life is one run of a Service, from its start to the return of Serve. The end of its ctx tells the service to stop; the
// end of killed says that there is no time left for that (see Killed).
type life struct {
	id       string
	owner    owner // nil at the root of a Run
	parent   *life // that of the supervisor; nil when it has none
	ctx      context.Context
	end      context.CancelCauseFunc
	killed   context.Context
	noTime   context.CancelFunc // ends killed
	shutdown time.Duration
	began    time.Time
	log      *host.Log                 // the supervisor's
	pid      atomic.Pointer[actor.PID] // of an Actor
}

// owner hears of a life from the goroutine of the service. No method waits for anything but short locks.
type owner interface {
	ready(*life)
	ended(l *life, reason error, kind exit.Kind) // once, last
	comesBack(l *life) bool                      // if it failed now
}

type lifeKey struct{}

func lifeOf(ctx context.Context) *life {
	l, _ := ctx.Value(lifeKey{}).(*life)
	return l
}

// newLife makes a life whose ctx has the values of base, and not its end.
func newLife(base context.Context, id string, o owner, shutdown time.Duration, log *host.Log) *life {
	l := &life{id: id, owner: o, parent: lifeOf(base), shutdown: shutdown, began: time.Now(), log: log}
	l.ctx, l.end = context.WithCancelCause(context.WithValue(context.WithoutCancel(base), lifeKey{}, l))
	l.killed, l.noTime = context.WithCancel(context.Background())
	return l
}

// tell tells the service to stop, unless it was told before. cause is ErrShutdown or ErrRestarting, or ErrKilled, which
// also says that no time is left; nil tells it nothing.
func (l *life) tell(cause error) {
	if cause == nil {
		return
	}
	l.end(cause)
	if cause == exit.ErrKilled {
		l.noTime()
	}
}

// within tells whether ctx belongs to l or to a service below it.
func (l *life) within(ctx context.Context) bool {
	for other := lifeOf(ctx); other != nil; other = other.parent {
		if other == l {
			return true
		}
	}
	return false
}

func (l *life) currentPID() actor.PID {
	if l == nil {
		return actor.PID{}
	}
	if p := l.pid.Load(); p != nil {
		return *p
	}
	return actor.PID{}
}

// run is the goroutine of the service.
func (l *life) run(s Service, readyAtOnce bool) {
	err, returned := error(nil), false
	defer func() { // on a runtime.Goexit, too
		if !returned {
			err = panicError(recover())
		}
		kind, reason := l.judge(err)
		l.end(exit.ErrShutdown) // frees what hangs on the contexts
		l.noTime()
		l.owner.ended(l, reason, kind)
	}()
	if readyAtOnce {
		l.owner.ready(l)
	}
	err = s.Serve(l.ctx)
	returned = true
}

var errGoexit = errors.New("runtime.Goexit")

// panicError is the error of code that did not return; v is what recover returned.
func panicError(v any) error {
	if v == nil {
		v = errGoexit
	}
	return &actor.PanicError{Value: v, Stack: debug.Stack()}
}

// judge returns the exit reason and its kind; err is what Serve returned.
func (l *life) judge(err error) (exit.Kind, error) {
	err = sound(err)
	switch {
	case l.ctx.Err() != nil: // only the supervisor ends it
		if err == nil || errors.Is(err, l.ctx.Err()) {
			err = context.Cause(l.ctx)
		}
		return kindOfTold(err), err
	case err == nil:
		return exit.Normal, exit.ErrNormal
	}
	return exit.KindOf(err), err
}

// kindOfTold is the kind of an end that was asked for: shutdown, whatever err is, unless it is a panic.
func kindOfTold(err error) exit.Kind {
	var panicked *actor.PanicError
	if errors.As(err, &panicked) {
		return exit.Abnormal
	}
	return exit.Shutdown
}

// sound returns err, or another error in its place when the methods of err panic, as those of a nil pointer may: errors
// come from users, and a supervisor must survive looking into them.
func sound(err error) (e error) {
	defer func() {
		if recover() != nil {
			e = fmt.Errorf("supervisor: an error of type %T whose methods panic", err)
		}
	}()
	if v := reflect.ValueOf(err); v.Kind() == reflect.Pointer && v.IsNil() {
		return fmt.Errorf("supervisor: a nil %T as an error", err)
	}
	if err != nil {
		_, _ = err.Error(), exit.KindOf(err) // which walks the whole chain
	}
	return err
}
