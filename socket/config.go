package socket

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// Config configures a Server. The zero value works. In every field 0 means the default and a negative value means off,
// as far as the field can be off. IdleTimeout, PingInterval, MessageTimeout and HibernateAfter are coarse: never early,
// and late by up to 1/32, or a millisecond.
type Config struct {
	// System runs the sockets' processes. nil: one of the Server's own, which ends with Shutdown.
	System *actor.System

	// Subprotocols are those that this server speaks, the most wanted first. The first that the client offers, spelled
	// exactly so, is negotiated; none: the socket goes without one.
	Subprotocols []string

	// OriginPatterns are the Origins that may connect besides the request's own host and port: "https://app.example:8443",
	// or "app.example:8443" for http and https. They are patterns of path.Match, in any case: * stands for any part of a host
	// or a port. A port that is the scheme's own may be left out, and IPv6 addresses stand in brackets. "null" lets pages
	// without an origin in, "*" everything. A request without Origin comes from no browser and may connect. Others
	// get 403, and a line in the log. New says which pattern can never match.
	OriginPatterns []string

	// MaxMessageSize is the limit for one message from the peer, in bytes after inflation. 0: 10 MB (10,000,000); negative:
	// none. A larger one ends the socket with 1009, from its header if that says so.
	MaxMessageSize int64

	// MaxSockets is how many sockets there are at most; beyond it upgrades get 503. 0: no limit. New warns when
	// it is not below the limit of descriptors, as it is then.
	MaxSockets int

	// IdleTimeout is how long the peer may be silent before the socket ends with ErrTimeout and IdleClose. Any byte from the
	// peer counts as life, our own writes and messages of other processes do not; the time counts only while the socket
	// is read, and not while a ping waits for a peer that takes slowly what was written before it. 0: 60 s.
	IdleTimeout time.Duration

	// IdleClose is the Close frame for IdleTimeout and MessageTimeout. Zero: 1002, as Bandit sends it.
	IdleClose websock.CloseDetail

	// PingInterval is the silence of the peer after which it is pinged, and pinged again. Its pongs are the RTT in Info
	// and do not reach HandleControl. It must leave IdleTimeout time for a pong, and be less than the idle time of every
	// proxy in between. 0: 25 s, at most half of IdleTimeout; negative: off, for clients with heartbeats of their own.
	PingInterval time.Duration

	// MessageTimeout is how long one message may take from its first byte to its last. Exceeding it ends the socket as
	// IdleTimeout does. 0: 60 s.
	MessageTimeout time.Duration

	// WriteTimeout is how long a write to the peer may wait without progress: the time starts anew whenever the kernel has
	// taken bytes, so a peer that is slow gets all, however long it takes, and one that takes nothing is cut: the socket
	// ends without a Close frame, which could not be written either. With TLS it is the time
	// for 64 KiB on Linux, and elsewhere for what the system tells of, such as a third of its send buffer. 0: 10 s.
	WriteTimeout time.Duration

	// CloseTimeout is how long TCP stays open for the peer's Close after ours. It begins when the peer's kernel has all
	// that we have sent, and anew whenever that has taken some of it: so a slow peer gets the last message, unless it takes
	// nothing for CloseTimeout. What the peer sends meanwhile is read and dropped. Only a kill, the end of Shutdown's ctx
	// and Drain.Timeout end that sooner. (It is seen on Linux, and over the memory of sockettest; elsewhere, and below a
	// wrapper without NetConn and SyscallConn, CloseTimeout begins with our Close.) It is also how long a slow peer has to
	// take in what waits when the mailbox is over its limit, also while a callback runs. 0: 5 s; negative: TCP is closed
	// after our Close at once, and a peer that still sends may lose what it has not taken.
	CloseTimeout time.Duration

	// ShutdownTimeout is the shutdown time of the process: for the callback in flight, the Close frame, the children and
	// Terminate. It runs from an Exit, a shutdown or a drain, else from the return of the callback that ends the socket, or that
	// ran when the peer was lost. Then the process is killed. 0: 15 s.
	ShutdownTimeout time.Duration

	// AbandonAfter is how long a callback may run on when its peer is lost: TCP has failed or gone, the mailbox was over its
	// limit, or the peer's Close, or another end of reading, waits for the callback. When it returns in time, Terminate runs, with
	// ShutdownTimeout from then on. Else it is abandoned and logged, Terminate does not run, and the place of the socket is
	// given back; the exit reason is the lost peer all the same. An Exit, a shutdown or a drain shortens it to ShutdownTimeout.
	// 0: 1 min; negative: no limit.
	AbandonAfter time.Duration

	// MailboxLimit is how many messages wait for a socket at most. One more ends it with ErrOverload and 1013. Frames of the peer do not count: at most one of them waits. 0: 1024.
	MailboxLimit int

	// MaxAsync is how many functions of actor.Async run for one socket at the same time at most. Beyond it actor.Done comes
	// at once, with ErrOverload, and the function does not run: so a peer whose messages start them cannot start any number.
	// 0: 128; negative: no limit.
	MaxAsync int

	// Compression is permessage-deflate (RFC 7692). Off by default: it costs CPU, and memory while a message is worked on.
	Compression Compression

	// HibernateAfter is how long no message may have come from the peer for a socket to give up its goroutine and all
	// buffers until bytes come again; messages of other processes, our pings and their pongs do not keep it awake. Where the connection
	// cannot be watched without a goroutine (TLS, wrapped connections, systems without epoll) it stays as it is.
	// 0: 15 s; negative: never.
	HibernateAfter time.Duration

	// ReuseBuffers makes the Data of a message the handler's only until HandleIn returns: then it is read into again. What
	// HandleIn pushes is safe. What it keeps, sends to other processes or gives to websock.Prepare it must copy. It saves
	// an allocation for each message, which counts for those of many KiB.
	ReuseBuffers bool

	// SkipUTF8Check lets text messages of the peer through unchecked. Close reasons, and what handlers push, are
	// checked all the same.
	SkipUTF8Check bool

	// Drain is how Serve says goodbye to the sockets when its ctx is done.
	Drain Drain

	// Context gives the callbacks of a socket values of its request: a trace id, a logger, a tenant. What ctx.Value does not
	// find in the ctx of a callback, it looks for in this context. Its end and its deadline mean nothing to the socket. It
	// is kept for the socket's life, with all that it holds on to: return one that has what you need, such as
	// context.WithValue(context.Background(), key, value). r.Context() works, and keeps what all middleware has put there.
	//
	// It is called once for each socket, on the HTTP goroutine, after newHandler and before the handshake. A panic in it is
	// one in the HTTP handler: there is no socket then. It may return nil. nil: nothing of the request is kept.
	Context func(r *http.Request) context.Context

	// LogAttrs are attributes (user, tenant, request id) for every log line about one socket, those of its process included.
	// It is called as Context is, after it. nil: none.
	LogAttrs func(r *http.Request) []slog.Attr

	// OnClose is called once per socket, after its TCP connection is closed and its process is dead: one call at a time, in
	// the order of the ends, on a goroutine of its own that exists while there are calls. It should not take long. Nothing waits
	// for it, but for Shutdown, Drain and Serve in their last moments, and for 300 ms at most: calls that it does not take in
	// time are dropped, when as many as twice the sockets there have been wait, or 1,024 while one has taken longer than
	// 300 ms, and the log says how many. A panic in it is logged.
	OnClose func(Closed)

	// Logger gets one line per closed socket: Error for abnormal ends, Debug for peers that vanish, Info for the rest. It
	// gets one line per refused upgrade, at most ten a second of each level: Info when it is about the origin, the HTTP
	// version, the method or the headers of the upgrade, and says what to set; Debug for the rest. nil: slog.Default().
	// Nothing waits for it either: lines that it does not take in time are dropped, and the next one that gets through says
	// how many. Only its Enabled is called on the sockets' goroutines.
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
	// MaxRatio is how many times what it is on the wire a message of the peer may inflate to, counted once it is larger
	// than 1 MiB; MaxMessageSize holds besides. Beyond it the socket ends with 1009 before more is inflated. Text shrinks to
	// a fifth, what machines write seldom below a fiftieth; only what is made for it reaches 1,000. 0: 200; negative: no limit.
	MaxRatio int
}

const (
	defaultMaxMessageSize  = 10_000_000
	defaultIdleTimeout     = 60 * time.Second
	defaultPingInterval    = 25 * time.Second
	defaultMessageTimeout  = 60 * time.Second
	defaultWriteTimeout    = 10 * time.Second
	defaultCloseTimeout    = 5 * time.Second
	defaultShutdownTimeout = 15 * time.Second
	defaultAbandonAfter    = time.Minute
	defaultHibernateAfter  = 15 * time.Second
	defaultThreshold       = 512
	defaultLevel           = 1
	defaultMaxRatio        = 200
)

// withDefaults checks cfg and replaces zeros; what is off stays negative.
func (cfg Config) withDefaults() (Config, error) {
	if err := wire.CheckSubprotocols(cfg.Subprotocols); err != nil {
		return cfg, fmt.Errorf("socket: Config.Subprotocols: %w", err)
	}
	if cfg.MaxSockets < 0 {
		return cfg, fmt.Errorf("socket: Config.MaxSockets %d: negative; 0 means no limit", cfg.MaxSockets)
	}
	if l := cfg.Compression.Level; l < 0 || l > 9 {
		return cfg, fmt.Errorf("socket: Config.Compression.Level %d: want 1 to 9, or 0 for the default", l)
	}
	if cfg.MailboxLimit < 0 {
		return cfg, errors.New("socket: Config.MailboxLimit: a socket's mailbox cannot be without limit")
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
		{&cfg.HibernateAfter, defaultHibernateAfter},
	} {
		if *d.d == 0 {
			*d.d = d.def
		}
	}
	var err error
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

// pingInterval is PingInterval for what was set. A ping that is due when IdleTimeout is over, or so late that nobody could
// answer it before, throws out peers that are healthy.
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

func (cfg *Config) wireOptions() wire.Options {
	return wire.Options{
		Subprotocols:   cfg.Subprotocols,
		Compress:       cfg.Compression.On,
		Threshold:      cfg.Compression.Threshold,
		Level:          cfg.Compression.Level,
		MaxMessageSize: cfg.MaxMessageSize,
		MaxRatio:       cfg.Compression.MaxRatio,
		SkipUTF8Check:  cfg.SkipUTF8Check,
		WriteTimeout:   cfg.WriteTimeout,
		ReuseBuffers:   cfg.ReuseBuffers,
	}
}
