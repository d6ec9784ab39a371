package socket

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
	"github.com/troupe-dev/troupe/socket/internal/conn"
	"github.com/troupe-dev/troupe/socket/internal/handshake"
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// Config configures a Server, and the connections of a [Dialer], which says what is different there. The zero value works.
// In every field 0 means the default and a negative value means off, as far as the field can be off. IdleTimeout,
// PingInterval, MessageTimeout and HibernateAfter are coarse: never early, and late by up to 1/32, or a millisecond.
type Config struct {
	// Name is that of this kind of socket in Stats, events and metrics, and of the Server as a service; in log lines, too,
	// when it is set. "": "sockets", or what a Dialer calls itself.
	Name string

	// System runs the sockets' processes. nil: one of the Server's own, which ends with Shutdown.
	System *actor.System

	// Subprotocols are those that this server speaks, the preferred one first. The first of them that the client offers,
	// in exactly this spelling, is chosen. If it offers none of them, the socket has no subprotocol.
	Subprotocols []string

	// OriginPatterns are the origins that may connect besides the request's own host and port:
	// "https://app.example:8443", or "app.example:8443" for http and https. They are patterns of path.Match, and case
	// does not matter: * stands for any part of a host or a port. A port that is the scheme's own may be left out, and
	// IPv6 addresses stand in brackets. "null" lets pages without an origin in, "*" everything. A request without
	// Origin comes from no browser and may connect. All others get 403, and a line in the log. New returns an error
	// that names a pattern that can never match.
	OriginPatterns []string

	// MaxMessageSize is the limit for one message from the peer, in bytes after inflation. 0: 10 MB (10,000,000); negative:
	// none. A larger one ends the socket with 1009, as soon as a header says that it is larger.
	MaxMessageSize int64

	// MaxSockets is how many sockets there may be at a time; beyond it upgrades get 503. 0: no limit. New logs a
	// warning when it is not below the number of descriptors that the process may open.
	MaxSockets int

	// UpgradeRate is how many upgrades there may be in a time, from all clients together; beyond it they get 503. Set it to
	// what the rest of the program, a database for example, takes of newHandler and Init. It is decided before newHandler
	// runs. Retry-After sends the refused ones back one after the other, at this rate: as long as the rate needs for those
	// that were refused before, 5 min at most, and then a random 1 s to 10 s, or up to Drain.ComeBack when that is set. Zero: no limit.
	UpgradeRate Rate

	// PerAddress is how many upgrades there may be in a time from one IPv4 address, or from one /64 of IPv6; beyond it they get
	// 429, with a Retry-After like that of UpgradeRate. It is decided before UpgradeRate, so one address cannot use that up.
	// Many people can have one address, behind an office's or a mobile network's router: leave room for them. Memory is
	// fixed, at most 1.6 MB: up to some 5,000 addresses that have come lately have a bucket each, and the more there
	// are beyond that, the more of them share one. Behind a proxy set Address. Zero: no limit.
	PerAddress Rate

	// Address says which address PerAddress counts a request under. Behind a proxy it must read the header in which that says
	// who its client is, and take from it only what the proxy itself has written: in X-Forwarded-For that is the last
	// element, for what stands before it came with the request and can be anything. All requests for which it returns the
	// zero Addr have one bucket. It is called on the HTTP goroutine, before newHandler. nil: that of r.RemoteAddr.
	Address func(r *http.Request) netip.Addr

	// IdleTimeout is how long the peer may be silent before the socket ends with ErrTimeout and IdleClose. Any byte from
	// the peer ends the silence; our own writes and messages of other processes do not. The time counts only while the
	// socket is read, and not while a ping still waits to be written to a slow peer. 0: 60 s.
	IdleTimeout time.Duration

	// IdleClose is the Close frame for IdleTimeout and MessageTimeout. Zero: 1002, as Bandit sends it.
	IdleClose websock.CloseDetail

	// PingInterval is how long the peer may be silent before it is pinged, and then pinged again. The pongs for these
	// pings give the RTT in Info and do not reach HandleControl. It must leave time for a pong within IdleTimeout, and be
	// less than the idle time of every proxy in between. 0: 25 s, at most half of IdleTimeout; negative: off, for clients
	// with heartbeats of their own.
	PingInterval time.Duration

	// MessageTimeout is how long one message may take from its first byte to its last. Exceeding it ends the socket as
	// IdleTimeout does. 0: 60 s.
	MessageTimeout time.Duration

	// WriteTimeout is how long a write to the peer may wait without progress. The time starts again whenever the kernel
	// has taken bytes, so a slow peer gets everything, however long it takes. A peer that takes nothing is cut off: the
	// socket ends without a Close frame, which could not be written either. With TLS, progress is seen in steps: on
	// Linux each 64 KiB must be taken within WriteTimeout, elsewhere as much as the system reports at once, such as a
	// third of its send buffer. Where a net.Conn wraps TCP without TLS, the step is 16 KiB at most. 0: 10 s.
	WriteTimeout time.Duration

	// SendBuffer bounds what the kernel takes for a client that reads slowly. What it has taken is on its way: it cannot be
	// left out any more, and everything that is written later comes after it. 0: 128 KiB that are not sent yet
	// (TCP_NOTSENT_LOWAT; only on Linux), beyond what is in flight, so nobody gets slower. A positive value is both, the size
	// of the send buffer (SO_SNDBUF; on all systems) and the limit of what is not sent: so it also bounds how fast a client can
	// be to which the network is long, at that many bytes for each round trip. 16 KiB suit prices, cursors and game state,
	// which are of no use when they are old. Negative: as much as the kernel likes, up to 4 MiB on Linux. It is for TCP
	// connections, also below TLS and below wrappers that have NetConn; others stay as they are.
	SendBuffer int

	// CloseTimeout is how long TCP stays open for the peer's Close after ours. It begins when the peer's kernel has all
	// that we have sent, and starts again whenever it has taken some of it: so a slow peer gets the last message, unless
	// it takes nothing for CloseTimeout. What the peer sends meanwhile is read and dropped. Only a kill, the end of
	// Shutdown's ctx and Drain.Timeout end the wait sooner. (What the peer's kernel has taken is known on Linux, and in
	// sockettest. Elsewhere, and when the net.Conn is a wrapper without NetConn and SyscallConn, CloseTimeout begins
	// with our Close.) When the mailbox is over its limit, a slow peer has as long to take what waits for it, even while
	// a callback runs. 0: 5 s; negative: TCP is closed right after our Close, and a peer that is still sending may lose
	// what it has not read yet.
	CloseTimeout time.Duration

	// ShutdownTimeout is the shutdown time of the process: for the callback in progress, the Close frame, the children
	// and Terminate. It begins at an Exit, a shutdown or a drain; otherwise when the callback that ends the socket, or
	// that was running when the peer was lost, has returned. When it is over, the process is killed. 0: 15 s.
	ShutdownTimeout time.Duration

	// AbandonAfter is how long a callback may run on after its peer is lost: TCP has failed or gone, the mailbox was
	// over its limit, or the peer's Close, or another end of reading, waits for the callback (for several, each
	// has as long). When it returns in time, Terminate runs, and ShutdownTimeout begins then. Otherwise it is abandoned
	// and logged, Terminate does not run, and the place of the socket is given back; the exit reason is still the lost
	// peer. An Exit, a shutdown or a drain shortens it to ShutdownTimeout. 0: 1 min; negative: no limit.
	AbandonAfter time.Duration

	// SlowCallback is how long a callback may run before the log has a line about it, at Warn, with pid, label, what it
	// handles and for how long: one line for each such callback, and none while a write waits for the peer. The line comes
	// up to 0.1 s later, if the callback still runs then; less than 0.1 s is taken for that. 0: 5 s; negative: never.
	SlowCallback time.Duration

	// MailboxLimit is how many messages may wait for a socket. One more ends it with ErrOverload and 1013, unless Overflow says
	// otherwise. What the peer sends does not count: one message and 16 pings and pongs wait, then it is not read. 0: 1024.
	MailboxLimit int

	// MailboxBytes is how many bytes of messages for the client may wait for a socket, beside the one that came first. Beyond it
	// a message does what one more than MailboxLimit does. The bytes of a message that is broadcast count for each socket that it waits
	// for, though the sockets share them. When no others wait, the first one apart, there is room for a message of any size.
	// actor.SendWait waits while half of it waits: make it more than twice as large as your largest message. 0: 16 MB (16,000,000); negative: no limit.
	MailboxBytes int64

	// MaxLag is how long a message of another process may wait for a socket. When the oldest has waited longer, Overflow says what
	// becomes of the socket, of that message or of the next one. It is looked at when a message comes and when the turn of one
	// has come, not in between, and it is coarse: never early, and late by up to 1/64. What actor.SendWait sends may wait longer, and
	// so may frames of the client. With it, each message to a busy socket costs a reading of the clock. 0: no limit.
	MaxLag time.Duration

	// Overflow is what becomes of messages without a websock.Delivery when one more waits than MailboxLimit, MailboxBytes or MaxLag
	// allow. Messages with Expires that have expired are left out first. Zero: the socket ends.
	Overflow Overflow

	// MaxAsync is how many functions of actor.Async may run at a time for one socket. Beyond it actor.Done comes at
	// once, with ErrOverload, and the function does not run: so a peer whose messages start functions cannot start any
	// number of them. 0: 128; negative: no limit.
	MaxAsync int

	// ExpiryWarning is how long before the time of [Expire] the HandleExpiry of a websock.ExpiryHandler is called, or half of the time
	// that there is when Expire is called, if that is less. 0: 30 s; negative: HandleExpiry is not called.
	ExpiryWarning time.Duration

	// MaxAge is how long a socket may live: between nine tenths of it and all of it, drawn at random for each, so that those
	// which have come together do not go together. Then it ends with websock.ErrMaxAge, as by an Exit: 1012, with a close
	// reason "retry-after=N", N random whole seconds from 1 up to Drain.ComeBack, 1 when that is not set. After new
	// instances have been started it is what brings sockets to them. 0: no limit.
	MaxAge time.Duration

	// Compression is permessage-deflate (RFC 7692). Off by default: it costs CPU, and memory while a message is worked on.
	Compression Compression

	// HibernateAfter is how long at most the peer must have sent no message before a socket gives up its goroutine and all
	// buffers until bytes come again. A second in which nothing crosses is enough at first. When that turns out to be too
	// short, because messages come or are written again, it is doubled, up to HibernateAfter; after a silence longer
	// than HibernateAfter it is a second again. Messages of other processes and our pings wake nobody; a
	// pong, and one message after a long silence, do for a moment.
	//
	// A TCP connection without TLS leaves package net when it first sleeps: the net.Conn that http.Server.ConnContext or ConnState saw
	// is closed then.
	//
	// Sleeping works on Linux, over TCP, Unix sockets and a *tls.Conn over one of these. Where the connection cannot be watched
	// without a goroutine (a net.Conn that wraps another, also below TLS; systems without epoll) it stays as it is. 0: 15 s;
	// negative: never.
	HibernateAfter time.Duration

	// SkipUTF8Check lets text messages of the peer through unchecked. Close reasons, and what handlers push, are
	// checked all the same.
	SkipUTF8Check bool

	// Drain is how Serve ends the sockets when its ctx is done.
	Drain Drain

	// Context gives the callbacks of a socket values of its request: a trace id, a logger, a tenant. What ctx.Value
	// does not find in the ctx of a callback, it looks for in this context. Its end and its deadline mean nothing to
	// the socket. It is kept as long as the socket lives, with all that it refers to: return one that has only what you
	// need, such as context.WithValue(context.Background(), key, value). r.Context() works, but keeps everything that
	// middleware has put there.
	//
	// It is called once for each socket, on the HTTP goroutine, after newHandler and before the handshake. A panic in
	// it is one in the HTTP handler: there is no socket then. It may return nil. nil: nothing of the request is kept.
	Context func(r *http.Request) context.Context

	// Subject says who the client is: a user, a device, an account. It is in ConnInfo, events, and every log line about the
	// socket, as subject, so that the sockets of one user can be found. It is never a label of a metric. It is called like
	// Context, after it. nil: "".
	Subject func(r *http.Request) string

	// MaxPerSubject is how many sockets one subject may have at a time, upgrades on their way included. The limit is exact,
	// also for upgrades that come at once. A socket counts from the handshake until its end is decided: a client that
	// has seen our Close frame can come back. It is for this Server; for one socket in a cluster use a name of the
	// registry. It needs Subject; those that are nobody, "", have no limit. 0: no limit.
	MaxPerSubject int

	// SubjectPolicy says what becomes of the one beyond MaxPerSubject. Zero: it is refused with 429.
	SubjectPolicy SubjectPolicy

	// Revocations tells the Servers of this Name on other nodes of [Server.Revoke], and this one of theirs: a
	// *registry.Registry of the cluster. It needs Subject, and a Name. nil: Revoke is about this Server.
	Revocations Revocations

	// LogAttrs returns attributes (user, tenant, request id) for every log line about one socket, those of its process
	// included. It is called like Context, after it. nil: none.
	LogAttrs func(r *http.Request) []slog.Attr

	// CloseCodes are close codes from 3000 to 4999 that Stats counts each by itself, such as those with which you kick users.
	// All others from 3000 to 3999, and from 4000 to 4999, are counted as one. At most 32.
	CloseCodes []websock.CloseCode

	// LastClosed is how many ends of sockets [Server.LastClosed] keeps, the exit reasons included. 0: 256, some 150 KB;
	// negative: none.
	LastClosed int

	// TapPayload lets [Server.Tap] show the first 512 bytes of each message. Off by default: messages may be private.
	TapPayload bool

	// Record is for which sockets the last 64 events are kept: callbacks, with what they handled and how long they took, and
	// frames that were written. They are in [Closed], in [Server.Recorded], and in the log line when the socket ends by a panic,
	// an error, a kill, a timeout, an overload or a breach of the protocol. 1: each socket; n: one in n. A socket that is
	// recorded needs 3 KiB more, and reads the clock twice for each callback and once for each frame. 0 or negative: none.
	Record int

	// TimeCallbacks has Stats.Callbacks say how long callbacks took. Each reads the clock twice then, and adds to two counters that
	// all sockets share; messages that go to the client as they are, and those of a websock.Stream, pass no callback. Off by default.
	TimeCallbacks bool

	// OnClose is called once for each socket, after its TCP connection is closed and its process is dead: one call at a
	// time, in the order in which the sockets have ended, on a goroutine that exists only while there are calls. It
	// should not take long. Only Shutdown, Drain and Serve wait for it, at their end: for 5 s at most, only while no call
	// takes longer than 300 ms, and for 300 ms at most when their own time is over. When too many calls wait, more are
	// dropped, and the log says how many: at least 65,536 may wait, and as many as there have been sockets at a time; but
	// only 1,024 while one call has been taking longer than 300 ms. A panic in it is logged.
	OnClose func(Closed)

	// OnEvent is called for each [Event]: what the log says of sockets, for code that is to act on it or to count it. What is
	// said of OnClose holds: one call at a time, in order, on a goroutine of its own; nothing waits for it but the ends of
	// Shutdown, Drain and Serve; as many may wait, and 1,024 of [Refused] beside them; when there are more, they are dropped and
	// the log says how many. OnClose is the short form for those who want [Closed] alone; when both are set, both are called.
	// nil: none.
	OnEvent func(Event)

	// Logger gets one line for each closed socket: Error for abnormal ends, Debug for peers that vanish, Info for the
	// rest. It gets one line for each refused upgrade, at most ten a second at each level: Error when newHandler has
	// failed; Info when it is about the origin, the HTTP version, the method or the headers of the upgrade, with a hint on
	// what to set; Debug for the rest. Of those beyond UpgradeRate and PerAddress it gets one line in ten seconds, at Info.
	// nil: slog.Default(). Nothing waits for it either: lines that it does not take in time are dropped, and the next one
	// that gets through says how many. Only the Enabled method of its Handler is called on the sockets' goroutines.
	Logger *slog.Logger
}

// Compression configures permessage-deflate. Both sides always work without context takeover, so that no state
// outlives a message.
type Compression struct {
	// On offers it to clients that ask.
	On bool
	// Threshold is the size in bytes from which on messages are compressed. 0: 512; negative: everything.
	Threshold int
	// Level is the deflate level, 1 (fast) to 9 (small). 0: 1.
	Level int
	// MaxRatio bounds what a message of the peer may inflate to: that many times its size on the wire. It is checked once
	// the message is larger than 1 MiB; beyond it the socket ends with 1009 before more is inflated. MaxMessageSize holds
	// as well. Text inflates to about 5 times its size, what machines write seldom to more than 50 times; only an attack
	// reaches 1,000. 0: 200; negative: no limit.
	MaxRatio int
}

const (
	defaultMaxMessageSize  = 10_000_000
	defaultMailboxBytes    = 16_000_000
	defaultIdleTimeout     = 60 * time.Second
	defaultPingInterval    = 25 * time.Second
	defaultMessageTimeout  = 60 * time.Second
	defaultWriteTimeout    = 10 * time.Second
	defaultCloseTimeout    = 5 * time.Second
	defaultShutdownTimeout = 15 * time.Second
	defaultAbandonAfter    = time.Minute
	defaultSlowCallback    = 5 * time.Second
	defaultHibernateAfter  = 15 * time.Second
	defaultExpiryWarning   = 30 * time.Second
	defaultThreshold       = 512
	defaultLevel           = 1
	defaultMaxRatio        = 200
	defaultLastClosed      = 256
)

// withDefaults checks cfg and replaces zeros; what is off stays negative.
func (cfg Config) withDefaults() (Config, error) {
	if err := handshake.CheckSubprotocols(cfg.Subprotocols); err != nil {
		return cfg, fmt.Errorf("socket: Config.Subprotocols: %w", err)
	}
	if err := checkCloseCodes(cfg.CloseCodes); err != nil {
		return cfg, err
	}
	cfg.CloseCodes = slices.Clone(cfg.CloseCodes)
	if cfg.Name == "" && cfg.Revocations != nil {
		return cfg, errors.New("socket: Config.Revocations without Name, by which the Servers of other nodes know this one")
	}
	cfg.Name = cmp.Or(cfg.Name, "sockets")
	if cfg.MaxSockets < 0 {
		return cfg, fmt.Errorf("socket: Config.MaxSockets %d: negative; 0 means no limit", cfg.MaxSockets)
	}
	var err error
	if cfg.MaxAge < 0 {
		return cfg, fmt.Errorf("socket: Config.MaxAge %v: negative; 0 means no limit", cfg.MaxAge)
	}
	if cfg.UpgradeRate, err = cfg.UpgradeRate.withDefaults("UpgradeRate"); err != nil {
		return cfg, err
	}
	if err := cfg.checkSubjects(); err != nil {
		return cfg, err
	}
	if cfg.PerAddress, err = cfg.PerAddress.withDefaults("PerAddress"); err != nil {
		return cfg, err
	}
	if l := cfg.Compression.Level; l < 0 || l > 9 {
		return cfg, fmt.Errorf("socket: Config.Compression.Level %d: want 1 to 9, or 0 for the default", l)
	}
	if cfg.MailboxLimit < 0 {
		return cfg, errors.New("socket: Config.MailboxLimit: a socket's mailbox cannot be without limit")
	}
	if err := cfg.checkOverflow(); err != nil {
		return cfg, err
	}
	if cfg.MailboxBytes == 0 {
		cfg.MailboxBytes = defaultMailboxBytes
	}
	if cfg.IdleClose == (websock.CloseDetail{}) {
		cfg.IdleClose.Code = websock.CloseProtocolError
	}
	if err := websock.StopWith(websock.ErrTimeout, cfg.IdleClose).Check(); err != nil || cfg.IdleClose.Code == 0 {
		return cfg, fmt.Errorf("socket: Config.IdleClose %+v cannot be sent", cfg.IdleClose)
	}
	ping := cfg.PingInterval
	if cfg.MaxMessageSize == 0 {
		cfg.MaxMessageSize = defaultMaxMessageSize
	}
	for _, d := range []struct {
		d   *time.Duration
		def time.Duration
	}{
		{&cfg.IdleTimeout, defaultIdleTimeout},
		{&cfg.PingInterval, defaultPingInterval},
		{&cfg.MessageTimeout, defaultMessageTimeout},
		{&cfg.WriteTimeout, defaultWriteTimeout},
		{&cfg.CloseTimeout, defaultCloseTimeout},
		{&cfg.ShutdownTimeout, defaultShutdownTimeout},
		{&cfg.AbandonAfter, defaultAbandonAfter},
		{&cfg.SlowCallback, defaultSlowCallback},
		{&cfg.HibernateAfter, defaultHibernateAfter},
		{&cfg.ExpiryWarning, defaultExpiryWarning},
	} {
		if *d.d == 0 {
			*d.d = d.def
		}
	}
	if cfg.PingInterval, err = cfg.pingInterval(ping); err != nil {
		return cfg, err
	}
	if cfg.Drain, err = cfg.Drain.withDefaults(&cfg); err != nil {
		return cfg, err
	}
	if cfg.Compression.Threshold == 0 {
		cfg.Compression.Threshold = defaultThreshold
	}
	cfg.Compression.Threshold = max(cfg.Compression.Threshold, 0)
	if cfg.Compression.Level == 0 {
		cfg.Compression.Level = defaultLevel
	}
	if cfg.Compression.MaxRatio == 0 {
		cfg.Compression.MaxRatio = defaultMaxRatio
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return cfg, nil
}

// checkSubjects checks what is about subjects. cfg.Name has its default.
func (cfg *Config) checkSubjects() error {
	switch {
	case cfg.MaxPerSubject < 0:
		return fmt.Errorf("socket: Config.MaxPerSubject %d: negative; 0 means no limit", cfg.MaxPerSubject)
	case cfg.SubjectPolicy > ReplaceOldest:
		return fmt.Errorf("socket: Config.SubjectPolicy %d: want RefuseNewest or ReplaceOldest", cfg.SubjectPolicy)
	case cfg.SubjectPolicy != RefuseNewest && cfg.MaxPerSubject == 0:
		return errors.New("socket: Config.SubjectPolicy without MaxPerSubject")
	case cfg.Subject == nil && cfg.MaxPerSubject > 0:
		return errors.New("socket: Config.MaxPerSubject without Subject: whose sockets are to be counted?")
	case cfg.Subject == nil && cfg.Revocations != nil:
		return errors.New("socket: Config.Revocations without Subject: whose sockets are to be ended?")
	}
	return nil
}

const maxCloseCodes = 32

func checkCloseCodes(codes []websock.CloseCode) error {
	if len(codes) > maxCloseCodes {
		return fmt.Errorf("socket: Config.CloseCodes: %d codes; at most %d are counted each by itself", len(codes), maxCloseCodes)
	}
	for _, c := range codes {
		if c < 3000 || c > 4999 {
			return fmt.Errorf("socket: Config.CloseCodes: %d is not between 3000 and 4999", c)
		}
	}
	return nil
}

// pingInterval is the PingInterval to use when set was set. It returns an error for one at which a ping would come after
// IdleTimeout, or too late to be answered in time: healthy peers would be thrown out.
func (cfg *Config) pingInterval(set time.Duration) (time.Duration, error) {
	switch latest := cfg.PingInterval + max(cfg.PingInterval/32, time.Millisecond); { // deadlines are coarse
	case cfg.IdleTimeout < 0 || set < 0:
		return cfg.PingInterval, nil
	case set == 0:
		return max(min(cfg.PingInterval, cfg.IdleTimeout/2), 1), nil
	case latest >= cfg.IdleTimeout:
		return 0, fmt.Errorf("socket: Config.PingInterval %v is not below IdleTimeout %v by more than 1/32: no pong could come in time; "+
			"set one of them, or a negative PingInterval for clients with heartbeats of their own", set, cfg.IdleTimeout)
	}
	return cfg.PingInterval, nil
}

func (s *Server) connOptions() conn.Options {
	cfg := &s.cfg
	return conn.Options{
		Owner:           s,
		System:          s.sys,
		MailboxLimit:    cfg.MailboxLimit,
		MailboxBytes:    cfg.MailboxBytes,
		MaxLag:          cfg.MaxLag,
		Overflow:        host.Overflow(cfg.Overflow),
		MaxAsync:        cfg.MaxAsync,
		IdleTimeout:     cfg.IdleTimeout,
		PingInterval:    cfg.PingInterval,
		MessageTimeout:  cfg.MessageTimeout,
		HibernateAfter:  cfg.HibernateAfter,
		WriteTimeout:    cfg.WriteTimeout,
		CloseTimeout:    cfg.CloseTimeout,
		ShutdownTimeout: cfg.ShutdownTimeout,
		AbandonAfter:    cfg.AbandonAfter,
		IdleClose:       cfg.IdleClose,
		Threshold:       cfg.Compression.Threshold,
		SlowCallback:    cfg.SlowCallback,
		Slow:            s.slow,
		Answered:        s.trips.observe,
		LeftOut:         func() { s.leftOut.Add(1) },
		Overflowed:      s.overflowed,
		Abandoned:       s.abandoned,
		Timings:         cfg.TimeCallbacks,
		Record:          min(max(cfg.Record, 0), math.MaxInt32),
		Opened:          s.add,
		Ending:          s.subjects.leave,
		ExpiryWarning:   cfg.ExpiryWarning,
		MaxAge:          cfg.MaxAge,
		TooOld:          s.tooOld,
		Closed:          s.closed,
	}
}

func (cfg *Config) handshakeOptions() handshake.Options {
	return handshake.Options{
		Subprotocols: cfg.Subprotocols,
		Compress:     cfg.Compression.On,
		WriteTimeout: cfg.WriteTimeout,
	}
}

func (cfg *Config) wireOptions(r role) wire.Options {
	return wire.Options{
		Client:         r == clientRole,
		Threshold:      cfg.Compression.Threshold,
		Level:          cfg.Compression.Level,
		MaxMessageSize: cfg.MaxMessageSize,
		MaxRatio:       cfg.Compression.MaxRatio,
		SkipUTF8Check:  cfg.SkipUTF8Check,
		WriteTimeout:   cfg.WriteTimeout,
		SendBuffer:     min(cfg.SendBuffer, math.MaxInt32),
	}
}
