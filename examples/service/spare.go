package main

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
)

// spares is how many connections the probes' listener takes when the process has no descriptor left.
const spares = 8

// sparing is a listener that keeps some descriptors in reserve. When the process has no more, Accept gives one of them
// up for the connection, which gives it back at its end. So a probe is answered however many clients have come.
// Otherwise the orchestrator would get no answer, take the process for dead, and kill it with all its sockets.
type sparing struct {
	net.Listener

	mu    sync.Mutex
	files []*os.File
}

func newSparing(l net.Listener) *sparing {
	s := &sparing{Listener: l}
	s.save()
	return s
}

func (s *sparing) Accept() (net.Conn, error) {
	for {
		c, err := s.Listener.Accept()
		if err == nil {
			return &spareConn{Conn: c, listener: s}, nil
		}
		if !errors.Is(err, syscall.EMFILE) || !s.spend() {
			return nil, err
		}
	}
}

// Close closes the listener and gives its descriptors back.
func (s *sparing) Close() error {
	err := s.Listener.Close()
	for s.spend() {
	}
	return err
}

// save refills the reserve, as far as descriptors are free.
func (s *sparing) save() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.files) < spares {
		f, err := os.Open(os.DevNull)
		if err != nil {
			return
		}
		s.files = append(s.files, f)
	}
}

// spend frees a descriptor.
func (s *sparing) spend() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.files) == 0 {
		return false
	}
	last := len(s.files) - 1
	s.files[last].Close()
	s.files = s.files[:last]
	return true
}

type spareConn struct {
	net.Conn
	listener *sparing
	once     sync.Once
}

func (c *spareConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.listener.save)
	return err
}
