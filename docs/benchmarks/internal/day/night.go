package day

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// dayBefore measures what a server holds that some people have used and left: it has to come back to that.
func (r *run) dayBefore(ctx context.Context) error {
	if err := r.start(); err != nil {
		return err
	}
	err := r.quiet(ctx, 3)
	if err != nil {
		return err
	}
	if r.before, err = r.server.look(); err != nil {
		return err
	}
	r.alive, _, err = r.server.goroutines()
	if err != nil {
		return err
	}
	return r.start()
}

// quiet has visitors come and go, one after the other, until the garbage collector has run so many times. With a large
// heap it may not run that often: then the last time counts.
func (r *run) quiet(ctx context.Context, times int) error {
	first, _ := r.server.collected()
	for end := time.Now().Add(r.Limit); ; {
		if n, _ := r.server.collected(); n >= first+times {
			time.Sleep(200 * time.Millisecond) // it gives memory back in the background
			return nil
		}
		if time.Now().After(end) {
			return nil
		}
		for range 20 {
			c, err := visit(ctx, r.crowd.addr, false)
			if err != nil {
				return err
			}
			c.write(closeFrame(1000))
			err = c.wantClose(1000)
			c.end(false)
			if err != nil {
				return err
			}
		}
	}
}

// leave has everybody go, in all ways. Somebody who looks in afterwards must find nobody.
func (r *run) leave(ctx context.Context) error {
	r.crowd.pace.Store(0)
	r.crowd.tell(r.crowd.pages, func(*page) order { return order{what: ways[r.crowd.rand.IntN(len(ways))], away: -1} })
	if !r.crowd.left(r.Limit) {
		r.faults.add(NobodyStuck, "not all pages could leave within %v", r.Limit)
	}
	r.crowd.leave()
	r.crowd.lives.Wait()
	var odd string
	for end := time.Now().Add(r.Limit); ; time.Sleep(200 * time.Millisecond) {
		var err error
		if odd, err = r.ghosts(ctx); err != nil {
			return err
		}
		if odd == "" {
			return nil
		}
		if time.Now().After(end) {
			r.faults.add(PresenceRight, "when all had left: %s", odd)
			return nil
		}
	}
}

// ghosts looks into the list of rooms, and into each room.
func (r *run) ghosts(ctx context.Context) (string, error) {
	c, err := dial(ctx, r.crowd.addr, false, 0)
	if err != nil {
		return "", err
	}
	defer c.end(true)
	c.tcp.SetReadDeadline(time.Now().Add(patience))
	if err := c.send(request{Type: "hello", Name: "Watchman", Key: "the key of the watchman", Session: fmt.Sprint("session ", c.tcp.LocalAddr())}); err != nil {
		return "", err
	}
	rooms := append(slices.Clone(r.rooms[:min(len(r.rooms), 7)]), theBig) // as many as may be asked for at once
	for _, room := range rooms {
		if err := c.send(request{Type: "join", Room: room}); err != nil {
			return "", err
		}
	}
	for joined := 0; joined < len(rooms); {
		a, err := c.answer()
		if err != nil {
			return "", err
		}
		switch a.Type {
		case "error":
			return "", fmt.Errorf("the watchman was refused: %s %q", a.Code, a.Text)
		case "welcome":
			for _, room := range a.Rooms {
				return fmt.Sprintf("%s is listed with people %s", room.Room, room.People), nil
			}
		case "joined":
			joined++
			names, err := a.names()
			if err != nil {
				return "", err
			}
			names = slices.DeleteFunc(names, func(name string) bool { return name == "Watchman" })
			if len(names) > 0 {
				return fmt.Sprintf("in %s there is %s", a.Room, strings.Join(names, ", ")), nil
			}
		}
	}
	return "", nil
}

// The tolerances of the night, to the server of the day before. It keeps histories and, for half a minute, names.
const (
	slackMB          = 6
	slackDescriptors = 4
	slackGoroutines  = 12
)

// night compares what the server holds with what it held the day before.
func (r *run) night(ctx context.Context) error {
	var now look
	limit := r.limits()
	for end := time.Now().Add(r.Limit); ; {
		if err := r.quiet(ctx, 2); err != nil {
			return err
		}
		var err error
		if now, err = r.server.look(); err != nil {
			return err
		}
		back := now.heap <= limit.heap && now.rss <= limit.rss && now.descriptors <= limit.descriptors
		if back || time.Now().After(end) {
			break
		}
	}
	if now.heap > limit.heap {
		r.faults.add(MemoryBack, "%d MB of heap in use, %d the day before, at most %d wanted", now.heap, r.before.heap, limit.heap)
	}
	if now.rss > limit.rss {
		r.faults.add(MemoryBack, "%.1f MB resident, %.1f the day before, at most %.1f wanted", float64(now.rss)/1e6, float64(r.before.rss)/1e6, float64(limit.rss)/1e6)
	}
	if now.descriptors > limit.descriptors {
		r.faults.add(DescriptorsBack, "%d, the day before %d", now.descriptors, r.before.descriptors)
	}
	r.checkLog()
	n, dump, err := r.server.goroutines()
	if err != nil {
		return err
	}
	if n > r.alive+slackGoroutines {
		name := filepath.Join(r.Dir, "goroutines.txt")
		r.faults.add(GoroutinesBack, "%d, the day before %d: %s", n, r.alive, name)
		if err := os.WriteFile(name, dump, 0o666); err != nil {
			return err
		}
	}
	r.note("the day before and at night: %d and %d MB of heap, %.1f and %.1f MB resident, %d and %d descriptors, %d and %d goroutines",
		r.before.heap, now.heap, float64(r.before.rss)/1e6, float64(now.rss)/1e6, r.before.descriptors, now.descriptors, r.alive, n)
	r.server = nil
	return nil
}

// limits are what the server may hold at night: what it held the day before, and what rooms and names keep.
func (r *run) limits() look {
	const each = 1500 // bytes of a message in a history, at most
	history := int64(r.Rooms+1) * historyKept * each
	names := int64(r.People) * 4000
	heap := r.before.heap + int((history+names)/1_000_000) + slackMB
	return look{
		heap: heap,
		// The collector lets the heap grow to twice what is in use. Stacks, tables and freed pages come on top.
		rss:         r.before.rss + int64(2*heap)*1_000_000 + r.before.rss/4,
		descriptors: r.before.descriptors + slackDescriptors,
	}
}

// checkLog looks for errors in the server's log, for a crash, and for an end with an error.
func (r *run) checkLog() {
	for _, line := range r.server.logged() {
		r.faults.add(NoCrash, "it has logged an error: %.300s", line)
	}
	if crash := r.server.crash(); crash != "" {
		r.faults.add(NoCrash, "it has written to standard error: %s", crash)
	}
	if !r.server.running() && r.server.status != nil {
		r.faults.add(NoCrash, "it has ended with %v", r.server.status)
	}
}
