package natsengine

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/troupe-dev/troupe/actor/cluster"
)

// Config says which NATS to use. The zero Config is a server without a password at nats://127.0.0.1:4222.
type Config struct {
	// URL is that of a server, or of several with commas between. "": nats.DefaultURL.
	URL string
	// Options are added to those that the package comment lists: TLS, credentials, handlers.
	Options []nats.Option
	// Prefix begins all subjects. It may have several tokens, with dots between. "": "troupe".
	Prefix string
}

const (
	reconnectWait  = 250 * time.Millisecond
	pingInterval   = 5 * time.Second
	flusherTimeout = 2 * time.Second
	maxPending     = 64 << 20 // bytes of one subscription; NATS gives up a client with as much

	// unknownMaxDatagram is how long a datagram may be while no server has said it.
	unknownMaxDatagram = 32 << 10
)

// Engine is a cluster.Engine over NATS. Each Open makes a connection of its own.
type Engine struct {
	url, prefix string
	options     []nats.Option
}

// New makes an Engine. It connects to nothing yet; the error is about cfg.
func New(cfg Config) (*Engine, error) {
	if cfg.URL == "" {
		cfg.URL = nats.DefaultURL
	}
	if cfg.Prefix == "" {
		cfg.Prefix = "troupe"
	}
	for _, token := range strings.Split(cfg.Prefix, ".") {
		if !validToken(token) {
			return nil, fmt.Errorf("natsengine: Config.Prefix %q cannot begin a subject", cfg.Prefix)
		}
	}
	options := append([]nats.Option{
		nats.Name("troupe"),
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait), nats.ReconnectJitter(reconnectWait, reconnectWait),
		nats.ReconnectBufSize(-1), nats.IgnoreAuthErrorAbort(),
		nats.PingInterval(pingInterval), nats.FlusherTimeout(flusherTimeout), nats.NoEcho(),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), // nats.go's own writes to stderr; Publish tells the error
	}, cfg.Options...)
	return &Engine{url: cfg.URL, prefix: cfg.Prefix, options: options}, nil
}

// validToken tells whether s can be one token of a subject.
func validToken(s string) bool { return s != "" && !strings.ContainsAny(s, ".*> \t\r\n\x00") }

// Open implements [cluster.Engine]. It tries to connect once, for 2 s for each server of the URL unless Options say
// otherwise, and goes on trying in the background when that fails. The error is that of the Options, or that the user may not
// subscribe, if the server has said so by then.
func (e *Engine) Open(ctx context.Context, name string, self uint64, recv func(datagram []byte)) (cluster.Conn, error) {
	if !validToken(name) {
		return nil, fmt.Errorf("natsengine: the cluster's name %q cannot stand in a subject", name)
	}
	if self == 0 {
		return nil, errors.New("natsengine: a node cannot be 0, which is all nodes")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	nc, err := nats.Connect(e.url, e.options...)
	switch _, broken := errors.AsType[*url.Error](err); {
	case broken: // it quotes the URL, or what of a password is wrong in one
		return nil, errors.New("natsengine: Config.URL is no list of URLs; in a user and a password all but letters and digits must be escaped with %")
	case err != nil:
		return nil, fmt.Errorf("natsengine: connect: %w", err)
	}
	c := &conn{nc: nc, base: e.prefix + "." + name + "."}
	for _, subject := range []string{c.base + everybody, c.subject(self)} {
		if err := c.subscribe(subject, recv); err != nil {
			_ = c.Close()
			return nil, fmt.Errorf("natsengine: subscribe to %s: %w", subject, err)
		}
	}
	if nc.IsConnected() {
		// So that what another node sends to self because of what self sends next finds the subscription. A failure is
		// a connection that is lost, and is mended like one.
		_ = nc.FlushTimeout(flusherTimeout)
		if err := nc.LastError(); errors.Is(err, nats.ErrPermissionViolation) { // has come before the answer to the flush
			_ = c.Close()
			return nil, fmt.Errorf("natsengine: subscribe: %w", err)
		}
	}
	return c, nil
}
