package socket

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

// Why Ready says no.
var (
	// ErrDraining says that a Drain has begun and its Delay is not over.
	ErrDraining = errors.New("socket: draining")
	// ErrFull says that Config.MaxSockets are there.
	ErrFull = errors.New("socket: the server is full")
	// ErrClosed says that the Server has been shut down or drained, or its Serve has returned.
	ErrClosed = errors.New("socket: the server is closed")
)

// drainGrace is what ShutdownTime adds for the steps after the drain's own time.
const drainGrace = time.Second

// Serve is for a supervision tree (it is a supervisor.Service) or an errgroup: it waits until ctx is done, drains the
// sockets by Config.Drain, and returns nil, or an error that says how many had to be killed. A System of the Server's own
// is shut down then, and opened again by the next Serve: see [Server.System].
//
// Upgrades work before Serve, and without it. When it has returned they get 503 until it is called again. That opens a
// Server that was shut down or drained, too, after a Drain or Shutdown that runs. Serve returns an error at once when it
// runs already.
//
// With the ctx of a socket's callback Serve would wait for itself: it returns an error at once.
//
// When the cause of ctx's end is supervisor.ErrRestarting, because a sibling in the tree is restarted, or the supervisor
// gives up and is restarted itself, the drain has no Delay and closes all sockets at once, with 1012. The System lives on
// then, with whatever else runs in it; the supervisor calls Shutdown if there is no restart after all.
//
// When the cause of ctx's end is actor.ErrKilled, as with supervisor.Kill, or when supervisor.Killed is done, as after
// a second signal, the drain is cut short: all get their Close frame, and are killed within half a second.
func (s *Server) Serve(ctx context.Context) error {
	if err := s.waitsForItself(ctx, "serve"); err != nil {
		return err
	}
	s.mu.Lock()
	serving := s.serving
	s.serving = true
	s.mu.Unlock()
	if serving {
		return errors.New("socket: Serve runs already")
	}
	defer func() {
		s.mu.Lock()
		s.serving = false
		s.mu.Unlock()
	}()
	s.reopen(ctx)
	supervisor.Ready(ctx)
	<-ctx.Done()
	d, restarts := s.cfg.Drain, isRestarting(ctx)
	if restarts { // nobody else takes the clients, and the siblings wait
		d.Delay, d.Over, d.Close.Code, d.now = 0, -1, websock.CloseServiceRestart, true
	}
	return s.drainAfter(ctx, d, restarts)
}

// isRestarting tells whether the service of ctx, which is done, is to be started again.
func isRestarting(ctx context.Context) bool {
	return errors.Is(context.Cause(ctx), supervisor.ErrRestarting)
}

// drainAfter drains s by d when ctx, that of a Serve, is done. keep: a System of the Server's own goes on.
func (s *Server) drainAfter(ctx context.Context, d Drain, keep bool) error {
	remaining, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), s.ShutdownTime(), errOver(s.cfg.Drain.time()))
	defer cancel()
	remaining, kill := context.WithCancelCause(remaining)
	defer context.AfterFunc(supervisor.Killed(ctx), func() { kill(actor.ErrKilled) })()
	if errors.Is(context.Cause(ctx), actor.ErrKilled) {
		kill(actor.ErrKilled)
	}
	bounded, cancel := context.WithTimeoutCause(remaining, d.time(), errOver(d.time()))
	defer cancel()
	err := s.Drain(bounded, d)
	if keep {
		return err
	}
	if sysErr := s.endOwnSystem(remaining); err == nil {
		err = sysErr
	}
	return err
}

// reopen lets sockets in again, and processes into a System of the Server's own, unless ctx is done before the Drain or
// Shutdown that runs has ended. A Shutdown that comes in between closes both again, so it begins anew.
func (s *Server) reopen(ctx context.Context) {
	for {
		begun, ok := s.waitShutdowns(ctx)
		if !ok || !s.takeTurn(ctx) {
			return
		}
		opened := (!s.ownSystem || host.Reopen(ctx, s.sys) == nil) && s.openUnlessShut(begun)
		s.giveTurn()
		if opened || ctx.Err() != nil {
			return
		}
	}
}

// openUnlessShut opens s, if no Shutdown has begun since begun had.
func (s *Server) openUnlessShut(begun int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shutdowns.begun != begun {
		return false
	}
	s.phase, s.drain, s.drainBy, s.killing = phaseOpen, nil, time.Time{}, false
	return true
}

// ShutdownTime is how long Serve takes at most after its ctx is done: Drain.Delay + Over (10 s when it is 0) + Timeout, and
// a second for the last steps. A supervisor gives the Server that time, unless its ChildSpec says something else.
func (s *Server) ShutdownTime() time.Duration {
	return sum(s.cfg.Drain.time(), drainGrace) // it has its defaults
}

// Ready returns nil when there may be one more socket, else why not: ErrDraining, ErrFull or ErrClosed. It is for a
// readiness probe.
func (s *Server) Ready() error {
	return s.open()
}

// Probe answers 200 when all of ready are nil, else 503 with the first error's text: a health endpoint for load
// balancers, as in Probe(sockets.Ready, database.Ready).
func Probe(ready ...func() error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		for _, f := range ready {
			if err := f(); err != nil {
				w.WriteHeader(http.StatusServiceUnavailable)
				fmt.Fprintln(w, err)
				return
			}
		}
		fmt.Fprintln(w, "ready")
	})
}

// retryAfter is a Retry-After for refused upgrades, spread so that they do not all come back at once.
func (s *Server) retryAfter() string { return strconv.FormatInt(s.spread(), 10) }

// spread is a number of whole seconds, from 1 up to the ComeBack of the drain that runs, or of Config.Drain.
func (s *Server) spread() int64 {
	s.mu.Lock()
	d := s.drain
	s.mu.Unlock()
	if d == nil || d.ComeBack == 0 {
		d = &s.cfg.Drain
	}
	if d.ComeBack == 0 {
		d = &Drain{ComeBack: defaultComeBack}
	}
	return 1 + rand.Int64N(d.maxComeBack())
}
