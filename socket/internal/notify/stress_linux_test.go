//go:build !troupe_nosyscalls

package notify_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/notify"
)

// sleeper is a connection as a socket uses it: a lock of its own serializes
// its calls, and Wake takes it.
type sleeper struct {
	n  *notify.Notifier
	tr transport

	mu    sync.Mutex
	place notify.Sleeper
	c     net.Conn
	wakes []*wake
}

// wake is one Arm and what must come of it.
type wake struct {
	s     *sleeper
	event atomic.Bool // something has come, or is coming
	calls atomic.Int32
	early atomic.Bool // called before something came
	want  outcome
	done  chan struct{}
}

// outcome is how often Wake must have been called in the end.
type outcome string

const (
	once   outcome = "once"         // it is armed and an event comes
	never  outcome = "never"        // Disarm was in time, or it was not armed
	atMost outcome = "at most once" // released, perhaps after the call has begun
)

func (w *wake) Wake(notify.Event) {
	if !w.event.Load() {
		w.early.Store(true)
	}
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if w.calls.Add(1) == 1 {
		close(w.done)
	}
}

// arm reports whether w is armed, not readable already.
func (s *sleeper) arm(t *testing.T, w *wake) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wakes = append(s.wakes, w)
	already, err := s.n.Arm(&s.place, s.c, w, notify.Readable)
	if err != nil {
		t.Errorf("Arm: %v", err)
	}
	return already == 0
}

func (s *sleeper) disarm() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n.Disarm(&s.place, s.c)
}

func (s *sleeper) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n.Release(&s.place, s.c)
}

func (w *wake) wait(t *testing.T) {
	select {
	case <-w.done:
	case <-time.After(30 * time.Second):
		t.Error("a wake was lost")
	}
}

// life is that of one connection. Lives are short, so that descriptors are
// used again.
func (s *sleeper) life(t *testing.T, rnd *rand.Rand) {
	c, peer := s.tr.dial(t)
	s.c = c
	var wg sync.WaitGroup
	defer func() {
		s.release() // while the peer may be at work
		_ = c.Close()
		wg.Wait()
		_ = peer.Close()
	}()
	for range rnd.IntN(8) {
		w := &wake{s: s, want: once, done: make(chan struct{})}
		event, when, then := rnd.IntN(6), rnd.IntN(3), rnd.IntN(6)
		act := func() {
			w.event.Store(true)
			switch event {
			case 0, 1, 2:
				_, _ = peer.Write([]byte("data"))
			case 3:
				_ = peer.CloseWrite()
			case 4:
				_ = peer.Close()
			case 5:
				s.tr.reset(c, peer)
			}
		}
		switch when {
		case 0: // before Arm
			act()
		case 1: // during Arm
			wg.Go(act)
		}
		armed := s.arm(t, w)
		if when == 2 && then > 2 { // after Arm
			wg.Go(act)
		}
		switch {
		case !armed:
			w.want = never
		case then == 0 || then == 4:
			if s.disarm() {
				w.want = never
			} else {
				w.wait(t)
			}
		case then == 1 || then == 5:
			w.want = atMost
			return
		case when == 2 && then == 2:
			wg.Go(act)
			w.wait(t)
		default:
			w.wait(t)
		}
		if event > 2 {
			return
		}
		wg.Wait()
		if w.event.Load() {
			if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
				t.Errorf("read: %v", err)
				return
			}
		}
	}
}

// check looks at what came of every Arm. It is called when nothing can come any
// more.
func (s *sleeper) check(t *testing.T) (calls int) {
	for _, w := range s.wakes {
		n := int(w.calls.Load())
		calls += n
		if n > 1 || n == 1 && w.want == never || n == 0 && w.want == once {
			t.Errorf("%d calls of Wake, want it %s", n, w.want)
		}
		if w.early.Load() {
			t.Error("Wake was called before anything came")
		}
	}
	return calls
}

// stressFor is how long each stress takes: 0.3 s, or 2 s with TROUPE_STRESS=1.
func stressFor() time.Duration {
	if os.Getenv("TROUPE_STRESS") != "" {
		return 2 * time.Second
	}
	return 300 * time.Millisecond
}

// oneAtATime dials one connection at a time, so that both ends belong together.
func oneAtATime(tr transport) transport {
	var dialling sync.Mutex
	locked := tr
	locked.dial = func(t testing.TB) (c, peer halfCloser) {
		dialling.Lock()
		defer dialling.Unlock()
		return tr.dial(t)
	}
	return locked
}

func TestNotifier_stress(t *testing.T) {
	const conns = 40
	for _, tr := range transports(t) {
		t.Run(tr.name, func(t *testing.T) {
			var n notify.Notifier
			var wg sync.WaitGroup
			var lives atomic.Int64
			until := time.Now().Add(stressFor())
			locked := oneAtATime(tr)
			sleepers := make([]*sleeper, conns)
			for i := range sleepers {
				s := &sleeper{n: &n, tr: locked}
				sleepers[i] = s
				wg.Go(func() {
					rnd := rand.New(rand.NewPCG(uint64(i), 3))
					for time.Now().Before(until) && !t.Failed() {
						s.life(t, rnd)
						lives.Add(1)
					}
				})
			}
			wg.Wait()
			n.Wait()
			arms, calls := 0, 0
			for _, s := range sleepers {
				arms += len(s.wakes)
				calls += s.check(t)
			}
			t.Logf("%d connections, %d times armed, %d wakes", lives.Load(), arms, calls)
			if lives.Load() < conns || calls == 0 {
				t.Errorf("%d connections and %d wakes: nothing was tested", lives.Load(), calls)
			}
		})
	}
}

// TestNotifier_manyAtOnce fires more than fit in one batch.
func TestNotifier_manyAtOnce(t *testing.T) {
	const conns = 1500
	tr := transports(t)[1] // unix: no ports
	var n notify.Notifier
	f := &flag{c: make(chan notify.Event, conns+1)}
	type end struct {
		s       notify.Sleeper
		c, peer halfCloser
	}
	ends := make([]end, conns)
	for i := range ends {
		e := &ends[i]
		e.c, e.peer = tr.dial(t)
	}
	for round := range 3 {
		for i := range ends {
			mustArm(t, &n, &ends[i].s, ends[i].c, f, notify.Readable)
		}
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := g; i < conns; i += 4 {
					_, _ = ends[i].peer.Write([]byte("x"))
				}
			})
		}
		wg.Wait()
		for range conns {
			f.want(t)
		}
		for i := range ends {
			if n, err := ends[i].c.Read(make([]byte, 2)); n != 1 || err != nil {
				t.Errorf("round %d: read %d bytes, %v, want 1", round, n, err)
			}
		}
	}
	for i := range ends {
		n.Release(&ends[i].s, ends[i].c)
		_, _ = ends[i].c.Close(), ends[i].peer.Close()
	}
	n.Wait()
	f.none(t)
}

// TestNotifier_descriptorOfAnother closes a connection that is armed, which
// only a careless caller does, and opens another one with the same descriptor: the
// one must not be woken for the other.
func TestNotifier_descriptorOfAnother(t *testing.T) {
	tr := transports(t)[1]
	var n notify.Notifier
	wrong, right := newFlag(), newFlag()
	var keep, first, second notify.Sleeper
	k, kpeer := tr.dial(t)
	if _, err := n.Arm(&keep, k, newFlag(), notify.Readable); err != nil { // so that epoll stays
		t.Fatal(err)
	}
	c, peer := tr.dial(t)
	if _, err := n.Arm(&first, c, wrong, notify.Readable); err != nil {
		t.Fatal(err)
	}
	fd := descriptor(t, c)
	n.Release(&first, c)
	_, _ = c.Close(), peer.Close()
	c, peer = tr.dial(t)
	if got, other := descriptor(t, c), descriptor(t, peer); got != fd && other != fd {
		t.Logf("descriptors %d and %d, not %d again", got, other, fd)
	}
	if _, err := n.Arm(&second, c, right, notify.Readable); err != nil {
		t.Fatal(err)
	}
	_ = peer.Close()
	right.want(t)
	wrong.none(t)
	n.Release(&second, c)
	n.Release(&keep, k)
	_, _, _ = c.Close(), k.Close(), kpeer.Close()
	n.Wait()
}

func descriptor(t *testing.T, c net.Conn) (fd uintptr) {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err == nil {
		err = raw.Control(func(f uintptr) { fd = f })
	}
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func TestNotifier_noDescriptorForEpoll(t *testing.T) {
	tr := transports(t)[0]
	var n notify.Notifier
	var s notify.Sleeper
	c, peer := tr.dial(t)
	files := exhaust(t)
	already, err := n.Arm(&s, c, newFlag(), notify.Readable)
	for _, f := range files {
		_ = f.Close()
	}
	if already != 0 || !errors.Is(err, syscall.EMFILE) {
		t.Errorf("Arm without a descriptor left: got %v, %v, want EMFILE", already, err)
	}
	f := newFlag()
	if already, err := n.Arm(&s, c, f, notify.Readable); already != 0 || err != nil {
		t.Errorf("Arm when there are descriptors again: got %v, %v, want armed", already, err)
	}
	_ = peer.Close()
	f.want(t)
	n.Release(&s, c)
	_ = c.Close()
	n.Wait()
}

// exhaust opens files until no descriptor is left. The limit is lowered before, until
// the end of the test.
func exhaust(t *testing.T) (files []*os.File) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	low := limit
	low.Cur = min(limit.Cur, 256)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
	})
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			return files
		}
		files = append(files, f)
	}
}
