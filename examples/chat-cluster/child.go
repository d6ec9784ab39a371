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
	addr, listen string // the first start takes free ports, and later ones the same again; keep owns them
	routes       []string
	options      options   // of the parent
	out          io.Writer // one Write for each line, since all children write to it
}

// childGrace is how long a child may take to end when it should, before it is killed. It gives its own parts 20 s and less.
const childGrace = 40 * time.Second

// readyLine is what a node prints when it serves: its name, its page, its process id, and where other nodes connect.
const readyLine = "%s http://%s process %d, nodes connect at %s"

// keep runs the child, and starts it again when it has ended, until ctx is done. started gets nil when it serves for the
// first time; an error, when it ends before that, is the end of it. Then c's addresses are known, and do not change.
func (c *child) keep(ctx context.Context, started chan<- error) {
	first := true
	for {
		how := c.run(ctx, func(addr, listen string) {
			if first {
				first = false
				c.addr, c.listen = addr, listen
				started <- nil
			}
		})
		switch {
		case first:
			started <- fmt.Errorf("%s has ended before it served: %s", c.name, how)
			return
		case ctx.Err() != nil || c.options.restartAfter < 0:
			c.say("has ended: %s", how)
			return
		}
		c.say("has ended: %s; it starts again in %v", how, c.options.restartAfter)
		select {
		case <-time.After(c.options.restartAfter):
		case <-ctx.Done():
			return
		}
	}
}

func (c *child) say(format string, args ...any) {
	fmt.Fprintf(c.out, "chat: "+c.name+" "+format+"\n", args...)
}

func (c *child) args() []string {
	o := c.options
	args := []string{"-of-parent", "-node", c.name, "-addr", c.addr, "-come-back", o.comeBack.String(), "-down-after", o.downAfter.String(),
		"-metrics-addr", o.watchAddr}
	if o.nats != "" {
		return append(args, "-nats", o.nats)
	}
	return append(args, "-listen", c.listen, "-routes", strings.Join(c.routes, ","))
}

// run runs the child once, calls ready when it serves, and says how it has ended.
//
// The child holds the other end of a pipe that is its standard input, and ends in order when that is closed. So it learns
// of a signal to the parent, and also when the parent was killed, and there is one way of ending it on all systems. At a
// terminal Ctrl-C reaches it as well, which makes no difference.
func (c *child) run(ctx context.Context, ready func(addr, listen string)) (how string) {
	cmd := exec.CommandContext(ctx, c.program, c.args()...)
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
		if n, ok := parseReady(lines.Text()); ok {
			ready(n.addr, n.listen)
		}
	}
	_, _ = io.Copy(io.Discard, out) // the rest, if a line was too long
	// Wait's error is that of ctx when the child was told to end; how it has ended is its state.
	if err := cmd.Wait(); cmd.ProcessState == nil {
		return errors.Join(errors.New("it cannot be waited for"), err).Error()
	}
	return cmd.ProcessState.String()
}

// served is what a readyLine says.
type served struct {
	name, addr, listen string
	process            int
}

func parseReady(line string) (s served, ok bool) {
	n, _ := fmt.Sscanf(line, readyLine, &s.name, &s.addr, &s.process, &s.listen)
	s.addr = strings.TrimSuffix(s.addr, "/")
	return s, n == 4
}
