package socket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/socket/internal/handshake"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

// keeper is one Serve of a Dialer. All of it but gone runs on the goroutine of Serve, one thing after the other: it waits,
// asks for the header, does the handshake, and then waits for the end of the process. The process, its log lines and its
// end by a drain are those of a Server, which here calls instead of being called, and has one socket.
type keeper struct {
	d       *Dialer
	srv     *Server
	backoff Backoff
	timeout time.Duration // of an attempt; negative: none

	mu     sync.Mutex
	bodies map[actor.PID]io.Closer // of the answers, while TCP is open
}

// keep connects again and again. What it returns is what Serve is to return.
func (k *keeper) keep(ctx context.Context) error {
	wait := time.Duration(0)
	if k.d.failures > 0 { // in a Serve before
		wait = k.backoff.wait(k.d.failures, nil)
	}
	for sleep(ctx, wait) {
		lasted, err := k.attempt(ctx)
		if lasted >= k.backoff.Steady {
			k.d.failures = 0
		}
		if ctx.Err() != nil {
			return nil
		}
		if f, ok := err.(final); ok { //nolint:errorlint // never wrapped
			return f.error
		}
		k.d.failures++
		if !k.backoff.Retry(err) {
			return whatServeReturns(err)
		}
		wait = k.backoff.wait(k.d.failures, err)
		k.logWait(err, wait)
	}
	return nil
}

// final is an error of an attempt that no other attempt can be without, so Backoff.Retry is not asked about it.
type final struct{ error }

// sleep waits for d. False: ctx is done.
func sleep(ctx context.Context, d time.Duration) bool {
	wait(ctx, time.Now().Add(d))
	return ctx.Err() == nil
}

// whatServeReturns is nil for a normal end, as package supervisor wants it, else err.
func whatServeReturns(err error) (returned error) {
	defer func() {
		if recover() != nil { // the methods of err may do anything
			returned = err
		}
	}()
	if closed, ok := errors.AsType[*websock.RemoteCloseError](err); ok && closed.Code == websock.CloseNormal {
		return nil
	}
	if exit.KindOf(err) == exit.Normal {
		return nil
	}
	return err
}

// logWait writes the line about a connection that has ended, or an attempt that has failed.
func (k *keeper) logWait(err error, wait time.Duration) {
	level, message, key := slog.LevelInfo, "connecting again", "exit_reason"
	if _, ok := errors.AsType[*UpgradeError](err); ok {
		level, message, key = slog.LevelWarn, "connection attempt failed", "error"
	}
	k.srv.cfg.Logger.Log(context.Background(), level, message, "url", k.d.place(), key, err, "failures", k.d.failures, "wait", wait.String())
}

// attempt connects, and waits until the connection has ended, or until ctx is done. It returns how long the connection has
// lasted, and why there is none any more.
func (k *keeper) attempt(ctx context.Context) (lasted time.Duration, err error) {
	pid, ended, err := k.connect(ctx)
	if err != nil {
		return 0, err
	}
	opened := time.Now()
	supervisor.Ready(ctx)
	select {
	case err = <-ended:
	case <-ctx.Done(): // close ends the connection
		return time.Since(opened), context.Cause(ctx)
	}
	lasted = time.Since(opened)
	// The reason comes from an exit hook. Hooks that run later free the names that the next connection will want.
	_, _ = actor.Wait(ctx, pid)
	return lasted, err
}

// connect makes a connection and its process, whose exit reason comes on ended.
func (k *keeper) connect(ctx context.Context) (actor.PID, <-chan error, error) {
	a, err := k.dial(ctx)
	if err != nil {
		return actor.PID{}, nil, err
	}
	opened := false
	defer func() { // also when Handler panics
		if !opened {
			a.Body.Close() //nolint:errcheck,gosec // it is of no use
			a.Conn.Close() //nolint:errcheck,gosec // closed by the body's Close, if that is one of http.Transport
		}
	}()
	h := k.d.Handler()
	if h == nil {
		return actor.PID{}, nil, final{errors.New("socket: Dialer.Handler returned nil")}
	}
	c, err := k.srv.admit(h, k.srv.scope(a.Request))
	if err != nil {
		return actor.PID{}, nil, errSystemEnds
	}
	p := c.PID()
	defer func() {
		if !opened {
			p.Exit(actor.ErrKilled)
			k.srv.release()
		}
	}()
	end := make(chan error, 1)
	if _, ok := p.OnExit(func(reason error) { end <- reason }); !ok {
		return actor.PID{}, nil, errSystemEnds
	}
	if err := k.register(p); err != nil {
		return actor.PID{}, nil, err
	}
	k.mu.Lock()
	k.bodies[p] = a.Body
	k.mu.Unlock()
	opened = true
	k.d.mu.Lock()
	k.d.pid = p
	k.d.mu.Unlock()
	k.srv.cfg.Logger.Info("connected", "pid", p.String(), "url", k.d.place(), "remote_addr", a.Conn.RemoteAddr().String())
	c.Open(k.srv.opener.Open(a.Conn, a.Subprotocol, a.Deflate, a.Early))
	return p, end, nil
}

// gone closes the body of an answer, when TCP is closed. That is what the user of an http.Client owes to its RoundTripper,
// which may be one that counts connections, or traces them.
func (k *keeper) gone(pid actor.PID) {
	k.mu.Lock()
	body := k.bodies[pid]
	delete(k.bodies, pid)
	k.mu.Unlock()
	defer func() {
		if r := recover(); r != nil {
			k.srv.cfg.Logger.Error("panic in Close of the body of a 101", "panic", r)
		}
	}()
	body.Close() //nolint:errcheck,gosec // it is closed below already
}

var errSystemEnds = final{fmt.Errorf("socket: Dialer.Config.System takes no process any more: %w", actor.ErrShutdown)}

// register gives the name to pid, which is to be connected.
func (k *keeper) register(pid actor.PID) error {
	if k.d.Registry == nil {
		return nil
	}
	switch err := k.d.Registry.Register(k.d.Name, pid, nil); {
	case err == nil:
		return nil
	case errors.Is(err, actor.ErrNoProcess) && pid.Alive():
		return final{fmt.Errorf("socket: Dialer.Registry is not one of Config.System: %w", err)}
	default: // somebody else has it; that may change
		return &UpgradeError{Status: http.StatusSwitchingProtocols, Err: fmt.Errorf("Dialer.Registry: %w", err)}
	}
}

// dial asks for the header and does the handshake.
func (k *keeper) dial(ctx context.Context) (handshake.Dialed, error) {
	if k.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, k.timeout)
		defer cancel()
	}
	o := handshake.DialOptions{HTTP: k.d.HTTP, Subprotocols: k.srv.cfg.Subprotocols, Compress: k.srv.cfg.Compression.On}
	if k.d.Header != nil {
		var err error
		if o.Header, err = k.d.Header(ctx); err != nil {
			return handshake.Dialed{}, &UpgradeError{Err: fmt.Errorf("Dialer.Header: %w", err)}
		}
		if err := handshake.CheckHeader(o.Header); err != nil {
			return handshake.Dialed{}, final{fmt.Errorf("socket: Dialer.Header: %w", err)}
		}
	}
	a, err := handshake.Dial(ctx, k.d.URL, o)
	answer, ok := errors.AsType[*handshake.AnswerError](err)
	switch {
	case err == nil:
		return a, nil
	case ok:
		return a, &UpgradeError{Status: answer.Status, Header: answer.Header, Err: answer.Err}
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		err = fmt.Errorf("no answer within Dialer.Timeout %v: %w", k.timeout, err)
	}
	return a, &UpgradeError{Err: err}
}

// close ends what there is at the end of Serve.
func (k *keeper) close(ctx context.Context) error {
	if k.srv.waitEmpty(ctx) == nil && ctx.Err() == nil { // there was no process any more, but perhaps its TCP was still open
		return k.srv.Shutdown(ctx)
	}
	d := k.srv.cfg.Drain
	d.now, d.quiet = isRestarting(ctx), true
	return k.srv.drainAfter(ctx, d, false)
}
