package observer

import (
	"context"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/socket"
)

// drains are what the Observer knows of drains beside what a Server says: who has begun one, and since when a server was not open.
type drains struct {
	mu      sync.Mutex
	running int
	rest    chan struct{}             // closed when running comes to 0; nil while nobody waits for that
	acts    map[*server]*actDrain     // the last one of each server
	down    map[*server]*downSighting // servers that were not open when somebody looked last
}

// actDrain is a drain that an act has asked for.
type actDrain struct {
	by    string
	begun bool                 // it has its turn; before, one of somebody else may run
	over  bool                 // it has ended, or has failed before it began
	last  socket.DrainProgress // its last step
	err   error
}

type downSighting struct {
	since   time.Time
	sockets int
}

type drainsJSON struct {
	At      time.Time     `json:"at"`
	Servers []drainedJSON `json:"servers"`
}

type drainedJSON struct {
	Name  string        `json:"name"`
	State string        `json:"state"`
	Error string        `json:"error"`
	Open  int           `json:"open"`
	Drain *progressJSON `json:"drain"`
	Down  *downJSON     `json:"down"`
}

type progressJSON struct {
	By      string  `json:"by"`
	Stage   string  `json:"stage"`
	Sockets int     `json:"sockets"`
	Closed  int     `json:"closed"`
	Left    int     `json:"left"`
	Killed  int     `json:"killed"`
	Elapsed float64 `json:"elapsed_ms"`
	Error   string  `json:"error"`
}

type downJSON struct {
	Since   time.Time `json:"since"`
	Sockets int       `json:"sockets"`
	Left    int       `json:"left"`
}

func (o *Observer) drainNow() (any, error) {
	v := drainsJSON{At: time.Now(), Servers: []drainedJSON{}}
	for _, s := range o.servers {
		state, err := s.state()
		d := drainedJSON{Name: s.name, State: state, Error: errorText(err), Open: s.Count()}
		o.drains.mu.Lock()
		if state == "open" || state == "full" {
			delete(o.drains.down, s)
		} else if o.drains.down[s] == nil {
			o.drains.down[s] = &downSighting{v.At, d.Open}
		}
		if seen := o.drains.down[s]; seen != nil {
			d.Down = &downJSON{seen.since, seen.sockets, d.Open}
		}
		d.Drain = o.drains.progress(s)
		o.drains.mu.Unlock()
		v.Servers = append(v.Servers, d)
	}
	return v, nil
}

// progress is how far the drain of a server is that runs, or how the last one has ended; nil: there was none. The numbers are the
// server's; who has begun it is known of those of acts. ds.mu is held.
func (ds *drains) progress(s *server) *progressJSON {
	p, runs := s.Draining()
	a := ds.acts[s]
	failed := a != nil && a.over && !a.begun
	if !runs && p.Stage != socket.DrainDone && !failed {
		return nil
	}
	v := &progressJSON{Stage: p.Stage.String(), Sockets: p.Sockets, Closed: p.Closed, Left: p.Left, Killed: p.Killed, Elapsed: ms(p.Elapsed)}
	// When it is over, others may have come after it: the last step, with its time, tells them apart.
	if a != nil && (a.begun && !a.over || !runs && (failed || a.last == p)) {
		v.By, v.Error = a.by, errorText(a.err)
	}
	return v
}

// begin drains servers by d, each on a goroutine of its own, which ends when the drain has: that is bounded by d. false: one of
// them is being drained by an act.
func (o *Observer) begin(servers []*server, by string) bool {
	o.drains.mu.Lock()
	defer o.drains.mu.Unlock()
	for _, s := range servers {
		if a := o.drains.acts[s]; a != nil && !a.over {
			return false
		}
	}
	for _, s := range servers {
		a := &actDrain{by: by}
		o.drains.acts[s] = a
		o.drains.running++
		go o.drain(s, a)
	}
	return true
}

func (o *Observer) drain(s *server, a *actDrain) {
	d := o.cfg.Drain
	d.OnProgress = func(p socket.DrainProgress) {
		o.drains.mu.Lock()
		a.begun, a.last = true, p
		o.drains.mu.Unlock()
		if f := o.cfg.Drain.OnProgress; f != nil {
			f(p)
		}
	}
	err := s.Drain(context.Background(), d)
	if err != nil {
		o.log.Error("a drain that was asked for by the observer", "server", s.name, "error", err)
	}
	o.drains.mu.Lock()
	defer o.drains.mu.Unlock()
	a.over, a.err = true, err
	o.drains.running--
	if o.drains.running == 0 && o.drains.rest != nil {
		close(o.drains.rest)
		o.drains.rest = nil
	}
}

// wait waits until no drain of an act runs.
func (d *drains) wait(ctx context.Context) error {
	d.mu.Lock()
	if d.running == 0 {
		d.mu.Unlock()
		return nil
	}
	if d.rest == nil {
		d.rest = make(chan struct{})
	}
	rest := d.rest
	d.mu.Unlock()
	select {
	case <-rest:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
