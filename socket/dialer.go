package socket

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket/internal/handshake"
	"github.com/troupe-dev/troupe/websock"
)

// Dialer is the other end of a socket: it connects to a WebSocket server, and connects again when the connection is lost. It
// is a supervisor.Service, for a bot, a bridge, a device, a test:
//
//	dialer := &socket.Dialer{
//		URL:     "wss://chat.example/ws",
//		Handler: func() websock.Handler { return &bot{} },
//	}
//	err := supervisor.Run(ctx, supervisor.Config{Name: "bot"},
//		supervisor.ChildSpec{ID: "chat", Service: dialer, Restart: supervisor.Transient})
//
// Each connection is a process of its own with a Handler of its own. What package websock says of a handler holds on this
// side, too: the contract, the order, the exit reasons and the table of Close frames, with "the client" read as "the server".
// [Info], Config.OnClose and the log lines of a Server are there as well. What differs is the wire's business: a client
// masks its frames, and leaves it to the server to end TCP first.
//
// The fields must not be changed any more once Serve has been called. A Dialer must not be copied.
type Dialer struct {
	// URL is where to connect: ws, wss, http (as ws) or https (as wss). Required. A user and a password in it become Basic
	// Authorization. Log lines have its scheme, host and path; neither they nor errors show its query.
	URL string

	// Header returns fields of the request, such as a token, a cookie or an Origin. It is asked before each attempt, so what
	// it returns may be fresh each time. Host replaces the host of the URL in the request. An error is that of the
	// attempt, and the next one comes after a wait. A field of the handshake (Sec-WebSocket-..., Connection, Upgrade) is a
	// mistake, with which Serve returns: the subprotocols are Config.Subprotocols, compression is Config.Compression.
	// nil: nothing is added.
	Header func(ctx context.Context) (http.Header, error)

	// Handler makes the handler of one connection. It is called after the handshake. Required. When it returns nil, Serve
	// returns an error.
	Handler func() websock.Handler

	// Config is that of each connection, as that of a Server, with the server as the peer:
	//
	//   - Subprotocols are offered, in this order. The server chooses one of them, or none; Info says which.
	//   - Compression.On offers permessage-deflate, without context takeover. The server may decline.
	//   - System, when nil, is one of Serve's own, which ends with it.
	//   - HibernateAfter 0 means never: one connection has little to save. Leave it so where the server may renegotiate (TLS 1.2,
	//     tls.Config.Renegotiation): falling asleep in the middle of that would end the connection.
	//   - Context and LogAttrs get the request of the handshake as it was sent, after the answer.
	//   - Drain.Close and Drain.Timeout say how Serve ends the connection when its ctx is done.
	//   - OriginPatterns, MaxSockets, UpgradeRate, PerAddress, Address, MaxPerSubject, SubjectPolicy, Revocations, MaxAge and the other
	//     fields of Drain make no sense here. Serve returns an error when one is set.
	Config Config

	// HTTP does the request: its proxies, TLS, redirects, cookies and limits hold. A 101 must come over a connection that
	// its Transport gives away, as http.Transport does: it tells httptrace.ClientTrace.GotConn of it, and the body of the
	// answer can be written to. HTTP's Timeout is one for the handshake, as Timeout below. http.Transport does not stop to
	// connect when an attempt is given up: give one of your own a TLSHandshakeTimeout, and a DialContext with a Timeout, as
	// http.DefaultTransport has, so that a server that hangs there does not keep a connection of each attempt. A proxy
	// gets CONNECT for wss and https; for ws and http it gets the request, and must pass the upgrade on. A redirect gets no
	// Referer, which would show the query of URL. nil: http.DefaultClient.
	HTTP *http.Client

	// Timeout is for one attempt: the call of Header, the name, TCP, TLS, redirects, the answer. 0: 30 s; negative: no
	// limit.
	Timeout time.Duration

	// Name is the name under which the process of the connection is registered in Registry, from before its Init until it
	// has ended: while there is no connection, there is no such name. Each connection is another process. When somebody
	// else has the name, the attempt has failed, the new connection is closed again, and the next attempt comes after a
	// wait. Required with a Registry; without one it is a name for log lines at most.
	Name string

	// Registry is a *registry.Registry of Config.System, which must be set then. nil: none.
	Registry interface {
		Register(name string, pid actor.PID, meta any) error
	}

	// Backoff says how long to wait between two connections, and when there is no coming back.
	Backoff Backoff

	mu       sync.Mutex
	serving  bool
	pid      actor.PID // of the last connection
	failures int       // since a connection that was a good one; Serve's
}

const defaultAttempt = 30 * time.Second

// String says what it is, for those who name the services they run.
func (d *Dialer) String() string { return cmp.Or(d.Name, "dialer of "+d.place()) }

// place is the URL without what may be secret.
func (d *Dialer) place() string {
	u, err := url.Parse(d.URL)
	if err != nil {
		return "a URL that is malformed"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// PID is the process of the connection; false while there is none. The next connection has another PID, so whoever sends
// often looks it up each time, or by its Name. Messages for a connection that is lost are lost with it.
func (d *Dialer) PID() (actor.PID, bool) {
	d.mu.Lock()
	pid := d.pid
	d.mu.Unlock()
	if !pid.Alive() {
		return actor.PID{}, false
	}
	return pid, true
}

// Serve connects, and keeps connected until ctx is done, or until there is no coming back. It returns after the connection
// is closed, and OnClose and the Logger have got what there was for them. For a supervisor it is ready, by
// [supervisor.Ready], when it is connected for the first time: with ChildSpec.StartTimeout the children after it wait for
// that.
//
// What it does at the end of a connection, or after an attempt that has failed, is Backoff.Retry's to say. The waits of
// Backoff go on from one Serve to the next: so a supervisor that starts a Dialer again does not have it come back at once,
// unless the last connection was a good one that ctx has ended.
//
// It returns
//
//   - nil when ctx is done. The connection ends with ErrShutdown then, with 1001 or what Config.Drain.Close says; a
//     websock.Drainer is asked first, as in a drain of a Server, except when a supervisor restarts the Dialer. When the
//     connection had to be killed, the error says so;
//   - nil when the server has closed with 1000, or the handler has ended the connection with a normal exit reason;
//   - the exit reason of the connection otherwise: a *websock.RemoteCloseError after 1008 and 4000 to 4999, an
//     *actor.PanicError after a panic;
//   - an *UpgradeError, when Backoff.Retry wants no more attempts;
//   - an error, and Backoff.Retry is not asked, when the Dialer is not set up as it must be; one that is
//     actor.ErrShutdown when Config.System has been shut down.
//
// So use supervisor.Transient for a Dialer, and supervisor.Permanent for one that is to come back even when the server has
// told it not to. With Transient it is started again after a panic or another error of the handler, and stays away when it
// has been sent away.
func (d *Dialer) Serve(ctx context.Context) (err error) {
	if !d.begin() {
		return errors.New("socket: Serve of the Dialer runs already")
	}
	defer d.end()
	k, err := d.keeper()
	if err != nil {
		return err
	}
	defer func() { // also when code of the user's panics
		if endErr := k.close(ctx); err == nil {
			err = endErr
		}
	}()
	return k.keep(ctx)
}

// ShutdownTime is how long Serve takes at most after its ctx is done: Config.Drain.Timeout, and a second for the last steps.
func (d *Dialer) ShutdownTime() time.Duration {
	cfg, err := d.config()
	if err != nil {
		return 0 // Serve returns at once
	}
	if cfg, err = cfg.withDefaults(); err != nil {
		return 0
	}
	return sum(cfg.Drain.time(), drainGrace)
}

func (d *Dialer) begin() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.serving {
		return false
	}
	d.serving = true
	return true
}

func (d *Dialer) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.serving = false
}

// keeper checks d, and makes what one Serve needs.
func (d *Dialer) keeper() (*keeper, error) {
	if err := handshake.CheckURL(d.URL); err != nil {
		return nil, fmt.Errorf("socket: Dialer.URL: %w", err)
	}
	switch {
	case d.Handler == nil:
		return nil, errors.New("socket: Dialer.Handler is not set")
	case d.Registry != nil && d.Name == "":
		return nil, errors.New("socket: Dialer.Registry without a Name")
	case d.Registry != nil && d.Config.System == nil:
		return nil, errors.New("socket: Dialer.Registry without Config.System, which must be that of the Registry")
	}
	b, err := d.Backoff.withDefaults()
	if err != nil {
		return nil, err
	}
	cfg, err := d.config()
	if err != nil {
		return nil, err
	}
	srv, err := newServer(cfg, clientRole)
	if err != nil {
		return nil, err
	}
	k := &keeper{d: d, srv: srv, backoff: b, timeout: cmp.Or(d.Timeout, defaultAttempt), bodies: map[actor.PID]io.Closer{}}
	srv.gone = k.gone
	return k, nil
}

// config is that of the connections, without defaults. An error names a field that cannot be carried out.
func (d *Dialer) config() (Config, error) {
	cfg := d.Config
	drain := Drain{Close: cfg.Drain.Close, Timeout: cfg.Drain.Timeout, Over: -1} // one connection is closed at once
	switch {
	case len(cfg.OriginPatterns) > 0:
		return cfg, errors.New("socket: Dialer.Config.OriginPatterns: only a server checks origins; the client's own is a field of Dialer.Header")
	case cfg.MaxSockets != 0:
		return cfg, fmt.Errorf("socket: Dialer.Config.MaxSockets %d: a Dialer has one connection", cfg.MaxSockets)
	case cfg.UpgradeRate != Rate{}, cfg.PerAddress != Rate{}, cfg.Address != nil:
		return cfg, errors.New("socket: Dialer.Config: UpgradeRate, PerAddress and Address are about upgrades, which only a server gets")
	case cfg.MaxAge != 0:
		return cfg, fmt.Errorf("socket: Dialer.Config.MaxAge %v: it is for a server to say how long a client may stay", cfg.MaxAge)
	case cfg.MaxPerSubject != 0, cfg.SubjectPolicy != 0, cfg.Revocations != nil:
		return cfg, errors.New("socket: Dialer.Config: MaxPerSubject, SubjectPolicy and Revocations are about clients, which only a server has")
	case cfg.Drain.Delay != 0, cfg.Drain.Over != 0, cfg.Drain.Batch != 0, cfg.Drain.ComeBack != 0, cfg.Drain.OnProgress != nil:
		return cfg, errors.New("socket: Dialer.Config.Drain: only Close and Timeout make sense for one connection")
	}
	cfg.Drain = drain
	cfg.Name = cmp.Or(cfg.Name, d.String())
	if cfg.HibernateAfter == 0 {
		cfg.HibernateAfter = -1
	}
	return cfg, nil
}
