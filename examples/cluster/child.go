package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// child is a node as a process of its own, seen from the parent.
type child struct {
	program      string
	name         string
	page, listen string // the first start takes free ports, and later ones the same again; keep owns them
	routes       []string
	downAfter    time.Duration
	restartAfter time.Duration
	out          io.Writer // one Write for each line, since all children write to it
}

// childGrace is how long a child may take to end when it should, before it is killed. It gives its own parts 15 s and less.
const childGrace = 40 * time.Second

// readyLine is what a node prints when it serves: its name, its page, its process id, and where other nodes connect.
const readyLine = "%s http://%s process %d, nodes connect at %s"

// keep runs the child, and starts it again when it has ended, until ctx is done. started gets nil when it serves for the
// first time; an error, when it ends before that, is the end of it. Then c's addresses are known.
func (c *child) keep(ctx context.Context, started chan<- error) {
	first := true
	for {
		how := c.run(ctx, func() {
			if first {
				first = false
				started <- nil
			}
		})
		switch {
		case first:
			started <- fmt.Errorf("%s has ended before it served: %s", c.name, how)
			return
		case ctx.Err() != nil || c.restartAfter < 0:
			c.say("has ended: %s", how)
			return
		}
		c.say("has ended: %s; it starts again in %v", how, c.restartAfter)
		select {
		case <-time.After(c.restartAfter):
		case <-ctx.Done():
			return
		}
	}
}

func (c *child) say(format string, args ...any) {
	fmt.Fprintf(c.out, "cluster: "+c.name+" "+format+"\n", args...)
}

// run runs the child once, calls ready when it serves, and says how it has ended.
//
// The child holds the other end of a pipe that is its standard input, and ends in order when that is closed. So it learns
// of a signal to the parent, and also when the parent was killed, and there is one way of ending it on all systems. At a
// terminal Ctrl-C reaches it as well, which makes no difference.
func (c *child) run(ctx context.Context, ready func()) (how string) {
	cmd := exec.CommandContext(ctx, c.program, "-of-parent", "-node", c.name, "-addr", c.page, "-listen", c.listen,
		"-routes", strings.Join(c.routes, ","), "-down-after", c.downAfter.String())
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err.Error()
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err.Error()
	}
	cmd.Cancel = in.Close
	cmd.WaitDelay = childGrace
	if err := cmd.Start(); err != nil {
		return err.Error()
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		fmt.Fprintln(c.out, lines.Text())
		var name, page, listen string
		var process int
		if n, _ := fmt.Sscanf(lines.Text(), readyLine, &name, &page, &process, &listen); n == 4 {
			c.page, c.listen = strings.TrimSuffix(page, "/"), listen
			ready()
		}
	}
	_, _ = io.Copy(io.Discard, out) // the rest, if a line was too long
	// Wait's error is that of ctx when the child was told to end; how it has ended is its state.
	if err := cmd.Wait(); cmd.ProcessState == nil {
		return errors.Join(errors.New("it cannot be waited for"), err).Error()
	}
	return cmd.ProcessState.String()
}
