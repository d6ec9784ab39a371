// Shop is what docs/how-to/run-on-several-nodes.md runs in Kubernetes.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/natsengine"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

// clerk tells its client which node it is on.
type clerk struct{ node *cluster.Node }

func (c clerk) Init(ctx context.Context) websock.Result {
	return websock.Push(websock.Text(actor.Self(ctx).String()))
}

func (c clerk) HandleIn(context.Context, websock.Message) websock.Result { return websock.OK() }

func (c clerk) HandleInfo(context.Context, any) websock.Result { return websock.OK() }

// external is the engine over NATS servers of their own. dir has ca.crt and nats.nk, the seed of the user.
func external(urls, dir string) (*natsengine.Engine, error) {
	user, err := nats.NkeyOptionFromSeed(filepath.Join(dir, "nats.nk"))
	if err != nil {
		return nil, err
	}
	return natsengine.New(natsengine.Config{
		URL:     urls, // tls://nats-0.nats:4222,tls://nats-1.nats:4222
		Options: []nats.Option{user, nats.RootCAs(filepath.Join(dir, "ca.crt"))},
	})
}

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	app, err := newApp(args)
	if err != nil {
		return err
	}
	return app.Run(ctx)
}

func newApp(args []string) (*supervisor.Supervisor, error) {
	flags := flag.NewFlagSet("shop", flag.ContinueOnError)
	name := flags.String("name", "", "of this node")
	addr := flags.String("addr", "127.0.0.1:4000", "for browsers")
	urls := flags.String("nats", "", "servers, with commas between")
	dir := flags.String("credentials", "", "directory with nats.nk and ca.crt")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}

	engine, err := external(*urls, *dir)
	if err != nil {
		return nil, err
	}
	sys, err := actor.NewSystem(actor.Config{Node: *name})
	if err != nil {
		return nil, err
	}
	node, err := cluster.New(sys, cluster.Config{Name: "shop", Engine: engine})
	if err != nil {
		return nil, err
	}
	sockets, err := socket.New(socket.Config{System: sys, Drain: socket.Drain{Delay: 5 * time.Second, Over: 5 * time.Second, Timeout: 10 * time.Second}})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/ws", sockets.Handler(func(*http.Request) (websock.Handler, error) { return clerk{node}, nil }))
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	server := &http.Server{Addr: *addr, Handler: mux, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: time.Minute}
	app, err := supervisor.New(supervisor.Config{Name: "shop"},
		supervisor.ChildSpec{ID: "node", Service: node},
		supervisor.ChildSpec{ID: "system", Service: sys},
		supervisor.ChildSpec{ID: "http", Service: supervisor.HTTP(server, nil), Shutdown: 10 * time.Second},
		supervisor.ChildSpec{ID: "sockets", Service: sockets},
	)
	if err != nil {
		return nil, err
	}
	mux.Handle("GET /readyz", supervisor.Probe(app))
	return app, nil
}
