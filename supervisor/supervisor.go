package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Config configures a Supervisor. The zero value works.
type Config struct {
	// Name is in events, log lines and errors. Empty: "supervisor".
	Name string
	// Strategy says who is restarted when a child is. Zero: OneForOne.
	Strategy Strategy
	// MaxRestarts is how many restarts there may be within Within; when one more is needed, the supervisor gives up. A
	// group that restarts together counts once. 0: 3; negative: none.
	MaxRestarts int
	// Within is the period of MaxRestarts. It slides: what counts are the restarts up to Within ago. 0: 5 s.
	Within time.Duration
	// Backoff is how long to wait before a restart. It doubles for each further restart of the same child that has not
	// been up for Within, at most to Within, and up to half of it is taken off at random. 0: none, as in OTP.
	Backoff time.Duration
	// Logger gets events; each EventKind says at which level. nil: slog.Default().
	Logger *slog.Logger
	// OnEvent is called for each event, in order, one call at a time, on a goroutine of its own that exists while there
	// are events. It may call all methods of the supervisor.
	//
	// Only New and Serve wait for it and for Logger, at their end, and give up when one call or line takes longer than
	// 300 ms. What is not taken in time is dropped, and the log says how many: 65,536 events may wait, or 1,024 while
	// one call has taken longer than 300 ms. A panic is logged.
	OnEvent func(Event)
}

func (cfg Config) check() error {
	var errs []error
	if cfg.Strategy > RestForOne {
		errs = append(errs, fmt.Errorf("Config.Strategy is %v", cfg.Strategy))
	}
	if cfg.Within < 0 {
		errs = append(errs, fmt.Errorf("Config.Within is negative: %v", cfg.Within))
	}
	if cfg.Backoff < 0 {
		errs = append(errs, fmt.Errorf("Config.Backoff is negative: %v", cfg.Backoff))
	}
	return errors.Join(errs...)
}

// Supervisor supervises a fixed set of children, to which more can be added while it runs. All methods may be called from
// any goroutine, those of its children included, and at any time, also while it starts or stops.
type Supervisor struct {
	cfg   Config
	rep   reporter
	specs []ChildSpec

	mu   sync.Mutex
	tree *tree           // nil: not served
	kept map[string]bool // IDs of those that may have kept something for the next Serve
}

// New makes a Supervisor that [Supervisor.Serve] runs. The error lists all that is wrong with cfg and the children: IDs
// that are empty or given twice, Services that are nil, values that mean nothing. A child that gets less Shutdown than
// its Service's ShutdownTime asks for is an EventWarning. So is a group of children that restart together and may, by
// their Shutdown, take longer to stop than Within / MaxRestarts: they could be restarted for ever, because too few
// restarts fall into the period.
func New(cfg Config, children ...ChildSpec) (*Supervisor, error) {
	s := &Supervisor{cfg: cfg, rep: newReporter(cfg.Name, "supervisor", "Config.OnEvent", cfg.Logger, cfg.OnEvent)}
	err := cfg.check()
	ids := make(map[string]bool)
	var warnings []Event
	for _, spec := range children {
		spec, warning, specErr := spec.normalize(Permanent)
		err = errors.Join(err, specErr)
		if spec.ID != "" && ids[spec.ID] {
			err = errors.Join(err, fmt.Errorf("child %q: ChildSpec.ID is given twice", spec.ID))
		}
		ids[spec.ID] = true
		if warning != "" {
			warnings = append(warnings, Event{Kind: EventWarning, Child: spec.ID, Reason: errors.New(warning)})
		}
		s.specs = append(s.specs, spec)
		s.rep.counts.restarts[spec.ID] = 0
	}
	if err != nil {
		return nil, fmt.Errorf("supervisor %s: %w", s.rep.name, err)
	}
	if err := s.tooSlow(children); err != nil {
		warnings = append(warnings, Event{Kind: EventWarning, Reason: err})
	}
	for _, e := range warnings {
		s.rep.report(e)
	}
	s.rep.wait(context.Background())
	return s, nil
}

// tooSlow returns an error when those that restart together may take so long to stop that MaxRestarts is never reached.
// A child with the default Shutdown does not count.
func (s *Supervisor) tooSlow(children []ChildSpec) error {
	i := newIntensity(s.cfg.MaxRestarts, s.cfg.Within)
	if s.cfg.Strategy == OneForOne || i.max == 0 {
		return nil
	}
	stop := time.Duration(0)
	for n, c := range s.specs {
		if _, asks := asksFor(c.Service); children[n].Shutdown == 0 && (!asks || supervises(c.Service)) {
			continue
		}
		if c.Shutdown == Infinity {
			stop = Infinity
			break
		}
		stop += max(c.Shutdown, 0)
	}
	if each := i.within / time.Duration(i.max); less(each, stop) {
		return fmt.Errorf("children that restart together may take %s to stop: Config.MaxRestarts %d within %v is never reached when it is more than %v",
			timeText(stop), i.max, i.within, each)
	}
	return nil
}

// Serve starts the children and supervises them until ctx is done and all have ended, or until it has to give up. It
// blocks all the while, and is a [Service] itself.
//
// It returns nil when ctx is done and all children have ended, also when that was during the start; a [*StartError] when
// the first start of a child failed; an [*IntensityError] when it gave up; and, alone or joined to one of these, a
// [*AbandonedError] that names the children that are still running.
//
// It may be served again, and starts with the children of New then. ErrServing: it is being served.
func (s *Supervisor) Serve(ctx context.Context) error {
	s.mu.Lock()
	if s.tree != nil {
		s.mu.Unlock()
		return fmt.Errorf("supervisor %s: %w", s.rep.name, ErrServing)
	}
	t := newTree(s, ctx)
	s.tree = t
	s.mu.Unlock()
	defer s.rep.wait(reportCtx(ctx))
	defer func() {
		kept := t.kept()
		s.mu.Lock()
		s.tree, s.kept = nil, kept
		s.mu.Unlock()
	}()
	return t.serve()
}

// String is Config.Name, for those who name the services they run.
func (s *Supervisor) String() string { return s.rep.name }

// ShutdownTime is how long the children of New may take to stop, one after the other: the sum of their shutdown times,
// Infinity when one has no limit. A parent supervisor warns when it is given less.
func (s *Supervisor) ShutdownTime() time.Duration {
	sum := time.Duration(0)
	for _, c := range s.specs {
		d := c.Shutdown
		if asked, ok := asksFor(c.Service); ok && d == Infinity && supervises(c.Service) {
			d = asked // no limit of ours, but one of its children
		}
		switch d {
		case Infinity:
			return Infinity
		case Kill:
			d = killGrace
		}
		sum += d
	}
	return sum
}

// Children lists the children in the order of their start.
func (s *Supervisor) Children() []ChildInfo {
	t := s.running()
	if t == nil {
		infos := make([]ChildInfo, 0, len(s.specs))
		for _, spec := range s.specs {
			infos = append(infos, spec.info())
		}
		return infos
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	infos := make([]ChildInfo, 0, len(t.children))
	for _, c := range t.children {
		infos = append(infos, c.info())
	}
	return slices.Clip(infos)
}

// Strategy is Config.Strategy.
func (s *Supervisor) Strategy() Strategy { return s.cfg.Strategy }

func (s *Supervisor) running() *tree {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tree
}
