package supervisor

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"maps"
	"net"
	"net/http"

	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/actor/host"
)

// HTTP is a Service that is an HTTP server. Each Serve runs a new http.Server with the exported fields of srv, which is a
// template and is never run, so that it can be restarted; what RegisterOnShutdown was told is not taken over.
//
// listen makes the listener, and should give up when its ctx is done; nil: TCP on srv.Addr. The service is ready when
// that has returned. It speaks TLS when srv.TLSConfig is set, which must then have the certificates.
//
// To stop it, its http.Server.Shutdown is called, which closes the listener and waits for the requests in progress.
// When the shutdown time is over (outside of a supervisor: after 5 s), their connections are closed all the same, and
// Serve returns an error that says so. Connections that have sent no whole request yet are closed once they are half a
// second old: browsers open some in advance. It leaves hijacked connections, WebSockets included, alone.
//
// What http.Server itself logs, such as a TLS handshake that failed, goes to srv.ErrorLog; without one, to the Logger
// of the supervisor at Debug, a panic of a handler at Error. Nothing waits for either, and what they do not take in
// time is dropped. HTTP panics when srv is nil.
func HTTP(srv *http.Server, listen func(context.Context) (net.Listener, error)) Service {
	if srv == nil {
		panic("supervisor: HTTP: nil Server")
	}
	if listen == nil {
		addr := cmp.Or(srv.Addr, ":http")
		if srv.Addr == "" && srv.TLSConfig != nil {
			addr = ":https"
		}
		listen = func(ctx context.Context) (net.Listener, error) {
			return new(net.ListenConfig).Listen(ctx, "tcp", addr)
		}
	}
	return &httpService{template: srv, listen: listen}
}

type httpService struct {
	template *http.Server
	listen   func(context.Context) (net.Listener, error)
}

func (h *httpService) String() string { return "HTTP " + h.template.Addr }

// Serve implements Service.
func (h *httpService) Serve(ctx context.Context) error {
	l, err := h.listen(ctx)
	if err != nil {
		return fmt.Errorf("supervisor: HTTP: listen: %w", err)
	}
	srv := copyServer(h.template)
	ours := logOf(ctx)
	defer ours.Wait(reportCtx(ctx))
	to := ours
	if own := srv.ErrorLog; own != nil {
		to = host.NewLog(slog.New(toErrorLog{own}))
		defer to.Wait(reportCtx(ctx))
	}
	srv.ErrorLog = log.New(errorLines{to}, "", 0)
	unused := watchNewConns(srv, ours)
	served := make(chan error, 1)
	go func() { served <- serveHTTP(srv, l) }()
	Ready(ctx)
	select {
	case err = <-served:
		_ = srv.Close() // connections that the successor would not know
		_ = l.Close()   // ServeTLS without a certificate leaves it
		return fmt.Errorf("supervisor: HTTP: %w", err)
	case <-ctx.Done():
	}
	remaining, cancel := timeRemaining(ctx)
	defer cancel()
	defer unused.closeAll()()
	err = srv.Shutdown(remaining)
	if remaining.Err() != nil { // Shutdown may have found nothing to wait for all the same
		_ = srv.Close()
	}
	<-served
	if err != nil {
		return fmt.Errorf("supervisor: HTTP: requests were cut off at the end of the shutdown time: %w", err)
	}
	return nil
}

// logOf is the log of the supervisor that ctx belongs to; without one, a new log.
func logOf(ctx context.Context) *host.Log {
	if l := lifeOf(ctx); l != nil && l.log != nil {
		return l.log
	}
	return host.NewLog(nil)
}

// errorLines takes what http.Server logs. Strangers decide how often most of it happens, but a handler that panics is ours.
type errorLines struct{ to *host.Log }

func (e errorLines) Write(line []byte) (int, error) {
	level := slog.LevelDebug
	if bytes.HasPrefix(line, []byte("http: panic serving")) {
		level = slog.LevelError
	}
	e.to.Log(context.Background(), level, string(bytes.TrimSuffix(line, []byte("\n"))))
	return len(line), nil
}

// toErrorLog is a slog.Handler that writes to the user's ErrorLog, so that the server does not do so itself.
type toErrorLog struct{ to *log.Logger }

func (e toErrorLog) Enabled(context.Context, slog.Level) bool { return true }
func (e toErrorLog) WithAttrs([]slog.Attr) slog.Handler       { return e }
func (e toErrorLog) WithGroup(string) slog.Handler            { return e }
func (e toErrorLog) Handle(_ context.Context, r slog.Record) error {
	e.to.Print(r.Message)
	return nil
}

// serveHTTP keeps a panic of the listener, which is the user's, in the service.
func serveHTTP(srv *http.Server, l net.Listener) (err error) {
	returned := false
	defer func() {
		if !returned {
			err = panicError(recover())
		}
	}()
	if srv.TLSConfig != nil {
		err = srv.ServeTLS(l, "", "")
	} else {
		err = srv.Serve(l)
	}
	returned = true
	return err
}

// timeRemaining is done when the shutdown time of the service is over.
func timeRemaining(ctx context.Context) (context.Context, context.CancelFunc) {
	if errors.Is(context.Cause(ctx), exit.ErrKilled) {
		over, cancel := context.WithCancel(context.Background())
		cancel()
		return over, cancel
	}
	if l := lifeOf(ctx); l != nil && l.owner != nil {
		return l.killed, func() {}
	}
	return context.WithTimeout(context.WithoutCancel(ctx), defaultShutdown)
}

// copyServer copies the exported fields: the others are the state of a server that runs. What a server writes to when it
// starts is cloned.
func copyServer(s *http.Server) *http.Server {
	var tlsConfig *tls.Config
	if s.TLSConfig != nil {
		tlsConfig = s.TLSConfig.Clone()
	}
	return &http.Server{
		Addr:                         s.Addr,
		Handler:                      s.Handler,
		DisableGeneralOptionsHandler: s.DisableGeneralOptionsHandler,
		TLSConfig:                    tlsConfig,
		ReadTimeout:                  s.ReadTimeout,
		ReadHeaderTimeout:            s.ReadHeaderTimeout,
		WriteTimeout:                 s.WriteTimeout,
		IdleTimeout:                  s.IdleTimeout,
		MaxHeaderBytes:               s.MaxHeaderBytes,
		TLSNextProto:                 maps.Clone(s.TLSNextProto),
		ConnState:                    s.ConnState,
		ErrorLog:                     s.ErrorLog,
		BaseContext:                  s.BaseContext,
		ConnContext:                  s.ConnContext,
		HTTP2:                        s.HTTP2,
		Protocols:                    s.Protocols,
	}
}
