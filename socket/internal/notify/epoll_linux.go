//go:build !troupe_nosyscalls

package notify

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// batch is how many events one epoll_wait takes.
const batch = 128

// descriptors watches connections with a descriptor.
type descriptors struct {
	mu      sync.Mutex
	epoll   *epoll // nil while no connection is registered
	running sync.WaitGroup
}

// registration is what a connection has here.
type registration struct {
	slot  uint32 // 0: not registered
	added bool   // the descriptor is in the epoll set
}

// epoll is an epoll instance and the connections that are registered in it. It
// exists while there are any. A connection that is armed again and again stays
// registered, so that arming it takes one EPOLL_CTL_MOD.
type epoll struct {
	file  *os.File // watched by Go's poller
	raw   syscall.RawConn
	fd    int // of file; valid while a connection is registered
	slots slots
}

func hasDescriptor(conn net.Conn) bool {
	switch conn.(type) {
	case *net.TCPConn, *net.UnixConn, lender:
		return true
	}
	return false
}

func (d *descriptors) arm(p *registration, conn net.Conn, w Waker, want Event) error {
	if !hasDescriptor(conn) {
		return ErrUnsupported
	}
	e, generation, err := d.enter(p, w, want)
	if err != nil {
		return err
	}
	// From here on p is registered, so that e is not closed. Arming comes last: when
	// it has happened already the event comes at once and finds the Waker.
	if err := e.watch(p, conn, generation, want); err != nil {
		d.release(p)
		return fmt.Errorf("notify: watch a connection: %w", err)
	}
	return nil
}

// enter registers p and begins its next generation.
func (d *descriptors) enter(p *registration, w Waker, want Event) (e *epoll, generation uint32, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.epoll == nil {
		e, err := newEpoll()
		if err != nil {
			return nil, 0, err
		}
		d.epoll = e
		d.running.Go(func() { d.run(e) })
	}
	if p.slot == 0 {
		p.slot = d.epoll.slots.take()
	}
	return d.epoll, d.epoll.slots.arm(p.slot, w, want), nil
}

func (d *descriptors) disarm(p *registration) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	// The kernel goes on watching. Its event, if it comes before the next Arm, is of
	// an ended generation: that is cheaper than a system call.
	return p.slot != 0 && d.epoll.slots.disarm(p.slot) != nil
}

// forget takes the descriptor out of the set. Closed without that it would stay there, since the connection goes on.
func (d *descriptors) forget(p *registration, conn net.Conn) {
	l, ok := conn.(lender) // no other changes its descriptor
	if !ok || !p.added {
		return
	}
	p.added = false
	d.mu.Lock()
	e := d.epoll // stays, since p has its slot
	d.mu.Unlock()
	l.Control(func(fd uintptr) { //nolint:errcheck,gosec // closed: then it is out
		syscall.EpollCtl(e.fd, syscall.EPOLL_CTL_DEL, int(fd), nil) //nolint:errcheck,gosec // it is in there
	})
}

func (d *descriptors) release(p *registration) {
	if e := d.leave(p); e != nil {
		// Close waits until run is not in a read. So it is called without the mutex,
		// and run does not call Wakers inside a read.
		_ = e.file.Close() // the only error: closed before
	}
}

// leave frees p. It returns the epoll instance, if p was the last in it. The
// descriptor stays in the set: closing it takes it out, and the one event that
// may come before that is of an ended generation.
func (d *descriptors) leave(p *registration) (unused *epoll) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p.slot == 0 {
		return nil
	}
	e := d.epoll
	e.slots.give(p.slot)
	*p = registration{}
	if e.slots.live > 0 {
		return nil
	}
	d.epoll = nil
	return e
}

func (d *descriptors) wait() { d.running.Wait() }

// run waits for events until e is closed.
func (d *descriptors) run(e *epoll) {
	var events [batch]syscall.EpollEvent
	var n int
	// Go's poller watches e.file edge-triggered: it tells only of events that are new
	// after Read was called. So each Read looks first, and parks when there are none.
	take := func(fd uintptr) bool {
		n = pending(int(fd), events[:])
		return n > 0
	}
	for e.raw.Read(take) == nil { // the only error: e is closed
		for _, event := range events[:n] {
			what := happened(event.Events)
			if w := d.fired(e, event, what); w != nil {
				w.Wake(what)
			}
		}
	}
}

// fired ends the generation that the event belongs to and returns its Waker, or
// nil when that generation has ended before, or waits for more than this.
func (d *descriptors) fired(e *epoll, event syscall.EpollEvent, what Event) Waker {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.epoll != e {
		return nil
	}
	return e.slots.fired(uint32(event.Fd), uint32(event.Pad), what)
}

// newEpoll returns an epoll instance that Go's poller watches.
func newEpoll() (*epoll, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("notify: %w", os.NewSyscallError("epoll_create1", err))
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // tells os.NewFile to use the poller
		_ = syscall.Close(fd)
		return nil, fmt.Errorf("notify: %w", os.NewSyscallError("fcntl", err))
	}
	e := &epoll{file: os.NewFile(uintptr(fd), "epoll"), fd: fd}
	e.raw, err = e.file.SyscallConn()
	if err == nil {
		// Without the poller a read could not park. This is how it shows.
		err = e.file.SetReadDeadline(time.Time{})
	}
	if err != nil {
		_ = e.file.Close()
		return nil, fmt.Errorf("notify: watch epoll: %w", err)
	}
	return e, nil
}

// pending takes the events that are there, without waiting.
func pending(fd int, events []syscall.EpollEvent) int {
	for {
		n, err := syscall.EpollWait(fd, events, 0)
		switch {
		case err == nil:
			return n
		case !errors.Is(err, syscall.EINTR):
			// EBADF, EFAULT, EINVAL: fd is no epoll descriptor, which its RawConn excludes.
			panic(os.NewSyscallError("epoll_wait", err))
		}
	}
}

// watch arms the descriptor of conn.
func (e *epoll) watch(p *registration, conn net.Conn, generation uint32, want Event) error {
	event := syscall.EpollEvent{Events: flags(want), Fd: int32(p.slot), Pad: int32(generation)}
	var err, failed error
	if l, ok := conn.(lender); ok {
		failed, err = e.watchLent(l, p.added, event)
	} else {
		err = control(conn, func(fd uintptr) {
			failed = e.set(int(fd), p.added, &event)
		})
	}
	if err == nil {
		err = failed
	}
	p.added = err == nil
	return err
}

// watchLent is for a connection that lends its descriptor. It stands alone, since a function for an interface takes memory, which
// the others do without.
func (e *epoll) watchLent(l lender, added bool, event syscall.EpollEvent) (failed, err error) {
	err = l.Control(func(fd uintptr) { failed = e.set(int(fd), added, &event) })
	return failed, err
}

// set arms fd, which is probably in the set already if added.
func (e *epoll) set(fd int, added bool, event *syscall.EpollEvent) error {
	op, other, unless := syscall.EPOLL_CTL_ADD, syscall.EPOLL_CTL_MOD, syscall.EEXIST
	if added {
		op, other, unless = syscall.EPOLL_CTL_MOD, syscall.EPOLL_CTL_ADD, syscall.ENOENT
	}
	err := syscall.EpollCtl(e.fd, op, fd, event)
	if errors.Is(err, unless) {
		err = syscall.EpollCtl(e.fd, other, fd, event)
	}
	return os.NewSyscallError("epoll_ctl", err)
}

// control calls f with the descriptor of conn, which cannot be closed meanwhile.
func control(conn net.Conn, f func(fd uintptr)) error {
	var raw syscall.RawConn
	var err error
	switch c := conn.(type) {
	case *net.TCPConn:
		raw, err = c.SyscallConn()
	case *net.UnixConn:
		raw, err = c.SyscallConn()
	}
	if err != nil {
		return err
	}
	return raw.Control(f)
}
