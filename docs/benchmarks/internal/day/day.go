package day

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// A Day says how hard it is.
type Day struct {
	Bin    string        // the chat, built
	Dir    string        // for its log and, at a fault, its goroutines; must exist
	People int           // some of them with five tabs, some of them slow
	Rooms  int           // besides the big one
	Hour   time.Duration // each part of the day takes so long, and what it takes to settle
	Pace   time.Duration // of each page, between two sayings
	Stop   time.Duration // by SIGSTOP
	Storms int           // one after the other
	Back   time.Duration // -come-back of the chat
	Limit  time.Duration // for everything to be right after a part
	Seed   uint64
	Out    io.Writer // a line for each part
}

// A Verdict says which promises were broken.
type Verdict struct {
	Broken map[Promise]string // how, in one line
	Figure []string           // what is no promise
}

// theBig is the room in which all meet.
const theBig = "the-big-room"

// run is a day in progress.
type run struct {
	Day
	begun  time.Time
	faults *faults
	crowd  *crowd
	rooms  []string
	server *server
	log    *os.File
	before look
	alive  int // goroutines of a server that nobody uses any more
	figure []string
}

// Run carries out the day. The error says why that was not possible, not what was wrong with the chat.
func (d Day) Run(ctx context.Context) (Verdict, error) {
	log, err := os.Create(filepath.Join(d.Dir, "chat.log"))
	if err != nil {
		return Verdict{}, err
	}
	defer log.Close()
	addr, err := freeAddr()
	if err != nil {
		return Verdict{}, err
	}
	f := &faults{}
	r := &run{Day: d, begun: time.Now(), faults: f, crowd: newCrowd(ctx, addr, f, d.Seed), log: log}
	for i := range d.Rooms {
		r.rooms = append(r.rooms, fmt.Sprintf("room-%d", i+1))
	}
	defer func() {
		r.crowd.leave()
		r.crowd.lives.Wait()
		if r.server != nil {
			r.server.kill()
		}
	}()
	for _, part := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"the day before", r.dayBefore},
		{"they come", r.come},
		{"they talk", r.talk},
		{"storms", r.storms},
		{"the server is stopped", r.stop},
		{"trouble", r.trouble},
		{"a restart", r.restart},
		{"one big room", r.bigRoom},
		{"they leave", r.leave},
		{"the night", r.night},
	} {
		err := part.do(ctx)
		if errors.Is(err, errUnsettled) {
			fmt.Fprintf(r.Out, "%5.1fs  %-22s it does not come to rest: the day ends here\n", time.Since(r.begun).Seconds(), part.name)
			break
		}
		if err != nil {
			return Verdict{}, fmt.Errorf("%s: %w", part.name, err)
		}
		c := r.crowd.counts()
		fmt.Fprintf(r.Out, "%5.1fs  %-22s %s\n", time.Since(r.begun).Seconds(), part.name, r.line(c))
	}
	sayings := r.crowd.ledger.audit()
	c := r.crowd.counts()
	r.note("%d sayings, shown %d times; %d times news of people and rooms", sayings, c.shown, c.news)
	if c.refused > 0 {
		r.note("%d sayings were refused as too fast", c.refused)
	}
	for why, n := range r.crowd.mistakes {
		r.note("%d hellos and joins were refused, and tried again: %s", n, why)
	}
	return Verdict{f.broken(), r.figure}, nil
}

func (r *run) note(format string, args ...any) {
	r.figure = append(r.figure, fmt.Sprintf(format, args...))
}

func (r *run) line(c counts) string {
	l := fmt.Sprintf("%d pages, %d shown, %d news", len(r.crowd.pages), c.shown, c.news)
	if r.server == nil {
		return l
	}
	if x, err := r.server.look(); err == nil {
		l += fmt.Sprintf("; the server: %.1f MB, %d descriptors", float64(x.rss)/1e6, x.descriptors)
	}
	return l
}

func (r *run) start() (err error) {
	r.server, err = start(r.Bin, r.crowd.addr, r.Back, r.log)
	if err == nil {
		r.crowd.ledger.start()
	}
	return err
}
