package supervisor

import "context"

// Service is what a supervisor supervises.
//
// Serve runs the service on the caller's goroutine until ctx is done or there is nothing more to do. It returns when
// all that it has started is over, since its successor may start at once. ctx ends when the supervisor wants the
// service to stop, and for no other reason: it has the values of the supervisor's ctx, but neither its deadline nor its
// end, because siblings stop one after the other. context.Cause(ctx) is actor.ErrShutdown, ErrRestarting (which is
// ErrShutdown, too) when the service is to be started again, or actor.ErrKilled.
//
// What Serve returns is the exit reason; see the package comment. A panic ends the service, not the program. A
// supervisor calls Serve again for each restart, on the same value, but never twice at once, unless a Serve before did
// not return within the shutdown time.
//
// Optional: ShutdownTime() time.Duration says how long the service takes to stop, for a ChildSpec without Shutdown.
//
// Optional: Shutdown(ctx context.Context) error ends what Serve has kept for the next Serve because of ErrRestarting. It
// is called when that does not come after all, for example because the supervisor gives up first: once, after Serve has
// returned, in the service's turn among its siblings and within its shutdown time. ctx is done at the end of that.
type Service interface {
	Serve(ctx context.Context) error
}

// ServiceFunc is a function as a Service.
type ServiceFunc func(ctx context.Context) error

// Serve calls f.
func (f ServiceFunc) Serve(ctx context.Context) error { return f(ctx) }

// Ready says that the service to which ctx belongs is ready, so that the next one can start. Only a service with a
// ChildSpec.StartTimeout must call it; for others, again, and when ctx belongs to no service it does nothing. It may be
// called from any goroutine and with any context derived from the one that Serve got.
func Ready(ctx context.Context) {
	if l := lifeOf(ctx); l != nil && l.owner != nil {
		l.owner.ready(l)
	}
}

// Killed returns a context that is done when the service to which ctx belongs has no time left: its shutdown time is
// over, or it is being killed, by a second signal to [Run] for example. A service that can cut its stop short waits for
// it, after ctx itself is done. When ctx belongs to no service, it is never done.
func Killed(ctx context.Context) context.Context {
	if l := lifeOf(ctx); l != nil {
		return l.killed
	}
	return context.Background()
}

// announces tells whether s is of this package and so calls Ready by itself, and ends at once when it is killed.
func announces(s Service) bool {
	switch s.(type) {
	case *actorService, *httpService:
		return true
	}
	return supervises(s)
}

// supervises tells whether s is a supervisor: it has as much time to stop as its children need.
func supervises(s Service) bool {
	switch s.(type) {
	case *Supervisor, *Dynamic:
		return true
	}
	return false
}
