package actor_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

// subject is a process of which everything that its end does is written down, in order.
type subject struct {
	noHooks
	journal[string]
	t       *testing.T
	sys     *actor.System
	hosted  bool
	options actor.SpawnOptions

	initErr   error              // what Init returns
	ending    func()             // runs in the Ending hook
	terminate func()             // runs in Terminate
	child     *behaviour         // overrides the child that Init makes
	childOpts actor.SpawnOptions //
	watcher   *inbox             // monitors the subject; its parent, if it is not hosted
	port      host.Port          // if it is hosted
	pid       actor.PID          //
	ctx       context.Context    //
	kid       actor.PID          //
	onExits   int                //
	release   func()             // ends the callback that occupies the subject
	spawnErr  error              //
}

const (
	shutdownTime = 3 * time.Second
	label        = "subject of the test"
)

// Init makes a child, and has the end of the subject reported to all who can ask for that.
func (s *subject) Init(ctx context.Context) error {
	s.ctx, s.pid = ctx, actor.Self(ctx)
	child := s.child
	if child == nil {
		child = &behaviour{terminate: func(_ context.Context, reason error) { s.add(fmt.Sprintf("child: %v", reason)) }}
	}
	var err error
	if s.kid, err = actor.Spawn(ctx, child, s.childOpts); err != nil {
		return err
	}
	if _, ok := s.pid.OnExit(s.onExit); !ok {
		return errors.New("OnExit refused")
	}
	actor.Monitor(s.watcher.ctx, s.pid)
	return s.initErr
}

func (s *subject) Receive(ctx context.Context, msg any) error {
	if f, ok := msg.(do); ok {
		return f(ctx)
	}
	if _, ok := msg.(actor.Down); !ok {
		s.add(fmt.Sprintf("handled %v", msg))
	}
	return nil
}

func (s *subject) Ending(reason error) (brief bool) {
	s.add(fmt.Sprintf("Ending: %v, child alive %t", show(reason), s.kid.Alive()))
	if s.ending != nil {
		s.ending()
	}
	return false
}

func (s *subject) Terminate(ctx context.Context, reason error) {
	left := "no deadline"
	if d, ok := ctx.Deadline(); ok {
		left = time.Until(d).String()
	}
	s.add(fmt.Sprintf("Terminate: %v, %v left, ctx %v, child alive %t", show(reason), left, ctx.Err(), s.kid.Alive()))
	if s.terminate != nil {
		s.terminate()
	}
}

func (s *subject) onExit(reason error) {
	s.onExits++
	s.add(fmt.Sprintf("OnExit: %v, alive %t, ctx %v", show(reason), s.pid.Alive(), s.ctx.Err()))
}

func (s *subject) down(d actor.Down) {
	who := "monitor"
	if d.Ref == (actor.MonitorRef{}) {
		who = "parent"
	}
	s.add(fmt.Sprintf("Down at %s: %v, Send %t, Cause is it %t", who, show(d.Reason), d.PID.Send("too late"),
		context.Cause(s.ctx) == d.Reason))
}

// show is the reason without what varies.
func show(reason error) string {
	if p, ok := reason.(*actor.PanicError); ok && len(p.Stack) > 0 {
		return p.Error()
	}
	return strings.Replace(reason.Error(), ": did not end within its shutdown time of 3s", " (time over)", 1)
}

// start spawns the subject, at rest.
func (s *subject) start() {
	s.watcher = &inbox{}
	s.watcher.pid = spawn(s.t, s.sys, &behaviour{
		init: func(ctx context.Context) error { s.watcher.ctx = ctx; return nil },
		receive: func(_ context.Context, msg any) error {
			if d, ok := msg.(actor.Down); ok && d.PID == s.pid {
				s.down(d)
			}
			return nil
		},
	}, actor.SpawnOptions{})
	s.options.Label, s.options.Shutdown = label, shutdownTime
	if s.hosted {
		s.port, s.spawnErr = host.Spawn(s.sys, s, s.options, nil)
		s.port.Start()
	} else {
		_, s.spawnErr = actor.Spawn(s.watcher.ctx, s, s.options)
	}
	synctest.Wait()
}

// stuckCallback is the name that the log must show.
//
//go:noinline
func stuckCallback(entered, released chan struct{}) {
	close(entered)
	<-released
	runtime.KeepAlive(entered)
}

// occupy has the subject run stuckCallback.
func (s *subject) occupy() {
	entered, released := make(chan struct{}), make(chan struct{})
	s.release = func() { close(released) }
	s.pid.Send(do(func(context.Context) error { stuckCallback(entered, released); return errors.New("late result") }))
	<-entered
}

// stick has the hook run stuckCallback.
func (s *subject) stick(hook *func()) {
	released := make(chan struct{})
	s.release = func() { close(released) }
	*hook = func() { stuckCallback(make(chan struct{}), released) }
}
