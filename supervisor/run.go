package supervisor

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// Run serves a Supervisor of cfg and children, for main. SIGINT and SIGTERM end it in order, as the end of ctx does, and
// Run returns nil. A second signal kills: Run waits no more and returns a
// [*SignalError] at once, while actors are being killed and what else runs is left to the end of the program. Other errors
// are those of New and Serve.
//
// While it runs, these signals do not end the program.
func Run(ctx context.Context, cfg Config, children ...ChildSpec) error {
	s, err := New(cfg, children...)
	if err != nil {
		return err
	}
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
	for signalled := false; ; signalled = true {
		select {
		case err := <-served:
			return err
		case sig := <-signals:
			if signalled {
				return &SignalError{Signal: sig} // root.noTime has Serve kill the children
			}
			end(&SignalError{Signal: sig})
		}
	}
}
