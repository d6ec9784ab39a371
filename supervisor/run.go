package supervisor

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// sameSignal is how long after the first signal another one counts as the same: timeout, and a shell that forwards to
// its group, send two.
const sameSignal = time.Second

// Run is [New] and [Supervisor.Run], for a main that needs nothing between the two.
func Run(ctx context.Context, cfg Config, children ...ChildSpec) error {
	s, err := New(cfg, children...)
	if err != nil {
		return err
	}
	return s.Run(ctx)
}

// Run is Serve for main, where it is called once, on the outermost Supervisor. SIGINT and SIGTERM end it in order, as
// the end of ctx does, and Run returns nil. A second signal, a second or more after the first, kills: actors are
// killed, HTTP servers closed, sockets get their Close frame and are killed, and for other services [Killed] is done.
// Run waits a second for that at most and then returns a [*SignalError]; what still runs is left to the end of the
// program. Signals during that second change nothing, since whoever sends a signal twice also sends the second one
// twice. Other errors are those of [Supervisor.Serve].
//
// While it runs, these signals do not end the program.
func (s *Supervisor) Run(ctx context.Context) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	return s.serveUntil(ctx, signals)
}

// serveUntil serves s until ctx is done or a signal comes; it waits for the end until a second one comes.
func (s *Supervisor) serveUntil(ctx context.Context, signals <-chan os.Signal) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	root := &life{}
	root.killed, root.noTime = context.WithCancel(context.Background())
	defer root.noTime()
	ctx = context.WithValue(ctx, lifeKey{}, root)
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	var first time.Time
	for {
		select {
		case err := <-served:
			return err
		case sig := <-signals:
			switch {
			case first.IsZero():
				first = time.Now()
				end(&SignalError{Signal: sig})
			case time.Since(first) >= sameSignal:
				root.noTime() // Serve kills the children
				wait := time.NewTimer(killGrace)
				defer wait.Stop()
				select {
				case <-served:
				case <-wait.C:
				}
				return &SignalError{Signal: sig}
			}
		}
	}
}
