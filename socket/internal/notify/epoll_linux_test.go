package notify

import (
	"net"
	"syscall"
	"testing"
)

type nobody struct{ _ int } // of some size, so that each has an address of its own

func (*nobody) Wake() {}

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

	old := sl.at(number).arm(first)
	sl.at(number).disarm()
	if w := d.fired(e, event(old)); w != nil {
		t.Errorf("after Disarm: got %v, want nil", w)
	}
	disarmed := sl.at(number).arm(second)
	if w := d.fired(e, event(old)); w != nil {
		t.Errorf("of an arming that was taken back: got %v, want nil", w)
	}
	if w := d.fired(new(epoll), event(disarmed)); w != nil {
		t.Errorf("of another epoll: got %v, want nil", w)
	}
	if w := d.fired(e, event(disarmed)); w != Waker(second) {
		t.Errorf("of this arming: got %v, want its Waker", w)
	}
	if w := d.fired(e, event(disarmed)); w != nil {
		t.Errorf("a second time: got %v, want nil", w)
	}
	last := sl.at(number).arm(second)
	sl.give(number)
	if again := sl.take(); again != number {
		t.Fatalf("got slot %d, want the one that was given back, %d", again, number)
	}
	sl.at(number).arm(third)
	if w := d.fired(e, event(last)); w != nil {
		t.Errorf("of a connection that is gone: got %v, want nil", w)
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

func TestDescriptors_giveSlotsBack(t *testing.T) {
	c, peer := loopback(t)
	var d descriptors
	var keep, p place
	if err := d.arm(&keep, peer, new(nobody)); err != nil {
		t.Fatal(err)
	}
	for range 2 * chunkSize {
		if err := d.arm(&p, c, new(nobody)); err != nil {
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
	p := place{slot: 1}
	events := make([]syscall.EpollEvent, 2)
	for generation := range uint32(3) {
		if err := e.watch(&p, c, generation); err != nil {
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
