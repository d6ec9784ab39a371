package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/natsengine"
	"github.com/troupe-dev/troupe/actor/cluster/natsengine/embedded"
	"github.com/troupe-dev/troupe/docs/benchmarks/internal/report"
)

// idle measures links on which nothing is sent: one process has one node, and another one has all those that it is linked
// to. The NATS server is a third, so that its share does not count.
func (p plan) idle() (report.Values, error) {
	var at, none struct{ Addr string }
	engine, err := start(&at, "links", "-server")
	if err != nil {
		return nil, err
	}
	defer engine.stop()
	url := "nats://" + at.Addr
	one, err := start(&none, "links", "-url", url, "-nodes", "1", "-name", "one")
	if err != nil {
		return nil, err
	}
	defer one.stop()
	alone, err := p.look1(one, 0)
	if err != nil {
		return nil, err
	}
	many, err := start(&none, "links", "-url", url, "-nodes", fmt.Sprint(p.links), "-name", "many")
	if err != nil {
		return nil, err
	}
	defer many.stop()
	linked, err := p.look1(one, p.links)
	if err != nil {
		return nil, err
	}
	n := float64(p.links)
	return report.Values{
		report.LinkBytes: float64(linked.bytes-alone.bytes) / n,
		report.LinkCPU:   100 * float64(linked.cpu-alone.cpu) / float64(p.look) / n,
	}, nil
}

// seen is what a process with links holds, and what it has used in the time of a look.
type seen struct {
	bytes int64
	cpu   time.Duration
}

// look1 looks at a process once it has so many links.
func (p plan) look1(one *process, links int) (s seen, err error) {
	var held int64
	look := command{Do: "look", N: links, Settle: min(p.look, 3*time.Second)}
	if err := one.do(look, &held); err != nil { // settles, and collects garbage
		return s, err
	}
	before, err := one.cpu()
	if err != nil {
		return s, err
	}
	time.Sleep(p.look)
	after, err := one.cpu()
	if err != nil {
		return s, err
	}
	err = one.do(look, &held)
	return seen{held, after - before}, err
}

// links is the process of some nodes, or of the server.
func links(args []string, in io.Reader, out io.Writer) (err error) {
	flags := flag.NewFlagSet("links", flag.ContinueOnError)
	server := flags.Bool("server", false, "the NATS server")
	url := flags.String("url", "", "of it")
	count := flags.Int("nodes", 1, "how many")
	name := flags.String("name", "", "of the nodes, before their number")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *server {
		s, err := embedded.Start(embedded.Config{ClientListen: "127.0.0.1:0", Logger: silent})
		if err != nil {
			return err
		}
		stop := serve(s.Serve)
		defer stop()
		if err := json.NewEncoder(out).Encode(map[string]string{"Addr": s.ClientAddr()}); err != nil {
			return err
		}
		return obey(in, out, nil)
	}
	var nodes []*cluster.Node
	for i := range *count {
		engine, err := natsengine.New(natsengine.Config{URL: *url})
		if err != nil {
			return err
		}
		n, err := newNode(fmt.Sprint(*name, i), engine)
		if err != nil {
			return err
		}
		nodes = append(nodes, n)
		stop := serve(n.Serve)
		defer func() { err = errors.Join(err, n.System().Shutdown(context.Background()), stop()) }()
	}
	if err := json.NewEncoder(out).Encode(map[string]string{}); err != nil {
		return err
	}
	return obey(in, out, func(c command) (any, error) { return held(nodes[0], c) })
}

// held is the memory in use, heap and stacks, once a node has so many links.
func held(n *cluster.Node, c command) (int64, error) {
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		got := 0
		for range n.Peers() {
			got++
		}
		if got == c.N {
			break
		}
		if time.Since(began) > patience/2 {
			return 0, fmt.Errorf("%d links, want %d", got, c.N)
		}
	}
	time.Sleep(c.Settle) // what opening them took is over, and what it used is given back
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse), nil
}
