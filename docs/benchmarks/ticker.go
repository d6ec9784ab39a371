package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/load"
	"github.com/troupe-dev/troupe/docs/benchmarks/internal/peer"
	"github.com/troupe-dev/troupe/docs/benchmarks/internal/report"
)

// ticker is a price each millisecond, and a client that reads a hundred a second.
type ticker struct {
	size, keys          int
	sendBuffer, receive int // of the server's kernel and the client's; 0: as they are
	window              time.Duration
}

func (t ticker) String() string {
	bytes := func(n int) string {
		if n < 1<<10 {
			return fmt.Sprint(n, " B")
		}
		return fmt.Sprint(n>>10, " KiB")
	}
	s := bytes(t.size) + ", no Delivery"
	if t.keys > 0 {
		s = bytes(t.size) + ", Key"
	}
	if t.sendBuffer > 0 {
		s += ", SendBuffer " + bytes(t.sendBuffer)
	}
	if t.receive > 0 {
		s += ", client's buffer " + bytes(t.receive)
	}
	return s
}

const readEvery = 10 * time.Millisecond

func (t ticker) run() (report.Values, error) {
	srv, err := startSlow(peer.SlowOptions{Size: t.size, Keys: t.keys, SendBuffer: t.sendBuffer, Every: time.Millisecond})
	if err != nil {
		return nil, err
	}
	defer srv.stop()
	r, err := srv.target().Reader(t.receive)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if err := errors.Join(srv.joined(1), srv.tell("tick")); err != nil {
		return nil, err
	}
	c := tickerClient{ticker: t, srv: srv, reader: r}
	lived, err := c.read()
	if err != nil {
		return nil, err
	}
	if err := srv.tell("halt"); err != nil {
		return nil, err
	}
	v := report.Values{}
	if lived > 0 {
		v[report.Lived] = lived.Seconds()
	} else {
		rest, bytes, err := readRest(srv, r, c.arrived)
		if err != nil {
			return nil, err
		}
		c.arrived += rest
		v[report.OnWay] = float64(bytes)
	}
	state, err := srv.state()
	if err != nil {
		return nil, err
	}
	milli := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
	v[report.AgeP50], v[report.AgeP99], v[report.AgeMax] = milli(c.ages.Quantile(0.5)), milli(c.ages.Quantile(0.99)), milli(c.oldest)
	v[report.Sent], v[report.Arrived], v[report.LeftOut] = float64(state.Sent), float64(c.arrived), float64(state.LeftOut)
	if t.keys > 0 && (state.Sockets != 1 || uint64(c.arrived)+state.LeftOut != state.Sent) {
		return v, fmt.Errorf("of %d prices %d have come, and %d are left out; %d sockets are open, want 1", state.Sent, c.arrived, state.LeftOut, state.Sockets)
	}
	return v, nil
}

// A tickerClient reads a hundred messages a second.
type tickerClient struct {
	ticker
	srv     *slowServer
	reader  *load.Reader
	ages    load.Histogram
	oldest  time.Duration
	arrived int
}

// read reads for the window, after four of it in which the buffers fill and what was in them first is read; without keys until the socket has ended, and returns when
// that was. What is in the kernels comes still, then.
func (c *tickerClient) read() (lived time.Duration, err error) {
	begun := time.Now()
	warm, end := begun.Add(4*c.window), begun.Add(5*c.window)
	if c.keys == 0 {
		warm, end = begun, begun.Add(time.Minute)
	}
	for next := begun; next.Before(end); c.arrived++ {
		next = next.Add(readEvery)
		time.Sleep(time.Until(next))
		if c.keys == 0 {
			if state, err := c.srv.state(); err != nil || state.Overloaded > 0 {
				return time.Since(begun), err
			}
		}
		seen, err := c.reader.Next(time.Now().Add(10 * time.Second))
		if closed, ok := errors.AsType[*load.ClosedError](err); ok && c.keys == 0 && closed.Code == 1013 {
			return time.Since(begun), nil
		}
		if err != nil {
			return 0, err
		}
		if time.Now().After(warm) {
			c.ages.Record(seen.Age)
			c.oldest = max(c.oldest, seen.Age)
		}
	}
	return 0, nil
}

// readRest reads what is on the way when no more is sent: until all that was sent has come or is left out.
func readRest(srv *slowServer, r *load.Reader, arrived int) (n, bytes int, err error) {
	if err := r.Unbounded(); err != nil {
		return 0, 0, err
	}
	for {
		state, err := srv.state()
		if err != nil || uint64(arrived+n)+state.LeftOut >= state.Sent {
			return n, bytes, err
		}
		for left := int(state.Sent-state.LeftOut) - arrived - n; left > 0; left-- {
			seen, err := r.Next(time.Now().Add(10 * time.Second))
			if err != nil {
				return n, bytes, fmt.Errorf("after %d of the rest: %w", n, err)
			}
			n++
			bytes += seen.Size
		}
	}
}
