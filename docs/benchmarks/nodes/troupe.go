package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/natsengine/embedded"
)

var silent = slog.New(slog.DiscardHandler)

// troupeEnd is a node over an embedded server, with all defaults.
type troupeEnd struct {
	server *embedded.Server
	sys    *actor.System
	stop   func() error
}

func openTroupe(name, route string) (end, error) {
	cfg := embedded.Config{Listen: "127.0.0.1:0", Logger: silent}
	if route != "" {
		cfg.Routes = []string{route}
	}
	s, err := embedded.Start(cfg)
	if err != nil {
		return nil, err
	}
	n, err := newNode(name, s.Engine())
	if err != nil {
		return nil, err
	}
	stopNode, stopServer := serve(n.Serve), serve(s.Serve)
	return &troupeEnd{server: s, sys: n.System(), stop: func() error {
		return errors.Join(n.System().Shutdown(context.Background()), stopNode(), stopServer())
	}}, nil
}

func newNode(name string, engine cluster.Engine) (*cluster.Node, error) {
	sys, err := actor.NewSystem(actor.Config{Node: name, Logger: silent})
	if err != nil {
		return nil, err
	}
	return cluster.New(sys, cluster.Config{Engine: engine, Logger: silent})
}

// serve has a service run until stop is called.
func serve(f func(context.Context) error) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f(ctx) }()
	return func() error {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			return err
		}
		return nil
	}
}

func (e *troupeEnd) addr() string { return e.server.Addr() }

func (e *troupeEnd) close() error { return e.stop() }

// receiver counts messages, and answers calls.
type receiver struct {
	n    int
	from actor.PID
}

func (r *receiver) Receive(ctx context.Context, msg any) error {
	switch m := msg.(type) {
	case actor.PID:
		r.from = m
	case []byte:
		if from, ok := actor.Caller(ctx); ok {
			from.Reply(m)
			break
		}
		if r.n++; r.n%step == 0 {
			r.from.Send(r.n)
		}
	}
	return nil
}

func (e *troupeEnd) serve() (string, error) {
	pid, err := e.sys.Spawn(context.Background(), &receiver{}, actor.SpawnOptions{MailboxLimit: 2 * ahead * step})
	return pid.String(), err
}

func (e *troupeEnd) open(to string, received func(n int)) (other, error) {
	pid, err := e.sys.ParsePID(to)
	if err != nil {
		return nil, err
	}
	for began := time.Now(); !pid.Alive(); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > patience/2 {
			return nil, errors.New("the other node is not connected")
		}
	}
	self, err := e.sys.Spawn(context.Background(), listener{received}, actor.SpawnOptions{})
	if err != nil {
		return nil, err
	}
	if !pid.Send(self) {
		return nil, errors.New("the first message is refused")
	}
	return troupeOther{pid}, nil
}

// listener hears how many messages have been received.
type listener struct{ received func(n int) }

func (l listener) Receive(_ context.Context, msg any) error {
	l.received(msg.(int))
	return nil
}

type troupeOther struct{ pid actor.PID }

func (o troupeOther) send(b []byte) error {
	if !o.pid.Send(b) {
		return errors.New("a message is refused")
	}
	return nil
}

func (o troupeOther) call(b []byte) error {
	got, err := actor.Call[[]byte](context.Background(), o.pid, b)
	if err == nil && len(got) != len(b) {
		return fmt.Errorf("an answer of %d bytes", len(got))
	}
	return err
}
