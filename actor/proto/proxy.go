package proto

import (
	"context"
	"fmt"
	"slices"
	"sync"

	protoactor "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/internal/engine"
	"github.com/troupe-dev/troupe/actor/internal/hook"
	"github.com/troupe-dev/troupe/actor/internal/shrink"
)

// Proxy starts a process that stands for an actor of protoactor, so that all that takes an actor.PID takes that actor: Send,
// Call, Monitor, Exit, and the names and groups of package registry.
//
// What is sent to the process is sent on, in order; a Call is a Request there, and the response its Reply. The process ends
// when the actor terminates, and its monitors get Down then; an actor that protoactor restarts has not terminated.
// Protoactor does not say why, so the exit reason is ErrNormal, wrapped; it is ErrNoProcess when the actor was gone
// already, and another error when its node is lost. Calls that are open fail with ErrNoProcess.
//
// Exit ends the actor: it is poisoned after what was sent on before, and the process ends with the reason of the Exit when
// the actor has terminated. If that takes longer than Config.ShutdownTimeout, or the reason is ErrKilled, the actor is told
// to Stop, and the process does not wait for it. System.Shutdown ends the process and leaves the actor alone.
//
// Each call starts another process; register it under a name to have one. When pid is the address of a process of Troupe,
// Proxy returns that one. The error is ErrNoProcess, wrapped, when there is no such actor, and ErrShutdown after
// System.Shutdown. Proxy panics when sys was not made by [NewSystem].
func Proxy(sys *actor.System, pid *protoactor.PID) (actor.PID, error) {
	e := engineOf(sys, "Proxy")
	if p, ok := ActorPID(sys, pid); ok {
		if !p.Alive() {
			return actor.PID{}, noProcess(pid)
		}
		return p, nil
	}
	theirs, ok := e.Proto().ProcessRegistry.Get(pid)
	if !ok {
		return actor.PID{}, noProcess(pid)
	}
	p := &proxy{sys: sys, engine: e, pid: pid, theirs: theirs}
	return sys.Spawn(context.Background(), p, actor.SpawnOptions{Label: text(pid)})
}

type proxy struct {
	sys    *actor.System
	engine *engine.System
	pid    *protoactor.PID
	theirs protoactor.Process // of pid
	link   *engine.Reply      // watches theirs
	ended  chan struct{}      // closed when theirs has terminated

	mu    sync.Mutex // a kill does not wait for the callback in progress
	left  bool
	asked []question // some are over
	look  int        // how many there may be before those that are over are looked for
}

// question is a Call that was sent on.
type question struct {
	*engine.Reply
	from actor.From
}

func (q question) over() bool { return q.Over() || !q.from.Waiting() }

// fewQuestions is for how few nobody looks for those that are over.
const fewQuestions = 64

// Init implements actor.Initializer.
func (p *proxy) Init(ctx context.Context) error {
	self := actor.Self(ctx)
	p.ended = make(chan struct{})
	p.link = p.engine.NewReply(func(v any, _ bool) {
		close(p.ended)
		self.Exit(terminated(p.pid, v))
	})
	if _, ok := self.OnExit(func(error) { p.leave() }); !ok { // killed
		p.link.Drop()
		return actor.ErrKilled
	}
	p.theirs.SendSystemMessage(p.pid, &protoactor.Watch{Watcher: p.link.PID()})
	return nil
}

// terminated is the exit reason for what protoactor says of an end.
func terminated(pid *protoactor.PID, v any) error {
	why := protoactor.TerminatedReason_Stopped
	if t, ok := v.(*protoactor.Terminated); ok {
		why = t.Why
	}
	switch why {
	case protoactor.TerminatedReason_Stopped:
		return fmt.Errorf("proto: %s has terminated: %w", text(pid), actor.ErrNormal)
	case protoactor.TerminatedReason_NotFound:
		return noProcess(pid)
	}
	return fmt.Errorf("proto: %s is lost: %v", text(pid), why)
}

// Receive implements actor.Actor.
func (p *proxy) Receive(ctx context.Context, msg any) error {
	root := p.engine.Proto().Root
	from, ok := actor.Caller(ctx)
	if !ok {
		root.Send(p.pid, engine.Message(msg))
		return nil
	}
	r := p.engine.NewReply(func(v any, gone bool) {
		if gone {
			v = noProcess(p.pid)
		}
		from.Reply(v)
	})
	if p.keep(question{r, from}) {
		root.RequestWithCustomSender(p.pid, msg, r.PID())
	}
	return nil
}

// keep notes a question, so that it does not outlive the proxy. When there have become twice as many, it drops those that
// nobody waits for any more: the actor may never answer them. False: the proxy was killed.
func (p *proxy) keep(q question) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left {
		q.Drop()
		return false
	}
	if len(p.asked) >= max(p.look, fewQuestions) {
		p.asked = shrink.Slice(slices.DeleteFunc(p.asked, func(q question) bool {
			over := q.over()
			if over {
				q.Drop()
			}
			return over
		}))
		p.look = 2 * len(p.asked)
	}
	p.asked = append(p.asked, q)
	return true
}

// Terminate implements actor.Terminator.
func (p *proxy) Terminate(ctx context.Context, reason error) {
	if p.link.Over() || p.sys.Inside(hook.Key{}).Closed() {
		return
	}
	p.engine.Proto().Root.Poison(p.pid)
	select {
	case <-p.ended:
	case <-ctx.Done():
	}
}

// leave is the end of the process, which may overtake a callback of it.
func (p *proxy) leave() {
	p.mu.Lock()
	p.left = true
	asked := p.asked
	p.asked = nil
	p.mu.Unlock()
	for _, q := range asked {
		q.Drop()
	}
	terminated := p.link.Over()
	p.link.Drop()
	if terminated {
		return
	}
	p.theirs.SendSystemMessage(p.pid, &protoactor.Unwatch{Watcher: p.link.PID()})
	if !p.sys.Inside(hook.Key{}).Closed() {
		p.engine.Proto().Root.Stop(p.pid)
	}
}
