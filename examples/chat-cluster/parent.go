package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
)

const nodes = 3

// runParent starts the nodes one after the other and a balancer in front of them, then keeps them running until ctx is done and
// all have ended, or until none is left to be started again. The balancer ends last: what the nodes say to their clients at
// their end goes through it.
func runParent(ctx context.Context, o options, out io.Writer) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", o.addr) // first: it is the address that may be taken
	if err != nil {
		return err
	}
	defer l.Close()

	var kept sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	defer kept.Wait()
	defer cancel()
	var all []*child
	var routes []string
	for i := range nodes {
		// Of each two nodes the later one connects to the earlier one, and tries for ever. So they also find each other again
		// when either has been away.
		c := &child{program: program, name: fmt.Sprintf("chat-%d", i+1), addr: "127.0.0.1:0", listen: "127.0.0.1:0", routes: routes, options: o, out: out}
		started := make(chan error, 1)
		kept.Go(func() { c.keep(ctx, started) })
		if err := <-started; err != nil {
			return err
		}
		all = append(all, c)
		if o.nats == "" {
			routes = append(routes[:i:i], c.listen)
		}
	}

	b := newBalancer()
	for _, c := range all {
		b.add(c.addr)
	}
	serving := func() { fmt.Fprintf(out, chatLine+"\n", l.Addr().String()+"/", nodes) }
	balancing, end := context.WithCancel(context.WithoutCancel(ctx))
	balanced := make(chan error, 1)
	go func() {
		balanced <- b.serve(balancing, l, serving)
		cancel() // without it there is no chat
	}()
	kept.Wait()
	end()
	return <-balanced
}

// chatLine is what the parent prints when all nodes serve.
const chatLine = "chat: http://%s is one chat on %d nodes, which end with this process. Open it in two browsers, and kill -9 a node."
