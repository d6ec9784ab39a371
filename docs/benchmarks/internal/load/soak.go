package load

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Soak is the workload in which clients do all they can do, for a long time: they connect, join the group, send bursts, are
// silent, leave and join again, and go, politely or not, and come back.
type Soak struct {
	Clients   int           // half of them with compression
	Plain     bool          // none of them
	Burst     int           // most messages of one burst
	Silence   time.Duration // longest silence between bursts; most are much shorter
	Largest   int           // message in bytes; most are much smaller
	MostSteps int           // bursts and silences of one connection
}

// Counts is what the clients of a soak have done so far.
type Counts struct {
	Echoes, Deliveries, Connects, Closes, Resets, HalfCloses, Rejoins atomic.Uint64

	mu       sync.Mutex
	failures []string
	failed   uint64
}

// Failures returns how often the server did something wrong, and the first of it.
func (c *Counts) Failures() (uint64, []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed, append([]string(nil), c.failures...)
}

func (c *Counts) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed++; len(c.failures) < 20 {
		c.failures = append(c.failures, err.Error())
	}
}

// Run drives the server until quit is closed, and returns when all clients have left. A client that found something
// wrong counts it and begins anew.
func (s Soak) Run(t Target, quit <-chan struct{}, counts *Counts) {
	var clients sync.WaitGroup
	for i := range s.Clients {
		clients.Go(func() {
			one := t
			one.Deflate = i%2 == 1 && !s.Plain
			r := rand.New(rand.NewPCG(uint64(i), uint64(time.Now().UnixNano())))
			for !over(quit) {
				if err := s.life(one, r, quit, counts); err != nil {
					counts.fail(fmt.Errorf("client %d, compression %t: %w", i, one.Deflate, err))
					pause(quit, time.Second)
				}
				pause(quit, time.Duration(r.Int64N(int64(s.Silence))))
			}
		})
	}
	clients.Wait()
}

func over(quit <-chan struct{}) bool {
	select {
	case <-quit:
		return true
	default:
		return false
	}
}

func pause(quit <-chan struct{}, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-quit:
	case <-timer.C:
	}
}

// life is one connection.
func (s Soak) life(t Target, r *rand.Rand, quit <-chan struct{}, counts *Counts) error {
	k, err := talk(t, counts)
	if err != nil {
		return err
	}
	defer k.end()
	counts.Connects.Add(1)
	if err := k.join(); err != nil {
		return err
	}
	for range 1 + r.IntN(s.MostSteps) {
		if over(quit) {
			break
		}
		if err := k.burst(s.sizes(r)); err != nil {
			return err
		}
		if r.IntN(4) == 0 { // else the next burst comes on top of this one
			if err := k.echoed(); err != nil {
				return err
			}
		}
		if r.IntN(8) == 0 {
			counts.Rejoins.Add(1)
			if err := k.leave(); err != nil {
				return err
			}
			if err := k.join(); err != nil {
				return err
			}
		}
		if r.IntN(2) == 0 {
			// From next to nothing to the longest: the moment of falling asleep is to be met, too.
			pause(quit, time.Duration(r.Int64N(1+r.Int64N(int64(s.Silence)))))
		}
	}
	switch way := r.IntN(10); {
	case over(quit) || way < 6:
		counts.Closes.Add(1)
		return k.close()
	case way < 8:
		counts.Resets.Add(1)
		return k.reset(s.sizes(r))
	default:
		counts.HalfCloses.Add(1)
		return k.halfClose(s.sizes(r))
	}
}

// sizes are those of the messages of a burst.
func (s Soak) sizes(r *rand.Rand) []int {
	sizes := make([]int, 1+r.IntN(s.Burst))
	for i := range sizes {
		sizes[i] = 8 + r.IntN(512)
		if r.IntN(50) == 0 {
			sizes[i] = 8 + r.IntN(s.Largest)
		}
	}
	return sizes
}
