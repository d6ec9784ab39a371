package load

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/frame"
)

// Rooms is the workload in which the members of each room say something in turn, the next when all have what the one before
// has said.
type Rooms struct {
	Rooms int
	Each  int // members of a room
	Size  int // of a message, at least 8
	Warm  time.Duration
	For   time.Duration
}

// A talkingRoom is one of them. Its members are connections in a row.
type talkingRoom struct {
	number uint64 // of the message on its way
	got    int    // members that have it
	begun  time.Time
}

// Run drives the server and checks that each member gets each message of its room once, in order, with its bytes, and
// none of another one. Latency is from sending to the arrival, for each delivery.
func (r Rooms) Run(t Target) (Sample, error) {
	l, err := newLoop(t, r.Size)
	if err != nil {
		return Sample{}, err
	}
	defer l.close()
	d := &roomsRun{Rooms: r, loop: l, rooms: make([]talkingRoom, r.Rooms), payload: pattern(r.Size), latency: &Histogram{}}
	l.handle = d.receive
	err = t.dialEach(l, r.Rooms*r.Each, func(i int) []byte { return t.request("/ws?room=" + strconv.Itoa(i/r.Each)) })
	if err != nil {
		return Sample{}, err
	}
	encoded := frame.Append(nil, frame.Binary, d.payload)
	for _, c := range l.conns {
		c.frame = bytes.Clone(encoded)
	}
	if err := d.join(); err != nil {
		return Sample{}, err
	}
	for i := range d.rooms {
		d.say(i)
	}
	if err := d.run(r.Warm); err != nil {
		return Sample{}, err
	}
	w, err := openWindow(t)
	if err != nil {
		return Sample{}, err
	}
	before := d.deliveries
	*d.latency = Histogram{}
	if err := d.run(r.For); err != nil {
		return Sample{}, err
	}
	s, err := w.shut(d.deliveries - before)
	latency := *d.latency
	s.Latency = &latency
	return s, errors.Join(err, d.finish())
}

type roomsRun struct {
	Rooms
	loop       *loop
	rooms      []talkingRoom
	payload    []byte
	joined     bool // all members of all rooms are in
	in         int  // rooms of which that is known
	over       bool // nobody says anything more
	silent     int  // rooms in which all is said, then
	deliveries uint64
	latency    *Histogram
}

// join has each room say something until one message has reached all members: servers put a connection into its room
// after the handshake.
func (d *roomsRun) join() error {
	for end := time.Now().Add(d.loop.patience); d.in < len(d.rooms); {
		if time.Now().After(end) {
			return fmt.Errorf("load: only %d of %d rooms are complete", d.in, len(d.rooms))
		}
		for i := range d.rooms {
			if d.rooms[i].got < d.Each {
				d.say(i)
			}
		}
		for busy := true; busy && d.in < len(d.rooms); {
			var err error
			if busy, err = d.loop.wait(100 * time.Millisecond); err != nil {
				return err
			}
		}
	}
	d.joined = true
	for _, c := range d.loop.conns {
		c.got = d.rooms[c.index/d.Each].number
	}
	return nil
}

// say has the next member of a room say the next message.
func (d *roomsRun) say(i int) {
	room := &d.rooms[i]
	room.number++
	room.got, room.begun = 0, time.Now()
	c := d.loop.conns[i*d.Each+int(room.number%uint64(d.Each))]
	c.number(d.sign(i, room.number), d.Size)
	c.out = append(c.out, c.frame...)
	if err := d.loop.flush(c); err != nil {
		d.loop.failed = err
	}
}

// sign is different for each message of each room.
func (*roomsRun) sign(room int, number uint64) uint64 { return uint64(room)<<40 | number }

func (d *roomsRun) receive(c *conn, m message) error {
	if m.opcode != frame.Binary || m.deflated || len(m.data) != d.Size || !bytes.Equal(m.data[8:], d.payload[8:]) {
		return fmt.Errorf("load: a message is not the one sent: opcode %#x, %d bytes", m.opcode, len(m.data))
	}
	i := c.index / d.Each
	room := &d.rooms[i]
	got := binary.LittleEndian.Uint64(m.data)
	if !d.joined {
		if got == d.sign(i, room.number) && c.got < room.number {
			c.got = room.number
			if room.got++; room.got == d.Each {
				d.in++
			}
		}
		return nil // or one of those before
	}
	if c.got++; got != d.sign(i, c.got) || c.got != room.number {
		return fmt.Errorf("load: in room %d message %#x came as number %d", i, got, c.got)
	}
	d.deliveries++
	d.latency.Record(time.Since(room.begun))
	if room.got++; room.got == d.Each {
		if d.over {
			d.silent++
		} else {
			d.say(i)
		}
	}
	return nil
}

// finish waits for what is on its way in each room.
func (d *roomsRun) finish() error {
	for d.over = true; d.silent < len(d.rooms); {
		if ok, err := d.loop.wait(d.loop.patience); err != nil || !ok {
			return fmt.Errorf("%d of %d rooms are not silent: %w", len(d.rooms)-d.silent, len(d.rooms), d.loop.silent(err))
		}
	}
	return nil
}

// run goes on for so long, and until there is something to measure.
func (d *roomsRun) run(long time.Duration) error {
	end := time.Now().Add(long)
	for start := d.deliveries; time.Now().Before(end) || d.deliveries == start; {
		if ok, err := d.loop.wait(d.loop.patience); err != nil || !ok {
			return d.loop.silent(err)
		}
	}
	return nil
}
