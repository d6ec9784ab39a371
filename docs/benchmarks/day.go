package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/day"
)

// errDay is the error of a day on which a promise was broken.
var errDay = errors.New("the day has broken promises")

// The short day, for every change, and the long one.
var (
	shortDay = day.Day{People: 200, Rooms: 8, Hour: 3 * time.Second, Pace: 1500 * time.Millisecond, Stop: 2 * time.Second, Storms: 2, Back: time.Second, Limit: 30 * time.Second}
	longDay  = day.Day{People: 3000, Rooms: 100, Hour: time.Minute, Pace: 10 * time.Second, Stop: 8 * time.Second, Storms: 5, Back: 5 * time.Second, Limit: 2 * time.Minute}
)

// hardDay is the command day. It builds and runs examples/chat, and puts it through all that happens on a hard day.
func hardDay(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("day", flag.ContinueOnError)
	long := flags.Bool("long", false, "3,000 people, about 15 minutes")
	people := flags.Int("people", 0, "how `many`; 0: 200, or 3,000 with -long")
	hour := flags.Duration("hour", 0, "how long each part of the day takes; 0: 3 s, or 1 min with -long")
	seed := flags.Uint64("seed", uint64(time.Now().UnixNano()), "of what people do")
	keep := flags.String("dir", "", "`directory` for the log of the chat; empty: one that is removed unless something was wrong")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	d := shortDay
	if *long {
		d = longDay
	}
	if *people > 0 {
		d.People = *people
	}
	if *hour > 0 {
		d.Hour = *hour
	}
	d.Seed, d.Out, d.Dir = *seed, out, *keep
	if d.Dir == "" {
		dir, err := os.MkdirTemp("", "day")
		if err != nil {
			return err
		}
		d.Dir = dir
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if d.Bin, err = buildChat(ctx, d.Dir, ""); err != nil {
		return err
	}
	v, err := d.Run(ctx)
	if err != nil {
		return err
	}
	for _, f := range v.Figure {
		fmt.Fprintln(out, f)
	}
	for _, p := range day.Promises {
		if how, broken := v.Broken[p]; broken {
			fmt.Fprintf(out, "BROKEN: %s: %s\n", p, how)
		}
	}
	if len(v.Broken) > 0 {
		return fmt.Errorf("%w: %d of %d; -seed %d; see %s", errDay, len(v.Broken), len(day.Promises), d.Seed, d.Dir)
	}
	fmt.Fprintf(out, "all %d promises were kept\n", len(day.Promises))
	if *keep == "" {
		return os.RemoveAll(d.Dir)
	}
	return nil
}

// buildChat builds examples/chat into dir. overlay is a file for go build -overlay; "": none.
func buildChat(ctx context.Context, dir, overlay string) (bin string, err error) {
	if bin, err = filepath.Abs(filepath.Join(dir, "chat")); err != nil {
		return "", err
	}
	args := []string{"build", "-o", bin}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, ".")...)
	cmd.Dir = "../../examples/chat"
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build of examples/chat: %w\n%s", err, text)
	}
	return bin, nil
}
