// Package embedding shows how a tree of ours runs inside suture, errgroup and fx.
// docs/how-to/run-inside-suture-errgroup-fx.md says what differs.
package embedding

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/thejerf/suture/v4"
	"go.uber.org/fx"
	"golang.org/x/sync/errgroup"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/supervisor"
)

// NewTree is HTTP and the sockets, in the order that lets HTTP answer while they drain.
func NewTree(handler http.Handler, listen func(context.Context) (net.Listener, error), sockets *socket.Server,
	more ...supervisor.ChildSpec) (*supervisor.Supervisor, error) {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       time.Minute,
	}
	return supervisor.New(supervisor.Config{Name: "web"}, append([]supervisor.ChildSpec{
		{ID: "http", Service: supervisor.HTTP(server, listen), Shutdown: 10 * time.Second},
		{ID: "sockets", Service: sockets},
	}, more...)...)
}

// Named gives a service the name that suture logs. Without a String method suture prints the whole value, while it is in
// use.
type Named struct {
	supervisor.Service
	Name string
}

func (n Named) String() string { return n.Name }

// InSuture is a suture supervisor with our tree in it.
func InSuture(tree *supervisor.Supervisor, hook suture.EventHook) *suture.Supervisor {
	app := suture.New("app", suture.Spec{
		EventHook: hook,
		Timeout:   tree.ShutdownTime() + time.Second, // 10 s if it is not set, and then main ends in the middle of the drain
	})
	app.Add(Named{tree, "web"})
	return app
}

// Once keeps suture from restarting a service that has finished: suture restarts after nil, too.
func Once(s supervisor.Service) suture.Service {
	return supervisor.ServiceFunc(func(ctx context.Context) error {
		if err := s.Serve(ctx); err != nil {
			return err
		}
		return suture.ErrDoNotRestart
	})
}

// FromSuture makes a service written for suture a Transient child of ours: for us ErrDoNotRestart is an error like any
// other.
func FromSuture(s suture.Service) supervisor.Service {
	return supervisor.ServiceFunc(func(ctx context.Context) error {
		err := s.Serve(ctx)
		if errors.Is(err, suture.ErrDoNotRestart) {
			return nil
		}
		return err
	})
}

// InErrgroup runs our tree beside others. The first one that fails ends them all, and Wait returns its error.
func InErrgroup(ctx context.Context, tree *supervisor.Supervisor, others ...func(context.Context) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return tree.Serve(ctx) })
	for _, f := range others {
		g.Go(func() error { return f(ctx) })
	}
	return g.Wait()
}

// InFx starts our tree with the application and drains it at its end. The tree fails the application when it gives up.
// ready is the last child of the tree.
func InFx(lc fx.Lifecycle, app fx.Shutdowner, tree *supervisor.Supervisor, ready *LastChild) {
	ctx, end := context.WithCancelCause(context.Background())
	ended := make(chan error, 1)
	lc.Append(fx.Hook{
		OnStart: func(start context.Context) error {
			go func() {
				err := tree.Serve(ctx)
				ended <- err
				if err != nil && ctx.Err() == nil {
					_ = app.Shutdown(fx.ExitCode(1)) // the error is in the log of the tree; Shutdown fails when fx is ending
				}
			}()
			select {
			case <-ready.Ready():
				return nil
			case err := <-ended:
				return err
			case <-start.Done(): // fx does not call the OnStop of a hook whose OnStart failed
				end(actor.ErrShutdown)
				return errors.Join(start.Err(), <-ended)
			}
		},
		OnStop: func(stop context.Context) error {
			end(actor.ErrShutdown)
			select {
			case err := <-ended:
				return err
			case <-stop.Done(): // fx.StopTimeout is over
				return stop.Err()
			}
		},
	})
}

// LastChild is a service that tells code outside of the tree that all children before it are ready.
type LastChild struct {
	once  sync.Once
	ready chan struct{}
}

// NewLastChild makes one.
func NewLastChild() *LastChild { return &LastChild{ready: make(chan struct{})} }

// Ready is closed when the tree is ready for the first time.
func (c *LastChild) Ready() <-chan struct{} { return c.ready }

// Serve implements supervisor.Service.
func (c *LastChild) Serve(ctx context.Context) error {
	c.once.Do(func() { close(c.ready) })
	<-ctx.Done()
	return nil
}
