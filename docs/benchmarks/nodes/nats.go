package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// natsEnd is nats.go alone, over a server like that of package embedded: in the process, with a route to the other.
type natsEnd struct {
	server *server.Server
	conn   *nats.Conn
}

func openNATS(_, route string) (end, error) {
	opts := &server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, PingInterval: 5 * time.Second,
		Cluster: server.ClusterOpts{Name: "troupe", Host: "127.0.0.1", Port: server.RANDOM_PORT, NoAdvertise: true, PoolSize: 1},
	}
	if route != "" {
		opts.Routes = []*url.URL{{Scheme: "nats-route", Host: route}}
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, err
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		return nil, errors.New("the server is not ready")
	}
	nc, err := nats.Connect("", nats.InProcessServer(s), nats.NoEcho())
	if err != nil {
		return nil, err
	}
	return &natsEnd{s, nc}, nil
}

func (e *natsEnd) addr() string { return e.server.ClusterAddr().String() }

func (e *natsEnd) close() error {
	e.conn.Close()
	e.server.Shutdown()
	e.server.WaitForShutdown()
	return nil
}

func (e *natsEnd) serve() (string, error) {
	n := 0
	sub, err := e.conn.Subscribe("bench.flood", func(*nats.Msg) {
		if n++; n%step == 0 {
			_ = e.conn.Publish("bench.received", binary.LittleEndian.AppendUint64(nil, uint64(n)))
		}
	})
	if err != nil {
		return "", err
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return "", err
	}
	if _, err := e.conn.Subscribe("bench.call", func(m *nats.Msg) { _ = m.Respond(m.Data) }); err != nil {
		return "", err
	}
	return "bench", e.conn.Flush()
}

func (e *natsEnd) open(to string, received func(n int)) (other, error) {
	if _, err := e.conn.Subscribe(to+".received", func(m *nats.Msg) { received(int(binary.LittleEndian.Uint64(m.Data))) }); err != nil {
		return nil, err
	}
	o := natsOther{e.conn, to + ".flood", to + ".call"}
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) { // routes form, and subscriptions cross them
		if err := o.call(nil); err == nil {
			return o, e.conn.Flush()
		} else if time.Since(began) > patience/2 {
			return nil, fmt.Errorf("the other node cannot be reached: %w", err)
		}
	}
}

type natsOther struct {
	conn        *nats.Conn
	flood, asks string
}

func (o natsOther) send(b []byte) error { return o.conn.Publish(o.flood, b) }

func (o natsOther) call(b []byte) error {
	m, err := o.conn.Request(o.asks, b, 5*time.Second)
	if err == nil && len(m.Data) != len(b) {
		return fmt.Errorf("an answer of %d bytes", len(m.Data))
	}
	return err
}
