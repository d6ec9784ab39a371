package supervisor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/troupe-dev/troupe/actor"
)

// DynamicConfig configures a Dynamic. The zero value works.
type DynamicConfig struct {
	// Name is in events, log lines and errors. Empty: "dynamic".
	Name string
	// MaxChildren is how many children there may be, those that start or wait for a restart included. 0: no limit.
	MaxChildren int
	// Partitions is into how many parts the children are kept, each with a lock of its own. 0: GOMAXPROCS.
	Partitions int
	// Restart says when a child is restarted. Zero: Temporary. An actor's restart is by newActor, and has a new PID.
	Restart Restart
	// Shutdown is how long a child may take to end. 0: what it asks for (SpawnOptions.Shutdown, ShutdownTime), or 5 s; for
	// supervisors, no limit. Infinity: no limit. Kill: none. A child that has not ended then is abandoned, as under New,
	// and its id is free again: an actor whose newActor hangs in a restart, for example, which has a second more.
	Shutdown time.Duration
	// MaxRestarts is how many restarts of one child there may be within Within. When one more is needed, that child
	// alone is given up: reported, and forgotten. A restart whose start fails does not count: it is tried again after
	// 0.1 s, doubled each time up to 5 s, with up to half taken off at random. 0: 3; negative: none.
	//
	// (OTP's DynamicSupervisor counts the restarts of all children together and ends all of them: with a thousand
	// rooms, three bad ones in five seconds would end the others.)
	MaxRestarts int
	// MaxRestartsAll is how many restarts of all children together there may be within Within. When one more is needed,
	// the Dynamic gives up, as in OTP. 0: no limit; negative: none.
	MaxRestartsAll int
	// Within is the period of MaxRestarts and MaxRestartsAll. 0: 5 s.
	Within time.Duration
	// Logger gets events; each EventKind says at which level. nil: slog.Default().
	Logger *slog.Logger
	// OnEvent is called for each event, like that of Config; the events of one child are in order.
	OnEvent func(Event)
}

func (cfg DynamicConfig) check() error {
	var errs []error
	problem := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if cfg.MaxChildren < 0 {
		problem("DynamicConfig.MaxChildren is negative: %d", cfg.MaxChildren)
	}
	if cfg.Partitions < 0 {
		problem("DynamicConfig.Partitions is negative: %d", cfg.Partitions)
	}
	if cfg.Restart > Temporary {
		problem("DynamicConfig.Restart is %v", cfg.Restart)
	}
	if cfg.Shutdown < Kill {
		problem("DynamicConfig.Shutdown is negative, but not Infinity or Kill: %v", cfg.Shutdown)
	}
	if cfg.Within < 0 {
		problem("DynamicConfig.Within is negative: %v", cfg.Within)
	}
	return errors.Join(errs...)
}

// Dynamic supervises children that come and go: rooms, games, sessions. They are in no order, are independent of each
// other, and are stopped all at once. OTP's DynamicSupervisor and PartitionSupervisor.
//
// An actor costs no goroutine, a service one. There is no goroutine or lock that all starts and ends would have to
// pass. All methods may be called from any goroutine, those of the children included.
type Dynamic struct {
	cfg DynamicConfig
	rep reporter

	run atomic.Pointer[dynamicRun] // nil: not served
}

// NewDynamic makes a Dynamic that [Dynamic.Serve] runs. The error lists what is wrong with cfg.
func NewDynamic(cfg DynamicConfig) (*Dynamic, error) {
	d := &Dynamic{cfg: cfg, rep: newReporter(cfg.Name, "dynamic", "DynamicConfig.OnEvent", cfg.Logger, cfg.OnEvent)}
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("supervisor %s: %w", d.rep.name, err)
	}
	d.cfg.Partitions = cmp.Or(cfg.Partitions, runtime.GOMAXPROCS(0))
	d.cfg.Restart = cmp.Or(cfg.Restart, Temporary)
	return d, nil
}

// Serve accepts children until ctx is done, or until it has to give up, and then stops them, all at once. It returns
// nil when ctx is done and all have ended, an [*IntensityError] when it gave up, and, alone or joined to it, a
// [*AbandonedError] that names the children that are still running. It is a [Service], ready at once, and may be served
// again, without children then. ErrServing: it is being served.
func (d *Dynamic) Serve(ctx context.Context) error {
	r := newDynamicRun(d, ctx)
	if !d.run.CompareAndSwap(nil, r) {
		return fmt.Errorf("supervisor %s: %w", d.rep.name, ErrServing)
	}
	defer d.rep.wait(reportCtx(ctx))
	defer d.run.Store(nil)
	Ready(ctx)
	return r.serve()
}

// String is DynamicConfig.Name, for those who name the services they run.
func (d *Dynamic) String() string { return d.rep.name }

// ShutdownTime is how long the children may take to stop, which they do at the same time.
func (d *Dynamic) ShutdownTime() time.Duration {
	switch d.cfg.Shutdown {
	case 0:
		return defaultShutdown
	case Kill:
		return killGrace
	}
	return d.cfg.Shutdown
}

// Spawn starts a process under an id, and returns when its Init has returned, with its error as a [*StartError].
// newActor is called for it, and again for each restart; it must not block. An empty id stands for the text of the
// first PID. Without o.Label the label is the id. ctx bounds the wait, and is not that of the process: when it is done
// before Init has returned, the process ends, and the error is a [*StartError] of the cause; the id is in use until the
// process has ended.
//
// An Init that returns actor.ErrIgnore, or an error with a method Holder() actor.PID, such as *registry.TakenError,
// says that the process is not needed: the child is forgotten, and the error is ErrIgnore. The same holds at a restart.
//
// ErrNotRunning: the Dynamic is not served, or is stopping. ErrMaxChildren: it has as many children as it may have.
// ErrAlreadyPresent: it has one with that id, which may be waiting for a restart; the PID is that of this child, if it
// runs. ErrTerminated: somebody called Stop for it before its Init had returned.
func (d *Dynamic) Spawn(ctx context.Context, id string, sys *actor.System, newActor func() actor.Actor, o actor.SpawnOptions) (actor.PID, error) {
	if sys == nil || newActor == nil {
		panic("supervisor: Spawn: nil System or nil newActor")
	}
	r := d.run.Load()
	if r == nil {
		return actor.PID{}, d.rep.failed(id, ErrNotRunning)
	}
	pid, err := r.spawn(ctx, id, sys, newActor, o)
	return pid, d.rep.failed(id, err)
}

// Whereis returns the PID of the actor with that id; its Init may not have returned yet. ok is false when there is
// none, or when it waits for a restart.
func (d *Dynamic) Whereis(id string) (pid actor.PID, ok bool) {
	r := d.run.Load()
	if r == nil {
		return pid, false
	}
	m := r.find(id)
	if m == nil {
		return pid, false
	}
	pid = m.info().PID
	return pid, pid != actor.PID{}
}

// Start starts a service, on a goroutine of its own. It returns when the service is ready: an HTTP server when it
// listens, an actor when its Init has returned, a supervisor when its last child is ready, any other when its Serve
// runs. When it ends before that, the error is a [*StartError]. ctx bounds the wait, and is not that of the service: when
// it is done first, the service is stopped, and the error is a [*StartError] of the cause; the id is in use until the
// service has ended.
//
// ErrNotRunning: the Dynamic is not served, or is stopping. ErrMaxChildren: it has as many children as it may have.
// ErrAlreadyPresent: it has one of that id. ErrTerminated: somebody called Stop for it before it was ready.
func (d *Dynamic) Start(ctx context.Context, id string, s Service) error {
	if id == "" || isNil(s) {
		return fmt.Errorf("supervisor %s: child %q: the id is empty or the Service is nil", d.rep.name, id)
	}
	r := d.run.Load()
	if r == nil {
		return d.rep.failed(id, ErrNotRunning)
	}
	return d.rep.failed(id, r.startService(ctx, id, s))
}

// Stop ends a child for good, whatever its restart type, and returns when it has ended. ErrNotFound: there is no such
// child. A [*AbandonedError]: it did not end in time, and was abandoned. ctx bounds the wait alone: when it is done first,
// the error is its cause, and the child goes on stopping.
//
// A child that wants to end returns; it must not wait for its own end in Stop.
func (d *Dynamic) Stop(ctx context.Context, id string) error {
	r := d.run.Load()
	if r == nil {
		return d.rep.failed(id, ErrNotRunning)
	}
	m := r.find(id)
	if m == nil {
		return d.rep.failed(id, ErrNotFound)
	}
	return d.rep.failed(id, m.end(ctx))
}

// Count is how many children there are, those that start or wait for a restart included.
func (d *Dynamic) Count() int {
	if r := d.run.Load(); r != nil {
		return int(r.count.Load())
	}
	return 0
}

// Children yields the children, in no order: a snapshot of each partition. The loop body may call the Dynamic.
func (d *Dynamic) Children() iter.Seq[ChildInfo] {
	return func(yield func(ChildInfo) bool) {
		r := d.run.Load()
		if r == nil {
			return
		}
		for i := range r.parts {
			for _, m := range r.parts[i].members() {
				if !yield(m.info()) {
					return
				}
			}
		}
	}
}
