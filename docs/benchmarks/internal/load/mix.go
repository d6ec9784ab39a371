package load

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/frame"
)

// Mix is the workload in which some of the connections talk, as in [Echo], while broadcasts go to all of them.
type Mix struct {
	Conns   int
	Talkers int
	Size    int           // of an echo and of a broadcast, at least 64
	Every   time.Duration // a broadcast, or later if the one before has not reached all
	Warm    time.Duration
	For     time.Duration
	Send    func([]byte) error // has the server broadcast
}

// Run drives the server and checks as [Echo.Run] and [Broadcast.Run] do. Count is that of echoes and deliveries; latency is
// that of the echoes.
func (m Mix) Run(t Target) (Sample, error) {
	l, err := newLoop(t, m.Size)
	if err != nil {
		return Sample{}, err
	}
	defer l.close()
	r := &round{Broadcast: Broadcast{Conns: m.Conns, Size: m.Size, Send: m.Send}, loop: l, target: t, latency: &Histogram{}}
	l.handle = r.receive
	if err := t.dial(l, m.Conns); err != nil {
		return Sample{}, err
	}
	if err := r.join(); err != nil {
		return Sample{}, err
	}
	// The last of them may still be on its way to connections that are counted by now.
	r.got = m.Conns
	d := &mixRun{Mix: m, loop: l, round: r, latency: &Histogram{}, seqs: make([]uint64, m.Talkers)}
	if err := d.start(); err != nil {
		return Sample{}, err
	}
	if err := d.run(m.Warm); err != nil {
		return Sample{}, err
	}
	w, err := openWindow(t)
	if err != nil {
		return Sample{}, err
	}
	echoes, cast := d.echoes, r.latency.Count()
	*d.latency = Histogram{}
	if err := d.run(m.For); err != nil {
		return Sample{}, err
	}
	s, err := w.shut(d.echoes - echoes + r.latency.Count() - cast)
	latency, all := *d.latency, *r.latency
	s.Latency, s.Cast = &latency, &all
	return s, errors.Join(err, d.finish())
}

type mixRun struct {
	Mix
	loop    *loop
	round   *round
	echo    Echo
	payload []byte
	seqs    []uint64 // answers of each talker
	next    time.Time
	echoes  uint64
	said    uint64
	over    bool // nobody says anything more
	latency *Histogram
}

func (d *mixRun) start() error {
	d.echo = Echo{InFlight: 1, Size: d.Size}
	d.payload = pattern(d.Size)
	encoded := frame.Append(nil, frame.Binary, d.payload)
	d.loop.handle = d.receive
	d.next = time.Now()
	for _, c := range d.loop.conns[:d.Talkers] {
		c.frame = bytes.Clone(encoded)
		c.sent = make([]time.Time, 1)
		d.say(c)
		if err := d.loop.flush(c); err != nil {
			return err
		}
	}
	return nil
}

func (d *mixRun) say(c *conn) {
	c.number(d.echo.sequence(c, c.seq), d.Size)
	c.out = append(c.out, c.frame...)
	c.sent[0] = time.Now()
	c.seq++
	d.said++
}

func (d *mixRun) receive(c *conn, m message) error {
	if m.opcode != frame.Binary {
		return d.round.receive(c, m)
	}
	if c.index >= d.Talkers {
		return fmt.Errorf("load: an echo came to one that has said nothing")
	}
	if err := d.echo.verify(c, d.seqs[c.index], m, d.payload); err != nil {
		return err
	}
	d.seqs[c.index]++
	d.echoes++
	d.latency.Record(time.Since(c.sent[0]))
	if !d.over {
		d.say(c)
	}
	return nil
}

// finish waits for what is on its way.
func (d *mixRun) finish() error {
	d.over = true
	for d.echoes < d.said || d.round.got < d.Conns {
		if ok, err := d.loop.wait(d.loop.patience); err != nil || !ok {
			return fmt.Errorf("broadcast %d reached %d of %d, and %d of %d echoes came: %w", d.round.number, d.round.got, d.Conns, d.echoes, d.said, d.loop.silent(err))
		}
	}
	return nil
}

// run goes on for so long, and until there is something to measure of both.
func (d *mixRun) run(long time.Duration) error {
	end := time.Now().Add(long)
	heard := time.Now()
	for echoes, cast := d.echoes, d.round.number; time.Now().Before(end) || d.echoes == echoes || d.round.number == cast; {
		if now := time.Now(); !now.Before(d.next) && d.round.got == d.Conns {
			d.next = now.Add(d.Every)
			if err := d.round.send(); err != nil {
				return err
			}
		}
		if d.round.got < d.Conns && time.Since(d.round.begun) > d.loop.patience {
			return fmt.Errorf("load: broadcast %d reached %d of %d", d.round.number, d.round.got, d.Conns)
		}
		ok, err := d.loop.wait(max(time.Until(d.next), time.Millisecond))
		if err != nil {
			return err
		}
		if ok {
			heard = d.loop.now
		} else if time.Since(heard) > d.loop.patience {
			return d.loop.silent(nil)
		}
	}
	return nil
}
