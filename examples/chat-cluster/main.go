// Chat-cluster is examples/chat on three nodes, as three processes that find each other, behind one address: names, rooms and
// presence are those of all three. README.md says what to try.
//
//	go run -C examples/chat-cluster .
//	go run -C examples/chat-cluster . -addr 127.0.0.1:4000 -restart-after -1s -down-after 10s
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chat-cluster:", err)
		os.Exit(1)
	}
}

// options are what the flags say.
type options struct {
	addr         string        // of the balancer or, with node, of the node's page and socket
	restartAfter time.Duration // of the parent; negative: never

	node      string // the name; "": this is the parent
	nats      string // the address of a NATS server; "": each node has its own
	listen    string // the address at which the NATS servers of other nodes connect
	routes    []string
	ofParent  bool
	comeBack  time.Duration
	downAfter time.Duration
	watchAddr string // of each node: /metrics and /observer/; "": none
}

func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("chat-cluster", flag.ContinueOnError)
	flags.StringVar(&o.addr, "addr", "127.0.0.1:4000", "`address` of the chat; with -node, of that node")
	flags.DurationVar(&o.restartAfter, "restart-after", 10*time.Second, "start a node that has ended again after so long; negative: never")
	flags.DurationVar(&o.comeBack, "come-back", 2*time.Second, "clients of a node that ends are asked to come back within this `time`")
	flags.DurationVar(&o.downAfter, "down-after", 0, "a node that is silent for so long is down; 0: 5s")
	flags.StringVar(&o.node, "node", "", "be one node with this `name`, instead of three behind a balancer")
	flags.StringVar(&o.nats, "nats", "", "`URL` of a NATS server that the nodes use, instead of one within each node")
	flags.StringVar(&o.listen, "listen", "127.0.0.1:0", "`address` at which other nodes connect, with -node; loopback only")
	flags.StringVar(&o.watchAddr, "metrics-addr", "127.0.0.1:0", "loopback `address` of each node for /metrics, the numbers for Prometheus, and /observer/, a page that shows what runs; port 0: a free one; empty: none")
	routes := flags.String("routes", "", "`addresses` at which other nodes listen, with commas between, with -node")
	flags.BoolVar(&o.ofParent, "of-parent", false, "end when standard input does, as the parent wants it, with -node")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if *routes != "" {
		o.routes = strings.Split(*routes, ",")
	}
	if o.nats != "" && len(o.routes) > 0 {
		return o, errors.New("-routes are of the NATS servers within the nodes, and with -nats there are none")
	}
	return o, nil
}

// run is the parent or, with -node, one node, until ctx is done.
func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if o.node == "" {
		return runParent(ctx, o, out)
	}
	if o.ofParent {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		// Nothing can interrupt the read, so nobody waits for this goroutine: it ends with the process at the latest.
		go func() {
			_, _ = io.Copy(io.Discard, in)
			cancel()
		}()
	}
	return runNode(ctx, o, out)
}
