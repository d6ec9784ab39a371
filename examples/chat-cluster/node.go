package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/natsengine"
	"github.com/troupe-dev/troupe/actor/cluster/natsengine/embedded"
	"github.com/troupe-dev/troupe/examples/chat/chat"
	"github.com/troupe-dev/troupe/examples/metrics"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/observer"
	"github.com/troupe-dev/troupe/supervisor"
)

const (
	// defaultDownAfter is that of cluster.Config.
	defaultDownAfter = 5 * time.Second
	// callSlack is how much longer than -down-after a client waits for a user or a room. So when the node of that process was
	// killed, it waits until this is known, and gets the next one.
	callSlack = 10 * time.Second
	// maxMessage has room for the history of a room in the worst case, 200 messages of 1000 characters that JSON writes as 6
	// bytes each.
	maxMessage = 2 << 20

	drainOver    = time.Second
	httpShutdown = 2 * time.Second
)

// engine is what the nodes reach each other by: the NATS server of -nats, or one within this process, which is a service.
func engine(o options, log *slog.Logger) (cluster.Engine, *embedded.Server, error) {
	if o.nats != "" {
		e, err := natsengine.New(natsengine.Config{URL: o.nats})
		if err != nil {
			return nil, nil, err
		}
		return e, nil, nil
	}
	server, err := embedded.Start(embedded.Config{Listen: o.listen, Routes: o.routes, Logger: log})
	if err != nil {
		return nil, nil, err
	}
	return server.Engine(), server, nil
}

// runNode runs one node until ctx is done.
func runNode(ctx context.Context, o options, out io.Writer) error {
	log := slog.New(slog.NewTextHandler(out, nil))
	downAfter := o.downAfter
	if downAfter <= 0 {
		downAfter = defaultDownAfter
	}
	sys, err := actor.NewSystem(actor.Config{Node: o.node, CallTimeout: downAfter + callSlack, Logger: log})
	if err != nil {
		return err
	}
	// An error from here on ends the process, and the NATS server with it.
	transport, nats, err := engine(o, log)
	if err != nil {
		return err
	}
	types := new(cluster.Types)
	chat.RegisterTypes(types)
	node, err := cluster.New(sys, cluster.Config{
		Name:       "chat",
		Engine:     transport,
		Types:      types,
		DownAfter:  o.downAfter,
		MaxMessage: maxMessage,
		Logger:     log,
	})
	if err != nil {
		return err
	}
	reg, err := registry.NewCluster(node, registry.Config{})
	if err != nil {
		return err
	}
	c, err := chat.New(chat.Config{System: sys, Registry: reg, Node: o.node, Logger: log})
	if err != nil {
		return err
	}
	sockets, err := socket.New(socket.Config{
		System:         sys,
		MaxMessageSize: 16 << 10,
		MaxSockets:     10_000,
		Compression:    socket.Compression{On: true},
		Drain:          socket.Drain{Over: drainOver, ComeBack: o.comeBack},
		Logger:         log,
	})
	if err != nil {
		return err
	}
	handler, err := c.Handler(sockets, node.Ready)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       time.Minute,
	}
	listen := func(ctx context.Context) (net.Listener, error) {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", o.addr)
		if err == nil {
			fmt.Fprintf(out, readyLine+"\n", o.node, l.Addr().String()+"/", os.Getpid(), peersAt(nats))
		}
		return l, err
	}
	numbers := &metrics.Sources{Servers: []*socket.Server{sockets}, System: sys, Registry: reg}
	specs := children(sys, nats, node, c, server, listen, sockets)
	if o.watchAddr != "" { // it starts after the system, and stops after all that can be watched
		specs = slices.Insert(specs, 1, numbers.Child(o.node, o.watchAddr, out))
	}
	tree, err := supervisor.New(supervisor.Config{Name: o.node, Logger: log}, specs...)
	if err != nil {
		return err
	}
	numbers.Supervisors = append(metrics.Supervisors(specs), tree)
	numbers.Observer = observer.Handler(observer.Config{
		Servers: []*socket.Server{sockets}, Supervisors: []supervisor.Service{tree}, Registry: reg, Node: node, Logger: log,
	})
	return tree.Run(ctx)
}

// children are stopped from bottom to top: the sockets end first, so that their clients go to other nodes and these hear how
// each has ended; then the rooms and the users; then the node says goodbye, and only then the server ends that carries all of it.
func children(sys *actor.System, nats *embedded.Server, node *cluster.Node, c *chat.Chat, server *http.Server,
	listen func(context.Context) (net.Listener, error), sockets *socket.Server) []supervisor.ChildSpec {
	specs := []supervisor.ChildSpec{{ID: "actors", Service: sys}}
	if nats != nil {
		specs = append(specs, supervisor.ChildSpec{ID: "nats", Service: nats})
	}
	specs = append(specs, supervisor.ChildSpec{ID: "node", Service: node})
	specs = append(specs, c.Children()...)
	return append(specs,
		supervisor.ChildSpec{ID: "http", Service: supervisor.HTTP(server, listen), Shutdown: httpShutdown},
		supervisor.ChildSpec{ID: "sockets", Service: sockets},
	)
}

// peersAt is where the NATS servers of other nodes connect.
func peersAt(nats *embedded.Server) string {
	if nats == nil {
		return "NATS"
	}
	return nats.Addr()
}
