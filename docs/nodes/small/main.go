// Small is the program of docs/how-to/run-on-several-nodes.md.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/natsengine/embedded"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

// visitor tells its client its PID, and sends what it is told to: "PID text".
type visitor struct{ sys *actor.System }

func (v *visitor) Init(ctx context.Context) websock.Result {
	return websock.Push(websock.Text(actor.Self(ctx).String()))
}

func (v *visitor) HandleIn(_ context.Context, msg websock.Message) websock.Result {
	text, message, _ := strings.Cut(string(msg.Data), " ")
	to, err := v.sys.ParsePID(text) // of any node
	if err != nil {
		return websock.Push(websock.Text("that is no PID"))
	}
	if !to.Send(websock.Text(message)) {
		return websock.Push(websock.Text("cannot be reached"))
	}
	return websock.OK()
}

func (v *visitor) HandleInfo(context.Context, any) websock.Result { return websock.OK() }

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("small", flag.ContinueOnError)
	name := flags.String("name", "", "of this node")
	addr := flags.String("addr", "127.0.0.1:4000", "for browsers")
	listen := flags.String("listen", "127.0.0.1:6222", "for other nodes")
	routes := flags.String("routes", "", "where other nodes listen, with commas between")
	if err := flags.Parse(args); err != nil {
		return err
	}

	nats, err := embedded.Start(embedded.Config{
		Listen: *listen,
		Routes: strings.FieldsFunc(*routes, func(r rune) bool { return r == ',' }),
	})
	if err != nil {
		return err
	}
	sys, err := actor.NewSystem(actor.Config{Node: *name})
	if err != nil {
		return err
	}
	node, err := cluster.New(sys, cluster.Config{Engine: nats.Engine()})
	if err != nil {
		return err
	}
	sockets, err := socket.New(socket.Config{System: sys})
	if err != nil {
		return err
	}

	mux := http.NewServeMux()
	mux.Handle("/ws", sockets.Handler(func(*http.Request) (websock.Handler, error) { return &visitor{sys}, nil }))
	server := &http.Server{
		Addr:              *addr,
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       time.Minute,
	}
	app, err := supervisor.New(supervisor.Config{Name: "app"}, // started in this order, stopped in reverse
		supervisor.ChildSpec{ID: "nats", Service: nats},
		supervisor.ChildSpec{ID: "node", Service: node},
		supervisor.ChildSpec{ID: "system", Service: sys},
		supervisor.ChildSpec{ID: "http", Service: supervisor.HTTP(server, nil), Shutdown: 10 * time.Second},
		supervisor.ChildSpec{ID: "sockets", Service: sockets},
	)
	if err != nil {
		return err
	}
	mux.Handle("GET /readyz", supervisor.Probe(app))
	return app.Run(ctx)
}
