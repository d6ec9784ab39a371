package actor

import (
	"context"
	"errors"
	"runtime/debug"
)

// TaskRef names one Async. It is comparable; the zero TaskRef names none.
type TaskRef struct{ t *task }

type task struct{ cancel context.CancelFunc }

// Done is the message that an Async has finished.
type Done[T any] struct {
	Ref   TaskRef
	Value T
	// Err is what f returned, or a *PanicError.
	Err error
}

// Async runs f on a goroutine of its own and sends what it returns to the process of ctx, as a Done[T] message that no
// limit refuses. f's ctx is derived from ctx and is cancelled when the process ends or by [TaskRef.Cancel]; f must not
// touch the fields of the actor. In f, [Reply] and [Call] work; System.Shutdown waits for f. When f panics, Err is a
// *PanicError. Async panics when ctx belongs to no process; when that process has ended, f does not run.
func Async[T any](ctx context.Context, f func(context.Context) (T, error)) TaskRef {
	p := mustProcess(ctx, "Async")
	ctx, cancel := context.WithCancel(ctx)
	ref := TaskRef{&task{cancel}}
	p.mu.Lock()
	dead := p.state == stateDead
	if !dead {
		p.sys.goroutines.Add(1) // while p lives, so that a Shutdown that has seen its end has not missed f
	}
	p.mu.Unlock()
	if dead {
		cancel()
		return ref
	}
	go func() {
		defer p.sys.goroutineDone()
		defer cancel()
		done := Done[T]{Ref: ref, Err: errors.New("actor: async: runtime.Goexit")}
		defer func() {
			if r := recover(); r != nil {
				done.Err = &PanicError{Value: r, Stack: debug.Stack()}
			}
			p.post(item{kind: kindTask, msg: done})
		}()
		done.Value, done.Err = f(ctx)
	}()
	return ref
}

// Cancel cancels f's ctx. Its Done still comes, with what f makes of that.
func (r TaskRef) Cancel() {
	if r.t != nil {
		r.t.cancel()
	}
}
