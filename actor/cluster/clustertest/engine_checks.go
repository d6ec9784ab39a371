package clustertest

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

func (m *medium) oneNode() {
	a, b, c := m.join("x", 1), m.join("x", 2), m.join("x", 3)
	m.connect(a, b, c)
	a.publish(2, "to b")
	if got := a.settle(b, c); len(got) != 1 || got[0] != "to b" {
		m.Errorf(`at 2 arrived %q, want ["to b"]`, got)
	}
	c.publish(1, "to a")
	if got := c.settle(a, b); len(got) != 1 || got[0] != "to a" {
		m.Errorf(`at 1 arrived %q, want ["to a"]`, got)
	}
}

// allButItself: what is for all and what is for one may come on two ways, which need not keep an order between them.
func (m *medium) allButItself() {
	ps := []*place{m.join("x", 1), m.join("x", 2), m.join("x", 3)}
	m.connect(ps...)
	for i, from := range ps {
		text := fmt.Sprint("to all from ", from.self)
		from.publish(0, text)
		for j, to := range ps {
			if i == j {
				continue
			}
			got := append(to.arrives(1), from.settle(to)...)
			if len(got) != 1 || got[0] != text {
				m.Errorf("at %#x arrived %q, want what %#x published to all, once", to.self, got, from.self)
			}
		}
		if got := ps[(i+1)%len(ps)].settle(from); len(got) > 0 {
			m.Errorf("at %#x arrived %q, which it has published to all itself", from.self, got)
		}
	}
}

func (m *medium) allBits() {
	var ps []*place
	for _, self := range []uint64{1, 1 << 32, 1<<32 | 1, 1<<63 | 1, 1<<64 - 1} {
		ps = append(ps, m.join("x", self))
	}
	m.connect(ps...)
	from := ps[0]
	for _, to := range ps[1:] {
		from.publish(to.self, "to it")
		others := []*place{to}
		for _, p := range ps[1:] {
			if p != to {
				others = append(others, p)
			}
		}
		if got := from.settle(others...); len(got) != 1 {
			m.Errorf("at %#x arrived %q, want one datagram", to.self, got)
		}
	}
}

func (m *medium) apart() {
	a, b := m.join("x", 1), m.join("x", 2)
	otherA, otherB := m.join("y", 1), m.join("y", 2)
	m.connect(a, b)
	m.connect(otherA, otherB)
	a.publish(2, "to one")
	a.publish(0, "to all")
	b.arrives(2)
	if got := otherA.settle(otherB); len(got) > 0 {
		m.Errorf("at a node of another cluster arrived %q", got)
	}
	if got := otherB.settle(otherA); len(got) > 0 {
		m.Errorf("at a node of another cluster arrived %q", got)
	}
}

// notThere: an error is allowed, and no more.
func (m *medium) notThere() {
	a, b := m.join("x", 1), m.join("x", 2)
	m.connect(a, b)
	m.within("Publish to a node that is not there", func() {
		for range 1000 {
			_ = a.conn.Publish(99, []byte("to nobody"))
		}
	})
	a.publish(2, "to b")
	if got := a.settle(b); len(got) != 1 || got[0] != "to b" {
		m.Errorf("at 2 arrived %q after datagrams to a node that is not there", got)
	}
}

// pattern is n bytes that are not those of another n.
func pattern(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + n + i>>8)
	}
	return string(b)
}

func (m *medium) sizes() {
	a, b := m.join("x", 1), m.join("x", 2)
	m.connect(a, b)
	longest := a.conn.MaxDatagram()
	if longest < 4<<10 {
		m.Fatalf("MaxDatagram() = %d, want at least 4 KiB", longest)
	}
	for _, n := range []int{1, 2, 100, 1000, 1024, 4095, 4 << 10, 32 << 10, 64 << 10, longest - 1, longest} {
		if n > longest {
			continue
		}
		a.publish(2, pattern(n))
		got := b.arrives(1)
		if len(got) != 1 || got[0] != pattern(n) {
			m.Errorf("of a datagram of %d bytes arrived %d datagrams, or others of its length", n, len(got))
		}
	}
}

func (m *medium) tooLong() {
	a, b := m.join("x", 1), m.join("x", 2)
	m.connect(a, b)
	for _, to := range []uint64{2, 0} {
		if err := a.conn.Publish(to, make([]byte, a.conn.MaxDatagram()+1)); err == nil {
			m.Errorf("Publish to %d of a datagram longer than MaxDatagram %d returns no error", to, a.conn.MaxDatagram())
		}
	}
	a.publish(2, "the next one")
	if got := a.settle(b); len(got) != 1 || got[0] != "the next one" {
		m.Errorf("after a datagram that is too long arrived %d datagrams, want the next one alone", len(got))
	}
}

func (m *medium) notKept() {
	a, b := m.join("x", 1), m.join("x", 2)
	m.connect(a, b)
	buffer := make([]byte, 1000)
	for i := range 200 {
		for j := range buffer {
			buffer[j] = byte(i)
		}
		if err := a.conn.Publish(2, buffer); err != nil {
			m.Fatalf("Publish: %v", err)
		}
	}
	clear(buffer)
	for i, got := range a.settle(b) {
		if len(got) != len(buffer) {
			m.Fatalf("a datagram of %d bytes arrived, none was published", len(got))
		}
		for j := range got {
			if got[j] != got[0] || got[0] != byte(i) {
				m.Fatalf("datagram %d arrived with what was written into the buffer after Publish had returned", i)
			}
		}
	}
}

func (m *medium) validDuringRecv() {
	a, b := m.join("x", 1), m.join("x", 2)
	m.connect(a, b)
	var seen, changed atomic.Int64
	b.instead(func(p []byte) {
		for range 50 { // the engine goes on meanwhile
			runtime.Gosched()
		}
		if string(p) != pattern(len(p)) {
			changed.Add(1)
		}
		seen.Add(1)
	})
	for i := range 500 {
		a.publish(2, pattern(500+i))
	}
	end := time.Now().Add(m.patience)
	for seen.Load() < 490 && time.Now().Before(end) {
		time.Sleep(time.Millisecond)
	}
	if seen.Load() < 490 || changed.Load() > 0 {
		m.Errorf("of 500 datagrams %d arrived, and %d had changed when recv returned", seen.Load(), changed.Load())
	}
}

// numbered checks numbers that were published from 0 to n-1: all but a few in a hundred are there, once, in order.
func (m *medium) numbered(from string, numbers []int, n int) {
	m.Helper()
	seen := map[int]int{}
	highest, late, twice := -1, 0, 0
	for _, i := range numbers {
		if seen[i]++; seen[i] > 1 {
			twice++
			continue
		}
		if i < highest {
			late++
		}
		highest = max(highest, i)
	}
	if lost := n - len(seen); lost > n/50 || late > n/50 || twice > n/50 {
		m.Errorf("%s: of %d datagrams %d are lost, %d have come after later ones, %d more than once; while nothing is wrong few may", from, n, lost, late, twice)
	}
}

func (m *medium) order() {
	const n = 10_000
	a, b := m.join("x", 1), m.join("x", 2)
	m.connect(a, b)
	var numbers []int
	for i := range n {
		a.publish(2, fmt.Sprintf("%d %s", i, pattern(100)))
		if i%500 == 499 { // no more are on their way than any engine takes
			for _, d := range a.settle(b) {
				var number int
				if _, err := fmt.Sscan(d, &number); err != nil {
					m.Fatalf("%.40q arrived, which nobody has published", d)
				}
				numbers = append(numbers, number)
			}
		}
	}
	m.numbered("from one node to another", numbers, n)
}

func (m *medium) concurrent() {
	const rounds, n, writers = 10, 20, 8 // no more are on their way than any engine takes
	ps := []*place{m.join("x", 1), m.join("x", 2), m.join("x", 3)}
	m.connect(ps...)
	numbers := map[string][]int{}
	var failed atomic.Pointer[error]
	for round := range rounds {
		var wg sync.WaitGroup
		for _, from := range ps {
			for w := range writers {
				wg.Go(func() {
					for i := range n {
						for _, to := range ps {
							if to == from {
								continue
							}
							if err := from.conn.Publish(to.self, fmt.Appendf(nil, "%d %d %d", from.self, w, round*n+i)); err != nil {
								failed.Store(&err)
							}
						}
					}
				})
			}
		}
		m.within("Publish on many goroutines", wg.Wait)
		for _, to := range ps {
			var got []string
			for _, from := range ps {
				if from != to {
					got = append(got, from.settle(to)...)
				}
			}
			for _, d := range got {
				var node, w, i int
				if _, err := fmt.Sscan(d, &node, &w, &i); err != nil {
					m.Fatalf("%.40q arrived, which nobody has published", d)
				}
				who := fmt.Sprintf("from goroutine %d of node %d to node %d", w, node, to.self)
				numbers[who] = append(numbers[who], i)
			}
		}
	}
	if want := len(ps) * (len(ps) - 1) * writers; len(numbers) != want {
		m.Errorf("something arrived from %d writers, want %d", len(numbers), want)
	}
	for who, got := range numbers {
		m.numbered(who, got, rounds*n)
	}
	if err := failed.Load(); err != nil && m.Failed() {
		m.Errorf("the last error of Publish: %v", *err)
	}
}

// standsStill: B takes nothing. A publishes to B without end, and no call blocks; C gets what A publishes, memory is bounded,
// and B gets something again when it goes on.
func (m *medium) standsStill() {
	const flood, most = 256 << 20, 160 << 20 // bytes; an engine may keep 64 MiB at either end, and needs memory to do so
	a, b, c := m.join("x", 1), m.join("x", 2), m.join("x", 3)
	m.connect(a, b, c)
	entered, goOn := make(chan struct{}), make(chan struct{})
	enter := sync.OnceFunc(func() { close(entered) })
	resume := sync.OnceFunc(func() { close(goOn) })
	m.Cleanup(resume) // before Close, which waits for recv
	b.instead(func([]byte) { enter(); <-goOn })
	a.publish(2, "stand still")
	select {
	case <-entered:
	case <-time.After(m.patience):
		m.Fatal("a datagram does not arrive")
	}
	before := heap()
	datagram := make([]byte, 32<<10)
	m.within("Publish to a node that stands still", func() {
		for range flood / len(datagram) {
			_ = a.conn.Publish(2, datagram)
		}
	})
	if grown := heap() - before; grown > most {
		m.Errorf("of %d MiB for a node that stands still %d MiB are kept, want a bound", flood>>20, grown>>20)
	}
	a.publish(3, "to c")
	if !c.until(func() bool { return len(c.got) > 0 }, func() { a.publish(3, "to c") }) {
		m.Errorf("nothing arrives at one node while another stands still")
	}
	resume()
	var after atomic.Bool
	b.instead(func(p []byte) {
		if string(p) == "afterwards" {
			after.Store(true)
		}
	})
	say := func() { _ = a.conn.Publish(2, []byte("afterwards")) }
	if !b.until(after.Load, say) {
		m.Errorf("nothing arrives at a node that goes on")
	}
}

// heap is how many bytes are in use.
func heap() int {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}

func (m *medium) noRecvAfterClose() {
	a, c := m.join("x", 1), m.join("x", 2)
	m.connect(a, c)
	for round := range 10 {
		b := m.join("x", uint64(100+round))
		m.connect(a, b)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for _, to := range []uint64{b.self, 0} {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						_ = a.conn.Publish(to, []byte("flood"))
						runtime.Gosched()
					}
				}
			})
		}
		b.until(func() bool { return len(b.got) > 10 }, nil)
		b.close()
		for range 5 {
			time.Sleep(time.Millisecond) // a moment in which it could come; no less is right on a slow machine
			runtime.Gosched()
		}
		close(stop)
		wg.Wait()
		a.settle(c)
		if b.late.Load() {
			m.Fatalf("recv ran after Close had returned")
		}
	}
}

func (m *medium) closeWaits() {
	a, b := m.join("x", 1), m.join("x", 2)
	m.connect(a, b)
	entered, leave := make(chan struct{}), make(chan struct{})
	enter := sync.OnceFunc(func() { close(entered) })
	left := sync.OnceFunc(func() { close(leave) })
	m.Cleanup(left)
	b.instead(func([]byte) { enter(); <-leave })
	a.publish(2, "hold")
	m.within("the call of recv", func() { <-entered })
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = b.conn.Close()
		b.closed.Store(true)
	}()
	select {
	case <-closed:
		m.Error("Close has returned while recv runs")
	case <-time.After(100 * time.Millisecond): // longer than a Close that does not wait; no less is right on a slow machine
	}
	left()
	m.within("Close", func() { <-closed })
}

func (m *medium) afterClose() {
	a, b, c := m.join("x", 1), m.join("x", 2), m.join("x", 3)
	m.connect(a, b, c)
	b.close()
	m.within("Publish after Close", func() {
		for _, to := range []uint64{0, 1, 2} {
			if err := b.conn.Publish(to, []byte("from a node that has left")); err == nil {
				m.Errorf("Publish to %d after Close returns no error", to)
			}
		}
		for range 1000 {
			_ = a.conn.Publish(2, []byte("to a node that has left"))
		}
	})
	a.publish(3, "to c")
	if got := a.settle(c); len(got) != 1 || got[0] != "to c" {
		m.Errorf("after another node has left arrived %q, want one datagram", got)
	}
}

func (m *medium) openedAgain() {
	a := m.join("x", 1)
	for range 3 {
		b := m.join("x", 2)
		m.connect(a, b)
		for range 20 {
			a.publish(2, "to b")
			a.publish(0, "to all")
		}
		if got := a.settle(b); len(got) > 40 {
			m.Errorf("of 40 datagrams %d arrive at a node that was opened again", len(got))
		}
		b.close()
	}
}

// comeAndGo: a node that stays is not disturbed, and nothing is left of those that go.
func (m *medium) comeAndGo() {
	a, b := m.join("x", 1), m.join("x", 2)
	m.connect(a, b)
	round := func(self uint64) {
		guest := m.join("x", self)
		m.connect(a, guest)
		guest.publish(0, "a guest")
		guest.close()
	}
	round(100)
	before := runtime.NumGoroutine()
	const guests = 20
	for i := range guests {
		round(uint64(101 + i))
		if i%5 == 0 {
			a.publish(2, "to b")
		}
	}
	a.settle(b)
	if !b.until(func() bool { return runtime.NumGoroutine() < before+guests/2 }, nil) {
		m.Errorf("%d nodes have come and gone: %d goroutines, before %d", guests, runtime.NumGoroutine(), before)
	}
}
