package actor

import (
	"context"
	"fmt"
	"math"
)

// Spawn starts a process and returns when its Init has returned. The error is that of Init, not wrapped, or the exit reason
// when something else has ended the process first. Init does not run on the caller's goroutine. After Shutdown the error
// is ErrShutdown.
//
// ctx bounds the wait, and is not that of the process: when it is done before Init has returned, the process gets
// Exit(ErrShutdown) and the error is the cause of ctx's end. When it is already done, no process is made.
//
// The process is a root: only its monitors are told of its end. [Spawn] makes children.
func (s *System) Spawn(ctx context.Context, a Actor, o SpawnOptions) (PID, error) {
	if ctx.Err() != nil {
		return PID{}, context.Cause(ctx)
	}
	return s.newProcess(a, &o, nil).spawn(ctx)
}

// Spawn starts a child of the process that ctx belongs to. It ends with its parent: at the parent's end it gets
// Exit(ErrShutdown), is awaited for its shutdown time and then killed. Its own end reaches the parent as a [Down] with
// the zero Ref, unless Spawn has returned it as an error. Otherwise it is like [System.Spawn]: it blocks until the
// child's Init has returned or, if ctx is derived from that of the process, ctx is done. When the process of ctx is
// ending, the error is ErrNoProcess. Spawn panics when ctx belongs to no process.
func Spawn(ctx context.Context, a Actor, o SpawnOptions) (PID, error) {
	parent := mustProcess(ctx, "Spawn")
	return parent.sys.newProcess(a, &o, parent).spawn(ctx)
}

// plain is a process that nobody hosts and what it needs beyond, in one piece of memory.
type plain struct {
	process process
	own     own
	extra   extras
}

// newProcess makes a process that nobody hosts.
func (s *System) newProcess(a Actor, o *SpawnOptions, parent *process) *process {
	made := &plain{}
	made.process.own, made.process.extra, made.own.parent = &made.own, &made.extra, parent
	if o.middleware != nil {
		made.own.cell.Use(o.middleware)
	}
	made.process.init(s, a, o)
	return &made.process
}

// init sets the fields that have no place but the options.
func (p *process) init(s *System, a Actor, o *SpawnOptions) {
	if a == nil {
		panic("actor: Spawn: nil Actor")
	}
	p.sys, p.num, p.since = s, s.numbers.Add(1), s.now()
	if p.actor = a; o.Label != "" {
		p.extras().label = o.Label
	}
	p.queue.limit, p.overflow = limit(o.MailboxLimit, defaultMailboxLimit), o.Overflow
	p.terms = s.termsOf(limits{orDefault(o.Shutdown, s.shutdownTimeout), limit(o.MaxAsync, defaultMaxAsync)})
}

// limit is n as it is kept: -1 for none.
func limit(n, def int) int32 {
	if n == 0 {
		n = def
	}
	return int32(max(-1, min(n, math.MaxInt32)))
}

var (
	errSpawnLate   = fmt.Errorf("actor: spawn after System.Shutdown: %w", ErrShutdown)
	errSpawnEnding = fmt.Errorf("actor: spawn by a process that is ending: %w", ErrNoProcess)
)

// spawn makes p known and launches it.
func (p *process) spawn(ctx context.Context) (PID, error) {
	if err := p.sys.add(p); err != nil {
		return PID{}, err
	}
	return p.launch(ctx)
}

// add counts p and makes it known: it can be sent to from here on. Nothing of it has run yet.
func (s *System) add(p *process) error {
	if err := s.admit(p); err != nil {
		return err
	}
	return s.enter(p)
}

// admit counts p and adds it to its parent's children, or returns why there can be no new process.
func (s *System) admit(p *process) error {
	s.live.Add(1)
	if s.closed.Load() {
		s.gone()
		return errSpawnLate
	}
	if parent := p.parent(); parent != nil && !parent.addChild(p) {
		s.gone()
		return errSpawnEnding
	}
	return nil
}

// enter makes p known. A Shutdown that began after admit may have gone through the table before p was in it: then p is
// told to end here.
func (s *System) enter(p *process) error {
	if err := s.register(p); err != nil {
		return err
	}
	if s.closed.Load() {
		p.exit(ErrShutdown)
	}
	return nil
}

// register puts p into the table, unless its parent has ended it meanwhile. p.mu is held for both, so that a process that
// has been removed does not come in afterwards.
func (s *System) register(p *process) error {
	p.mu.Lock()
	if p.state != stateNew {
		reason := p.reason
		p.mu.Unlock()
		return reason
	}
	s.counts.spawned.Add(1) // first, so that no end is counted before it
	s.table.put(p)
	err := p.enterEngine()
	p.mu.Unlock()
	if err != nil {
		p.kill(err)
	}
	return err
}

// enterEngine makes p known to the engine, if nobody hosts it; p.mu is held. It fails when its middleware cannot be used, not
// because of the number, which is new.
func (p *process) enterEngine() error {
	if p.hosted {
		return nil
	}
	return p.sys.engine.Spawn(p.num, p, &p.own.cell)
}

func (p *process) addChild(c *process) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state >= stateEnding {
		return false
	}
	p.rel().children.Put(c, struct{}{})
	return true
}

// launch runs a process that has no host, and waits for its Init, or until ctx is done.
func (p *process) launch(ctx context.Context) (PID, error) {
	with, slot := p.sys.carryOf(ctx), p.sys.slot()
	p.mu.Lock()
	if p.state == stateDead {
		defer p.mu.Unlock()
		return PID{}, p.reason
	}
	p.own.slot = slot // where either initTask says true or leave says false
	p.assign()
	p.mu.Unlock()
	if with == nil {
		p.sys.pool.Go((*initTask)(p))
	} else {
		p.sys.pool.Go(&carriedInit{p, with})
	}
	var started bool
	select {
	case started = <-slot:
	case <-endOf(ctx):
		p.exit(ErrShutdown) // the slot is not given back: it has room for what may still come
		return PID{}, context.Cause(ctx)
	}
	p.putSlot()
	if !started {
		return PID{}, p.reason // nobody writes it any more
	}
	return p.pid(), nil
}

// endOf is ctx.Done(), or nil when ctx is a process's own. That would have to make a channel first, and is done only when
// the process is dead.
func endOf(ctx context.Context) <-chan struct{} {
	switch ctx.(type) {
	case *processContext, *terminateContext, *call:
		return nil
	}
	return ctx.Done()
}
