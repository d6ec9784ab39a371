package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
)

const nodes = 3

// runParent starts the nodes one after the other, then keeps them running until ctx is done and all have ended, or until
// none is left to be started again.
func runParent(ctx context.Context, o options, out io.Writer) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	var kept sync.WaitGroup
	defer kept.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	var routes []string
	for i := range nodes {
		// Of each two nodes the later one connects to the earlier one, and tries for ever. So they also find each other again
		// when either has been away.
		c := &child{program: program, name: fmt.Sprintf("web-%d", i+1), page: o.page, listen: o.listen, routes: routes,
			downAfter: o.downAfter, restartAfter: o.restartAfter, out: out}
		started := make(chan error, 1)
		kept.Go(func() { c.keep(ctx, started) })
		if err := <-started; err != nil {
			return err
		}
		routes = append(routes[:i:i], c.listen)
	}
	fmt.Fprintf(out, "cluster: %d nodes run, which end with this process. Open their pages, and kill -9 a node.\n", nodes)
	kept.Wait()
	return nil
}
