// Package chat is the chat of examples/chat, as a program puts it together: on one node, or on each node of a cluster. The
// README of examples/chat describes it and its protocol.
package chat

import (
	"context"
	"embed"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

// everyone is the group of all sockets that have said hello: they hear about rooms.
const everyone = "everyone"

// roomList is the presence topic in which each room is a key, with its number of people as meta. The directories watch it.
const roomList = "rooms"

// When the node of a user or a room is lost in the middle of a request, it is made again, so often and with such a pause
// between.
const (
	askTries = 3
	askPause = 50 * time.Millisecond
)

//go:embed page
var files embed.FS

// Config configures a [Chat]. System and Registry are required.
type Config struct {
	// System runs all processes of the chat.
	//
	// System's CallTimeout bounds how long a client waits for a user or a room. In a cluster it must be longer than it takes to
	// know that a node is dead, cluster.Config.DownAfter and a Heartbeat: until then the names of its processes are theirs.
	System *actor.System
	// Registry is that of System, and of the whole cluster if it is made by registry.NewCluster. Then rooms, names and presence
	// are those of the cluster, and cluster.Config.Types must have what [RegisterTypes] registers.
	Registry *registry.Registry
	// Node is told to the pages, which show it. "": they show none.
	Node string
	// Logger gets requests that fail. nil: slog.Default().
	Logger *slog.Logger
}

// Chat is what all sockets, rooms and users of one node share.
type Chat struct {
	sys          *actor.System
	reg          *registry.Registry
	rooms, users *supervisor.Dynamic
	directory    supervisor.Service
	node         string
	logger       *slog.Logger
}

// New makes a Chat. It runs when its [Chat.Children] do.
func New(cfg Config) (*Chat, error) {
	if cfg.System == nil || cfg.Registry == nil {
		return nil, errors.New("chat: Config needs a System and a Registry")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	rooms, err := supervisor.NewDynamic(supervisor.DynamicConfig{Name: "rooms", MaxChildren: maxRooms, Logger: cfg.Logger})
	if err != nil {
		return nil, err
	}
	users, err := supervisor.NewDynamic(supervisor.DynamicConfig{Name: "users", Logger: cfg.Logger})
	if err != nil {
		return nil, err
	}
	c := &Chat{sys: cfg.System, reg: cfg.Registry, rooms: rooms, users: users, node: cfg.Node, logger: cfg.Logger}
	c.directory = supervisor.Actor(c.sys, func() actor.Actor { return &directory{chat: c} }, actor.SpawnOptions{Label: "directory"})
	return c, nil
}

// Children are the parts that run. They start after the System, and the Node if there is one, and before the sockets.
func (c *Chat) Children() []supervisor.ChildSpec {
	return []supervisor.ChildSpec{
		{ID: "users", Service: c.users},
		{ID: "rooms", Service: c.rooms},
		{ID: "directory", Service: c.directory},
	}
}

// Handler serves the page, the socket at /ws, and at /ready whether new sockets are taken. sockets must be of the Chat's System.
// ready are what else /ready asks.
func (c *Chat) Handler(sockets *socket.Server, ready ...func() error) (http.Handler, error) {
	page, err := fs.Sub(files, "page")
	if err != nil {
		return nil, err
	}
	pages := http.FileServerFS(page)
	mux := http.NewServeMux()
	mux.Handle("GET /ws", sockets.Handler(func(*http.Request) (websock.Handler, error) { return newClient(c), nil }))
	mux.Handle("GET /ready", socket.Probe(append(ready, sockets.Ready)...))
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("Content-Security-Policy", "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		pages.ServeHTTP(w, r)
	})
	return mux, nil
}

// RegisterTypes registers what the processes of a chat send to those of other nodes. What is broadcast to clients is
// websock.Message, which crosses without it.
func RegisterTypes(t *cluster.Types) {
	cluster.Register[claim](t, "chat.claim")
	cluster.Register[claimed](t, "chat.claimed")
	cluster.Register[enter](t, "chat.enter")
	cluster.Register[entered](t, "chat.entered")
	cluster.Register[say](t, "chat.say")
}

// ask calls the process of that name, which d starts if there is none. When the node of that process is lost, nobody knows
// whether it has handled the request, and ask asks again, now the next holder of the name. So every request must be one that
// may come twice. Each try lasts for the System's CallTimeout at most.
func ask[R any](ctx context.Context, c *Chat, d *supervisor.Dynamic, name string, newActor func() actor.Actor, request any) (answer R, err error) {
	start := func(ctx context.Context) (actor.PID, error) {
		return d.Spawn(ctx, "", c.sys, newActor, actor.SpawnOptions{Label: name, MailboxLimit: 1 << 14, Overflow: actor.OverflowExit})
	}
	for range askTries {
		answer, err = registry.Ask[R](ctx, c.reg, name, start, request)
		if !errors.Is(err, actor.ErrNodeDown) {
			return answer, err
		}
		select {
		case <-time.After(askPause):
		case <-ctx.Done():
			return answer, err
		}
	}
	return answer, err
}
