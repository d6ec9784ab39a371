package peer

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

var troupe = Peer{Name: "troupe", Module: "github.com/troupe-dev/troupe", Serve: serveTroupe}

// troupeReader never hibernates: an idle connection keeps the goroutine that reads it.
var troupeReader = Peer{
	Name: "troupe-reader", Module: troupe.Module, Variant: Idle,
	Serve: func(ln net.Listener, o Options) (Broadcast, error) {
		o.Hibernate = -1
		return serveTroupe(ln, o)
	},
}

// troupeReuse has handlers that keep nothing of a message.
var troupeReuse = Peer{
	Name: "troupe-reuse", Module: troupe.Module, Variant: Large,
	Serve: func(ln net.Listener, o Options) (Broadcast, error) {
		o.Reuse = true
		return serveTroupe(ln, o)
	},
}

const group = "all"

func serveTroupe(ln net.Listener, o Options) (Broadcast, error) {
	sockets, err := socket.New(socket.Config{
		Compression:    socket.Compression{On: o.Deflate},
		HibernateAfter: o.Hibernate,
		Logger:         slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		return nil, err
	}
	reg := registry.New(sockets.System())
	newHandler := func(*http.Request) (websock.Handler, error) { return echo{}, nil }
	if o.Reuse {
		newHandler = func(*http.Request) (websock.Handler, error) { return borrower{}, nil }
	}
	if o.Group {
		newHandler = func(*http.Request) (websock.Handler, error) { return member{reg: reg}, nil }
	}
	if o.Rooms {
		newHandler = func(r *http.Request) (websock.Handler, error) {
			return roommate{reg: reg, room: r.FormValue("room")}, nil
		}
	}
	serveHTTP(ln, sockets.Handler(newHandler).ServeHTTP)
	return func(payload []byte) error {
		reg.Broadcast(group, websock.Text(string(payload)))
		return nil
	}, nil
}

type echo struct{}

func (echo) Init(context.Context) websock.Result                            { return websock.OK() }
func (echo) HandleIn(_ context.Context, msg websock.Message) websock.Result { return websock.Push(msg) }
func (echo) HandleInfo(context.Context, any) websock.Result                 { return websock.OK() }

// A borrower is an echo that keeps nothing of a message.
type borrower struct{ echo }

func (borrower) Borrows() {}

// A member is an echo in the group.
type member struct {
	echo
	reg *registry.Registry
}

func (m member) Init(ctx context.Context) websock.Result {
	m.reg.Join(group, actor.Self(ctx), nil)
	return websock.OK()
}

// A roommate says to its room what it is told.
type roommate struct {
	echo
	reg  *registry.Registry
	room string
}

func (m roommate) Init(ctx context.Context) websock.Result {
	m.reg.Join(m.room, actor.Self(ctx), nil)
	return websock.OK()
}

func (m roommate) HandleIn(_ context.Context, msg websock.Message) websock.Result {
	m.reg.Broadcast(m.room, msg)
	return websock.OK()
}
