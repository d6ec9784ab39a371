//go:build !troupe_nosyscalls

package notify_test

import (
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/notify"
)

// paused is a connection that is not read, as a socket uses it: a lock of its own serializes its calls, and Wake takes
// it. It waits for the half close, then for the reset; now and then for bytes, of which it reads none.
type paused struct {
	n     *notify.Notifier
	c     net.Conn
	bytes bool // the peer sends some

	mu       sync.Mutex
	sleeper  notify.Sleeper
	want     notify.Event // what it waits for: the half close, then the reset, then nothing
	armed    notify.Event // what for; 0: it is not
	late     int          // wakes that Disarm came too late for, and which have not come yet
	released bool
	closed   atomic.Bool // the peer ends, or has ended, its direction
	reset    atomic.Bool // the peer resets, or has reset
	told     []notify.Event
	wrong    []string
	changed  chan struct{}
}

// Wake may be late, of an arming before this one. That shows in that it tells less than this one is for, or does no harm.
func (p *paused) Wake(what notify.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.released { // it had begun before
		return
	}
	if p.armed == 0 || what < p.armed {
		p.wasLate("armed for " + p.armed.String() + ", told " + what.String())
		return
	}
	if p.n.Disarm(&p.sleeper, p.c) {
		p.wasLate("told " + what.String() + " and armed still")
	}
	p.armed = 0
	p.happened(what)
	p.arm(p.want)
}

func (p *paused) wasLate(otherwise string) {
	if p.late--; p.late < 0 {
		p.wrong = append(p.wrong, otherwise)
	}
}

// happened takes what was told; p.mu is held.
func (p *paused) happened(what notify.Event) {
	switch {
	case what == notify.Readable && !p.bytes && !p.closed.Load(),
		what == notify.HalfClosed && !p.closed.Load(),
		what == notify.Gone && !p.reset.Load():
		p.wrong = append(p.wrong, "told of "+what.String()+" before it happened")
	}
	if what < p.want { // bytes, or the half close again
		return
	}
	p.want = what + 1
	p.told = append(p.told, what)
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// arm arms for an Event, if there is one; p.mu is held.
func (p *paused) arm(want notify.Event) {
	if want == 0 || want > notify.Gone {
		return
	}
	already, err := p.n.Arm(&p.sleeper, p.c, p, want)
	switch {
	case err != nil:
		p.wrong = append(p.wrong, "Arm: "+err.Error())
	case already == 0:
		p.armed = want
	default:
		p.happened(already)
		if want < p.want {
			p.arm(p.want)
		}
	}
}

// again takes an arming back and arms for something else.
func (p *paused) again(want func() notify.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.armed != 0 && !p.n.Disarm(&p.sleeper, p.c) {
		p.late++ // it waits for p.mu
	}
	p.armed = 0
	p.arm(want())
}

func (p *paused) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n.Release(&p.sleeper, p.c)
	p.released = true
}

// life is that of one connection whose peer leaves in one of the ways there are, while it is armed again and again.
func life(t *testing.T, n *notify.Notifier, tr transport, rnd *rand.Rand) {
	c, peer := tr.dial(t)
	halfCloses, resets, early := rnd.IntN(2) == 0, rnd.IntN(2) == 0, rnd.IntN(3) == 0
	steps, bytes := rnd.IntN(6), rnd.IntN(3)
	p := &paused{n: n, c: c, bytes: bytes > 0, want: notify.HalfClosed, changed: make(chan struct{}, 1)}
	leave := func() {
		for range bytes {
			_, _ = peer.Write([]byte("data"))
		}
		if halfCloses {
			p.closed.Store(true)
			_ = peer.CloseWrite()
		}
		if resets {
			p.closed.Store(true)
			p.reset.Store(true)
			tr.reset(c, peer)
		}
	}
	var wg sync.WaitGroup
	if early {
		leave()
	}
	wanted := func() notify.Event { return p.want }
	p.again(wanted)
	if !early {
		wg.Go(leave)
	}
	for range steps {
		p.again(func() notify.Event { return notify.Readable })
		for range rnd.IntN(3) {
			runtime.Gosched()
		}
		p.again(wanted)
	}
	wg.Wait()
	p.await(t, halfCloses, resets)
	p.release()
	_, _ = c.Close(), peer.Close()
	p.check(t, halfCloses, resets)
}

// await waits for what must be told.
func (p *paused) await(t *testing.T, halfCloses, resets bool) {
	timeout := time.After(30 * time.Second)
	for {
		p.mu.Lock()
		last := notify.Event(0)
		if len(p.told) > 0 {
			last = p.told[len(p.told)-1]
		}
		p.mu.Unlock()
		if !halfCloses && !resets || last == notify.Gone || last == notify.HalfClosed && !resets {
			return
		}
		select {
		case <-p.changed:
		case <-timeout:
			t.Errorf("a wake was lost: half close %v, reset %v, told %v", halfCloses, resets, p.told)
			return
		}
	}
}

func (p *paused) check(t *testing.T, halfCloses, resets bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.wrong) > 0 {
		t.Errorf("half close %v, reset %v: %v", halfCloses, resets, p.wrong)
	}
	counts := make(map[notify.Event]int)
	for _, what := range p.told {
		counts[what]++
	}
	if counts[notify.HalfClosed] > 1 || counts[notify.Gone] > 1 || len(p.told) > 2 {
		t.Errorf("half close %v, reset %v: told %v, want each once", halfCloses, resets, p.told)
	}
	if !halfCloses && !resets && len(p.told) > 0 {
		t.Errorf("a peer that stays: told %v, want nothing", p.told)
	}
}

// TestNotifier_hangUpStress runs for as long as TestNotifier_stress.
func TestNotifier_hangUpStress(t *testing.T) {
	for _, tr := range transports(t) {
		t.Run(tr.name, func(t *testing.T) {
			var n notify.Notifier
			var wg sync.WaitGroup
			var lives atomic.Int64
			until := time.Now().Add(stressFor())
			tr := oneAtATime(tr)
			for i := range 40 {
				wg.Go(func() {
					rnd := rand.New(rand.NewPCG(uint64(i), 9))
					for time.Now().Before(until) && !t.Failed() {
						life(t, &n, tr, rnd)
						lives.Add(1)
					}
				})
			}
			wg.Wait()
			n.Wait()
			t.Logf("%d connections", lives.Load())
			if lives.Load() < 40 {
				t.Errorf("%d connections: nothing was tested", lives.Load())
			}
		})
	}
}
