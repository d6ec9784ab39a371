package day

import (
	"context"
	"sync"
	"time"
)

// come has all people connect. One in ten has five tabs, one in ten is slow.
func (r *run) come(context.Context) error {
	gap := r.Hour / time.Duration(r.People)
	for i := range r.People {
		tabs := 1
		if i%10 == 3 {
			tabs = 5
		}
		r.crowd.person(i, tabs, i%10 == 7, r.rooms)
		time.Sleep(gap)
	}
	return r.crowd.settle("when all had come", r.Limit)
}

func (r *run) talk(context.Context) error {
	r.talkFor(r.Hour)
	// Some go to another room, and find what was said there.
	r.crowd.tell(r.crowd.some(0.2), func(*page) order { return order{what: enter, room: r.rooms[r.crowd.rand.IntN(len(r.rooms))]} })
	r.talkFor(r.Hour / 2)
	return r.crowd.settle("after they had talked", r.Limit)
}

func (r *run) talkFor(d time.Duration) {
	r.crowd.pace.Store(int64(r.Pace))
	time.Sleep(d)
}

// storms has half of the people lose their connection in one moment, in all ways, and come back within two seconds. Some
// come back before the server has seen them go.
func (r *run) storms(context.Context) error {
	for range r.Storms {
		r.storm(0.5)
		r.talkFor(r.Hour / 3)
	}
	return r.crowd.settle("after the storms", r.Limit)
}

func (r *run) storm(part float64) {
	r.crowd.tell(r.crowd.some(part), func(*page) order {
		if r.crowd.rand.IntN(8) == 0 {
			return order{what: reopen}
		}
		return order{what: ways[r.crowd.rand.IntN(len(ways))], away: time.Duration(r.crowd.rand.Int64N(int64(2 * time.Second)))}
	})
}

// stop stops the process as a whole, in the middle of the talk, and lets it go on.
func (r *run) stop(context.Context) error {
	r.talkFor(r.Hour / 3)
	if err := r.server.pause(r.Stop); err != nil {
		return err
	}
	r.talkFor(r.Hour / 3)
	return r.crowd.settle("after the stop", r.Limit)
}

// trouble is people who read slowly or not at all, and programs that send garbage, while the others talk.
func (r *run) trouble(ctx context.Context) error {
	r.crowd.slow.Store(true)
	r.crowd.pace.Store(int64(r.Pace))
	var busy sync.WaitGroup
	var silent []*conn
	for i := range 1 + r.People/50 {
		if c, err := deaf(ctx, r.crowd.addr, r.rooms[i%len(r.rooms)], i); err == nil {
			silent = append(silent, c)
		} else {
			r.faults.add(NobodyRefused, "a client that is going to be deaf: %v", err)
		}
	}
	end := time.Now().Add(r.Hour)
	for _, n := range nuisances() {
		busy.Go(func() {
			for first := true; first || time.Now().Before(end) && ctx.Err() == nil; first = false {
				if err := n.do(ctx, r.crowd.addr); err != nil && ctx.Err() == nil {
					r.faults.add(GarbageAnswered, "%s: %v", n.name, err)
				}
				time.Sleep(r.Hour / 10)
			}
		})
	}
	busy.Wait()
	time.Sleep(time.Until(end))
	for _, c := range silent {
		c.end(true)
	}
	r.crowd.slow.Store(false)
	if err := r.crowd.settle("after the trouble", r.Limit); err != nil {
		return err
	}
	r.note("%d slow pages were given up by the server, as it may", r.crowd.slowEnded.Load())
	return nil
}

// restart ends the server as a deploy does, while all talk, and starts it again.
func (r *run) restart(context.Context) error {
	r.talkFor(r.Hour / 3)
	r.crowd.mayClose.Store(true)
	took, err := r.server.terminate(r.Limit)
	if err != nil {
		r.faults.add(RestartOrderly, "%v", err)
	}
	r.checkLog()
	if err := r.start(); err != nil {
		return err
	}
	began := time.Now()
	r.crowd.arrived(r.Limit)
	if err := r.crowd.settle("after the restart", r.Limit); err != nil {
		return err
	}
	r.crowd.mayClose.Store(false)
	r.note("the restart: ended in %v; %d pages were told when to come back; %d upgrades were refused meanwhile; all were back %v after the start",
		took.Round(time.Millisecond), r.crowd.told.Load(), r.crowd.draining.Load(), time.Since(began).Round(time.Millisecond))
	return nil
}

// bigRoom has all meet in one room, and all leave and come back at once.
func (r *run) bigRoom(context.Context) error {
	r.crowd.tell(r.crowd.pages, func(*page) order { return order{what: enter, room: theBig} })
	if err := r.crowd.settle("when all had met in one room", r.Limit); err != nil {
		return err
	}
	pace := r.Pace
	// A history of 200 must cover a storm, and the clients must keep up with what they are all shown.
	pages := time.Duration(len(r.crowd.pages))
	r.Pace = max(pace, pages*time.Second/60, pages*pages*time.Second/20_000)
	defer func() { r.Pace = pace }()
	r.talkFor(r.Hour)
	for range r.Storms {
		r.storm(1)
		r.talkFor(r.Hour / 2)
	}
	return r.crowd.settle("in the big room", r.Limit)
}
