package actor

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
)

// TaskRef names one Async. It is comparable; the zero TaskRef names none.
type TaskRef struct{ t *task }

type task struct {
	cancel context.CancelFunc // nil: f does not run
}

// Done is the message that an Async has finished.
type Done[T any] struct {
	Ref   TaskRef
	Value T
	// Err is what f returned, a *PanicError, or ErrOverload when f has not run because SpawnOptions.MaxAsync functions
	// were running already.
	Err error
}

// Async runs f on a goroutine of its own and sends what it returns to the process of ctx, as a Done[T] message that no
// limit refuses. f's ctx is derived from ctx and is cancelled when the process ends or by [TaskRef.Cancel]; f must not
// touch the fields of the actor. In f, [Reply] and [Call] work; System.Shutdown waits for f. When f panics, Err is a
// *PanicError.
//
// At most SpawnOptions.MaxAsync run for one process. When that many do, f does not run, and a Done whose Err is
// ErrOverload is in the mailbox when Async returns. So a client whose requests start functions cannot make the process
// start any number of them. Refuse the request then, and do not try again at once. When the Done of an f that has run
// arrives, there is room for another.
//
// Async never blocks. It panics when ctx belongs to no process. When that process has ended, f does not run and no Done
// comes.
func Async[T any](ctx context.Context, f func(context.Context) (T, error)) TaskRef {
	p := mustProcess(ctx, "Async")
	ref, with := TaskRef{&task{}}, p.sys.carryOf(ctx)
	switch p.asyncBegins() {
	case asyncDead:
		return ref
	case asyncFull:
		err := fmt.Errorf("actor: async: %d are running, which is SpawnOptions.MaxAsync: %w", p.terms.maxAsync, ErrOverload)
		p.asyncDone(Done[T]{Ref: ref, Err: err}, with)
		return ref
	}
	ctx, cancel := context.WithCancel(context.WithValue(ctx, asyncKey{}, true))
	ref.t.cancel = cancel
	go func() {
		defer p.sys.goroutineDone()
		defer cancel()
		done := Done[T]{Ref: ref, Err: errors.New("actor: async: runtime.Goexit")}
		defer func() {
			if r := recover(); r != nil {
				done.Err = &PanicError{Value: r, Stack: debug.Stack()}
			}
			p.asyncEnds() // before Done arrives, since that may start the next
			p.asyncDone(done, with)
		}()
		done.Value, done.Err = f(ctx)
	}()
	return ref
}

type asyncResult uint8

const (
	asyncRuns asyncResult = iota
	asyncFull
	asyncDead
)

// asyncBegins counts one more Async of p, if p lives and has not too many. Its goroutine is counted for the System under
// the same lock, so a Shutdown that has seen p end has counted it, too.
func (p *process) asyncBegins() asyncResult {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == stateDead {
		return asyncDead
	}
	r := p.rel()
	if p.terms.maxAsync >= 0 && r.asyncs >= p.terms.maxAsync {
		return asyncFull
	}
	r.asyncs++
	p.sys.goroutines.Add(1)
	return asyncRuns
}

// asyncDone puts a Done into the mailbox, with what its Async carries; nil: nothing.
func (p *process) asyncDone(done, with any) {
	if with != nil {
		done = &carried{done, with}
	}
	p.post(item{kind: kindTask, msg: done})
}

// asyncEnds counts one Async less. A dead process has no count.
func (p *process) asyncEnds() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.relation != nil {
		p.relation.asyncs--
	}
}

// Cancel cancels f's ctx. The Done still comes, with what f then returns.
func (r TaskRef) Cancel() {
	if r.t != nil && r.t.cancel != nil {
		r.t.cancel()
	}
}
