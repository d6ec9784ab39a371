// Wsctl looks at a program that has mounted an observer, and acts on it, from a terminal or a script.
//
//	wsctl [flags] ls [-sort lag] [-q TEXT] [-server NAME] [-n 20]
//	wsctl [flags] top [-every 1s] [-times N] and the flags of ls
//	wsctl [flags] show PID
//	wsctl [flags] tap PID
//	wsctl [flags] send PID TEXT
//	wsctl [flags] kick [-code 1008] [-reason TEXT] [-kill] PID
//	wsctl [flags] drain [SERVER]
//	wsctl [flags] tree | nodes | exits [-q TEXT] [-n 20]
//
//	-url URL          where the observer is mounted; default http://127.0.0.1:9100/observer/, or what WSCTL_URL says
//	-header 'K: V'    a field of each request, such as Authorization; may be given more than once
//	-json             what the observer answers, as it is: one line for each answer, or each message of a tap
//
// It ends with 0; with 1 when the observer has refused, or does not know the process; with 2 when the command line makes no sense;
// with 3 when there is no observer at that URL.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// What wsctl ends with.
const (
	exitOK = iota
	exitRefused
	exitUsage
	exitNoObserver
)

const defaultURL = "http://127.0.0.1:9100/observer/"

// usageError is a command line that makes no sense.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usage(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// command is what comes after the flags. args are what comes after its own flags.
type command struct {
	args string // how they are written
	min  int
	max  int
	run  func(ctx context.Context, c *client, f *flags, args []string) error
}

var commands = map[string]command{
	"ls":    {"", 0, 0, ls},
	"top":   {"", 0, 0, topCommand},
	"show":  {"PID", 1, 1, show},
	"tap":   {"PID", 1, 1, tapCommand},
	"send":  {"PID TEXT", 2, 2, send},
	"kick":  {"PID", 1, 1, kick},
	"drain": {"[SERVER]", 0, 1, drain},
	"tree":  {"", 0, 0, tree},
	"nodes": {"", 0, 0, nodes},
	"exits": {"", 0, 0, exits},
}

// run is wsctl, until it is done or ctx is.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	err := do(ctx, args, out, errOut)
	var u *usageError
	var refused *refusedError
	if err == nil || errors.Is(err, flag.ErrHelp) || errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return exitOK
	}
	fmt.Fprintf(errOut, "wsctl: %s\n", clean(err.Error())) // which may be made of what anybody has answered
	switch {
	case errors.As(err, &u):
		return exitUsage
	case errors.As(err, &refused):
		return exitRefused
	}
	return exitNoObserver
}

func do(ctx context.Context, args []string, out, errOut io.Writer) error {
	base := os.Getenv("WSCTL_URL")
	if base == "" {
		base = defaultURL
	}
	c := &client{out: out, header: http.Header{}}
	set := flag.NewFlagSet("wsctl", flag.ContinueOnError)
	set.SetOutput(errOut)
	set.Usage = func() {
		fmt.Fprintln(errOut, "usage: wsctl [-url URL] [-header 'K: V'] [-json] ls | top | show PID | tap PID | send PID TEXT | kick PID | drain [SERVER] | tree | nodes | exits")
		set.PrintDefaults()
	}
	set.StringVar(&base, "url", base, "`URL` where the observer is mounted; WSCTL_URL is the default")
	set.BoolVar(&c.json, "json", false, "what the observer answers, as it is")
	set.Func("header", "a `field` of each request, as 'Key: value'; may be given more than once", func(s string) error {
		key, value, ok := strings.Cut(s, ":")
		if !ok || strings.TrimSpace(key) == "" {
			return errors.New("want 'Key: value'")
		}
		c.header.Add(strings.TrimSpace(key), strings.TrimSpace(value))
		return nil
	})
	if err := parse(set, args); err != nil {
		return err
	}
	if set.NArg() == 0 {
		set.Usage()
		return usage("no command")
	}
	name := set.Arg(0)
	cmd, ok := commands[name]
	if !ok {
		return usage("unknown command %q: want ls, top, show, tap, send, kick, drain, tree, nodes or exits", name)
	}
	f, own := flagsOf(name, errOut)
	if err := parse(own, set.Args()[1:]); err != nil {
		return err
	}
	if n := own.NArg(); n < cmd.min || n > cmd.max {
		return usage("want: wsctl %s %s", name, cmd.args)
	}
	if err := c.mountedAt(base); err != nil {
		return err
	}
	return cmd.run(ctx, c, f, own.Args())
}

// parse parses flags; what is wrong has been said by the set.
func parse(set *flag.FlagSet, args []string) error {
	err := set.Parse(args)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		return usage("%v", err)
	}
	return err
}
