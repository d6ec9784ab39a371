// Benchmarks compares WebSocket servers by what they cost: CPU and memory, measured from outside.
//
//	go run .                                       # everything, and the report
//	go run . -short                                # a quick look
//	go run . -only echo64 -servers troupe,gws      # some of it
//	go run . compare                               # has a change made it slower?
//	go run . soak                                  # ten minutes of all that clients can do
//	go run . day                                   # a hard day of examples/chat, in less than a minute
//	go run . slow                                  # what slow clients get, and what they cost the others
//	go run . beside                                # what own system calls do beside a busy program
//	go run . report results/run-1.json results/run-2.json
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
)

func main() {
	err := run(os.Args[1:])
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "serve":
			return serve(args[1:], os.Stdout)
		case "compare":
			return compare(args[1:], os.Stdout)
		case "soak":
			return soak(args[1:], os.Stdout)
		case "day":
			return hardDay(args[1:], os.Stdout)
		case "beside":
			return beside(args[1:], os.Stdout)
		case "slow":
			return slow(args[1:], os.Stdout)
		case "spin":
			spin()
		case "serve-soak":
			return serveSoak(args[1:], os.Stdin, os.Stdout)
		case "serve-slow":
			return serveSlow(args[1:], os.Stdin, os.Stdout)
		case "report":
			return render(args[1:])
		}
	}
	return measure(args)
}
