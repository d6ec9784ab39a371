//go:build !troupe_nosyscalls

package notify

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

type nobody struct{ _ int } // of some size, so that each has an address of its own

func (*nobody) Wake(Event) {}

// TestDescriptors_fired gives events of ended generations, which happens only
// when an event has been taken from the kernel and is not handled yet.
func TestDescriptors_fired(t *testing.T) {
	d := descriptors{epoll: new(epoll)}
	e := d.epoll
	sl := &e.slots
	number := sl.take()
	event := func(generation uint32) syscall.EpollEvent {
		return syscall.EpollEvent{Fd: int32(number), Pad: int32(generation)}
	}
	first, second, third := new(nobody), new(nobody), new(nobody)

	old := sl.arm(number, first, Readable)
	sl.disarm(number)
	if w := d.fired(e, event(old), Readable); w != nil {
		t.Errorf("after Disarm: got %v, want nil", w)
	}
	disarmed := sl.arm(number, second, Readable)
	if w := d.fired(e, event(old), Readable); w != nil {
		t.Errorf("of an arming that was taken back: got %v, want nil", w)
	}
	if w := d.fired(new(epoll), event(disarmed), Readable); w != nil {
		t.Errorf("of another epoll: got %v, want nil", w)
	}
	if w := d.fired(e, event(disarmed), Readable); w != Waker(second) {
		t.Errorf("of this arming: got %v, want its Waker", w)
	}
	if w := d.fired(e, event(disarmed), Readable); w != nil {
		t.Errorf("a second time: got %v, want nil", w)
	}
	hung := sl.arm(number, third, Gone)
	if w := d.fired(e, event(hung), HalfClosed); w != nil {
		t.Errorf("of a half close, armed for a reset: got %v, want nil", w)
	}
	if w := d.fired(e, event(hung), Gone); w != Waker(third) {
		t.Errorf("of a reset after it: got %v, want its Waker", w)
	}
	last := sl.arm(number, second, Readable)
	sl.give(number)
	if again := sl.take(); again != number {
		t.Fatalf("got slot %d, want the one that was given back, %d", again, number)
	}
	sl.arm(number, third, Readable)
	for _, gone := range []uint32{old, disarmed, last} { // of a chunk that was made anew
		if w := d.fired(e, event(gone), Readable); w != nil {
			t.Errorf("generation %d, of a connection that is gone: got %v, want nil", gone, w)
		}
	}
	sl.disarm(number)
	last = sl.arm(number, second, Readable)
	sl.give(number)
	if w := d.fired(e, event(last), Readable); w != nil {
		t.Errorf("of a connection that is gone, with its chunk: got %v, want nil", w)
	}
}

func TestSlots_areAsManyAsAreLive(t *testing.T) {
	const most = 3*chunkSize - 1
	var s slots
	seen := make(map[uint32]bool)
	var taken []uint32
	for range 5 {
		for len(taken) < most {
			number := s.take()
			if number == 0 || seen[number] {
				t.Fatalf("slot %d is taken twice or 0", number)
			}
			seen[number] = true
			taken = append(taken, number)
		}
		if s.live != most || len(s.chunks) != 3 {
			t.Fatalf("%d live slots in %d chunks, want %d in 3", s.live, len(s.chunks), most)
		}
		for _, number := range taken {
			s.give(number)
			delete(seen, number)
		}
		taken = taken[:0]
		if s.live != 0 {
			t.Fatalf("%d live slots, want 0", s.live)
		}
	}
}

// TestSlots_giveMemoryBack: of a peak, and of the turmoil after it, nothing stays that is worth mentioning.
func TestSlots_giveMemoryBack(t *testing.T) {
	const peak, stay = 100_000, 700
	rnd := rand.New(rand.NewPCG(1, 2))
	var s slots
	taken := make([]uint32, peak)
	for i := range taken {
		taken[i] = s.take()
	}
	rnd.Shuffle(peak, func(i, j int) { taken[i], taken[j] = taken[j], taken[i] })
	for _, number := range taken[stay:] {
		s.give(number)
	}
	chunks := func() (n int) {
		for _, c := range s.chunks {
			if c != nil {
				n++
			}
		}
		return n
	}
	if n := chunks(); n > stay {
		t.Errorf("%d of %d stay: %d chunks, want at most one for each", stay, peak, n)
	}
	taken = taken[:stay]
	for range 20 * stay { // they come and go
		i := rnd.IntN(stay)
		s.give(taken[i])
		taken[i] = s.take()
	}
	if n, want := chunks(), 2*stay/chunkSize; n > want {
		t.Errorf("%d of %d stay, and all but a few have come since: %d chunks, want at most %d", stay, peak, n, want)
	}
	seen := make(map[uint32]bool)
	for _, number := range taken {
		if number == 0 || seen[number] {
			t.Fatalf("slot %d is taken twice or 0", number)
		}
		seen[number] = true
	}
	if s.live != stay || len(s.chunks) > peak/chunkSize+1 {
		t.Errorf("%d live slots in a table of %d chunks, want %d in at most %d", s.live, len(s.chunks), stay, peak/chunkSize+1)
	}
}

func TestSlots_size(t *testing.T) {
	if got := unsafe.Sizeof(chunk{}); got > 512 {
		t.Errorf("a chunk has %d bytes; more than 512 are 576 on the heap", got)
	}
}

func TestDescriptors_giveSlotsBack(t *testing.T) {
	c, peer := loopback(t)
	var d descriptors
	var keep, p registration
	if err := d.arm(&keep, peer, new(nobody), Readable); err != nil {
		t.Fatal(err)
	}
	for range 2 * chunkSize {
		if err := d.arm(&p, c, new(nobody), Readable); err != nil {
			t.Fatal(err)
		}
		d.release(&p)
	}
	if s := &d.epoll.slots; len(s.chunks) != 1 || s.live != 1 {
		t.Errorf("%d chunks and %d live slots for one connection, want 1 and 1", len(s.chunks), s.live)
	}
	d.release(&keep)
	d.wait()
	if d.epoll != nil {
		t.Error("epoll is kept after the last release")
	}
}

// TestEpoll_firesOnceForEachArming looks at the events themselves: the
// exactness of Wake does not need it, but what fires on would keep a processor busy.
func TestEpoll_firesOnceForEachArming(t *testing.T) {
	c, peer := loopback(t)
	e, err := newEpoll()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.file.Close() }()
	if _, err := peer.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	p := registration{slot: 1}
	events := make([]syscall.EpollEvent, 2)
	for generation := range uint32(3) {
		if err := e.watch(&p, c, generation, Readable); err != nil {
			t.Fatal(err)
		}
		if err := e.raw.Read(func(fd uintptr) bool { return pending(int(fd), events) == 1 }); err != nil {
			t.Fatal(err)
		}
		if events[0].Fd != 1 || events[0].Pad != int32(generation) {
			t.Errorf("event of slot %d, generation %d, want 1 and %d", events[0].Fd, events[0].Pad, generation)
		}
		if n := pending(e.fd, events); n != 0 {
			t.Errorf("%d events before the next arming, want 0", n)
		}
	}
}

// TestEpoll_hangUpsFireOnce: neither bytes, nor a half close that is known, nor the orderly end of both directions fire
// on, which would keep a processor busy. The kernel tells of the reset all the same.
func TestEpoll_hangUpsFireOnce(t *testing.T) {
	c, peer := loopback(t)
	e, err := newEpoll()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.file.Close() }()
	p := registration{slot: 1}
	events := make([]syscall.EpollEvent, 2)
	watch := func(want Event) {
		t.Helper()
		if err := e.watch(&p, c, 7, want); err != nil {
			t.Fatal(err)
		}
		if p.slot != 1 || !p.added {
			t.Errorf("armed for %v: got %+v, want the same slot, in the set", want, p)
		}
	}
	fires := func(when string, want Event) {
		t.Helper()
		_ = e.file.SetReadDeadline(time.Now().Add(20 * time.Second)) // a test that fails does not hang
		if err := e.raw.Read(func(fd uintptr) bool { return pending(int(fd), events) == 1 }); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		if got := happened(events[0].Events); got != want {
			t.Errorf("%s: got %v (flags %#x), want %v", when, got, events[0].Events, want)
		}
	}
	silent := func(when string) {
		t.Helper()
		if n := pending(e.fd, events); n != 0 {
			t.Errorf("%s: %d events, want 0", when, n)
		}
	}
	if _, err := peer.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	watch(Readable)
	fires("bytes", Readable)
	watch(HalfClosed)
	silent("bytes, armed for a half close")
	if err := peer.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	fires("half close", HalfClosed)
	silent("half close, told")
	watch(Gone)
	silent("half close, armed for a reset")
	watch(HalfClosed)
	fires("half close, armed for it again", HalfClosed)
	watch(Gone)
	if err := peer.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	_ = peer.Close()
	fires("reset", Gone)
	silent("reset, told")
	watch(Readable)
	fires("reset, armed for bytes", Gone)
	if n, err := c.Read(make([]byte, 2)); n != 1 {
		t.Errorf("read after the reset: got %d bytes, %v, want 1", n, err) // as Linux does it
	}
}

// loopback returns both ends of a TCP connection: epoll watches only what the
// kernel has.
func loopback(t *testing.T) (c, peer net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	peer, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = peer.Close() })
	c, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, peer
}

// moving is a connection whose descriptor becomes another one.
type moving struct {
	net.Conn
	fd int
}

func (m *moving) Control(f func(fd uintptr)) error {
	f(uintptr(m.fd))
	return nil
}

// move gives it another number.
func (m *moving) move(t *testing.T) {
	t.Helper()
	fd, err := syscall.Dup(m.fd)
	if err != nil {
		t.Fatal(err)
	}
	syscall.Close(m.fd)
	m.fd = fd
}

// TestNotifier_Leave: a connection is watched by the number that it has, and the set holds no other one.
func TestNotifier_Leave(t *testing.T) {
	c, peer := loopback(t)
	m := &moving{Conn: c}
	if err := control(c, func(fd uintptr) { m.fd, _ = syscall.Dup(int(fd)) }); err != nil {
		t.Fatal(err)
	}
	defer func() { syscall.Close(m.fd) }()
	if !Supported(m) {
		t.Fatal("not supported")
	}
	var n Notifier
	var s Sleeper
	for range 20 {
		w := make(chan Event, 1)
		if _, err := n.Arm(&s, m, told(w), Readable); err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(peer, "x")
		<-w
		c.Read(make([]byte, 1))
		n.Leave(&s, m)
		n.Leave(&s, m) // it is out already
		m.move(t)
	}
	if _, err := n.Arm(&s, m, told(nil), Readable); err != nil {
		t.Fatal(err)
	}
	info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", n.descriptors.epoll.fd))
	if got := strings.Count(string(info), "tfd:"); err != nil || got != 1 {
		t.Errorf("the set holds %d descriptors, %v; want 1:\n%s", got, err, info)
	}
	n.Disarm(&s, m)
	n.Release(&s, m)
	n.Wait()
}

type told chan Event

func (c told) Wake(what Event) { c <- what }
