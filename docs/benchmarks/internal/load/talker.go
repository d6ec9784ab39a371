package load

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/frame"
)

// A talker is one connection of a soak. One goroutine reads it and checks all that comes, another one sends.
type talker struct {
	conn     *net.TCPConn
	in       *bufio.Reader
	deflate  bool
	patience time.Duration
	counts   *Counts
	reader   sync.WaitGroup
	changed  chan struct{} // a token: something has come
	writing  sync.Mutex

	// The sender's.
	sent uint64

	mu       sync.Mutex
	err      error // why reading has ended
	ended    bool  // reading has
	echoes   uint64
	group    numbers
	goodbyes int  // 1: our Close is sent, and its echo is to come; 2: it has come
	leaving  bool // without a goodbye: the connection may end in any way
}

// talk connects and begins to read.
func talk(t Target, counts *Counts) (*talker, error) {
	c, err := net.DialTimeout("tcp", t.Addr, t.patience())
	if err != nil {
		return nil, err
	}
	k := &talker{
		conn: c.(*net.TCPConn), in: bufio.NewReaderSize(c, 16<<10), deflate: t.Deflate, patience: t.patience(), counts: counts,
		changed: make(chan struct{}, 1),
	}
	if err := k.handshake(t); err != nil {
		c.Close()
		return nil, err
	}
	k.reader.Go(k.read)
	return k, nil
}

func (k *talker) handshake(t Target) error {
	k.conn.SetDeadline(time.Now().Add(k.patience))
	defer k.conn.SetDeadline(time.Time{})
	if _, err := k.conn.Write(t.handshake()); err != nil {
		return err
	}
	var response []byte
	for !bytes.HasSuffix(response, []byte("\r\n\r\n")) {
		line, err := k.in.ReadBytes('\n')
		if err != nil {
			return fmt.Errorf("load: handshake: %q, then %w", response, err)
		}
		response = append(response, line...)
	}
	return t.accepted(response)
}

// end closes the connection, and waits for the reader.
func (k *talker) end() {
	k.conn.Close()
	k.reader.Wait()
}

// write sends whole frames.
func (k *talker) write(b []byte) error {
	k.writing.Lock()
	defer k.writing.Unlock()
	k.conn.SetWriteDeadline(time.Now().Add(k.patience))
	if _, err := k.conn.Write(b); err != nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		return errors.Join(err, k.err) // which says more, if it is there
	}
	return nil
}

// await waits until what says true, under k.mu.
func (k *talker) await(name string, what func() bool) error {
	timer := time.NewTimer(k.patience)
	defer timer.Stop()
	for {
		k.mu.Lock()
		ok, ended, err := what(), k.ended, k.err
		k.mu.Unlock()
		switch {
		case err != nil:
			return err
		case ok:
			return nil
		case ended:
			return fmt.Errorf("load: the connection ended before %s", name)
		}
		select {
		case <-k.changed:
		case <-timer.C:
			k.mu.Lock()
			defer k.mu.Unlock()
			return fmt.Errorf("load: waited %v for %s: %d of %d echoes are there, and broadcasts up to %d (%+v)",
				k.patience, name, k.echoes, k.sent, k.group.last, k.group)
		}
	}
}

func (k *talker) join() error {
	k.mu.Lock()
	k.group.join()
	k.mu.Unlock()
	if err := k.write(frame.Append(nil, frame.Text, []byte("join"))); err != nil {
		return err
	}
	return k.await("the answer to join", func() bool { return k.group.state == numbersIn })
}

func (k *talker) leave() error {
	if err := k.write(frame.Append(nil, frame.Text, []byte("leave"))); err != nil {
		return err
	}
	return k.await("the answer to leave", func() bool { return k.group.state == numbersOut })
}

// burst sends messages of these sizes in one write.
func (k *talker) burst(sizes []int) error { return k.write(k.messages(sizes)) }

func (k *talker) messages(sizes []int) (b []byte) {
	for _, size := range sizes {
		payload := pattern(size)
		binary.LittleEndian.PutUint64(payload, k.sent)
		k.sent++
		if k.deflate && size >= 512 {
			at := len(b)
			b = frame.Append(b, frame.Binary, frame.Deflate(payload))
			b[at] |= 0x40
		} else {
			b = frame.Append(b, frame.Binary, payload)
		}
	}
	return b
}

func (k *talker) echoed() error {
	return k.await("all echoes", func() bool { return k.echoes == k.sent })
}

// close leaves in order: nothing may be missing.
func (k *talker) close() error {
	if err := k.echoed(); err != nil {
		return err
	}
	if err := k.leave(); err != nil {
		return err
	}
	k.mu.Lock()
	k.goodbyes = 1
	k.mu.Unlock()
	if err := k.write(goodbye); err != nil {
		return err
	}
	return k.await("the end after Close", func() bool { return k.goodbyes == 2 && k.ended })
}

// reset goes in the middle of a burst, and the server learns of it by an RST.
func (k *talker) reset(sizes []int) error {
	k.mu.Lock()
	k.leaving = true
	k.mu.Unlock()
	err := k.burst(sizes)
	k.conn.SetLinger(0)
	return err
}

// halfClose sends FIN in the middle of a frame after a burst; the server has to end the connection.
func (k *talker) halfClose(sizes []int) error {
	k.mu.Lock()
	k.leaving = true
	k.mu.Unlock()
	b := k.messages(sizes)
	if err := k.write(b[:len(b)-1]); err != nil {
		return err
	}
	if err := k.conn.CloseWrite(); err != nil {
		return err
	}
	return k.await("the end after FIN", func() bool { return k.ended })
}

func (k *talker) read() {
	var whole []byte
	for {
		err := k.frame(&whole)
		k.mu.Lock()
		if err != nil {
			k.ended = true
			var op *net.OpError
			lost := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &op)
			if !(lost && (k.leaving || k.goodbyes == 2)) && !errors.Is(err, net.ErrClosed) {
				k.err = err
			}
		}
		k.mu.Unlock()
		select {
		case k.changed <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// frame reads and checks one frame. The server sends each message in one.
func (k *talker) frame(payload *[]byte) error {
	b, err := k.in.Peek(2)
	if err != nil {
		return err
	}
	h, err := frame.Parse(b)
	if errors.Is(err, frame.ErrShort) {
		if b, err = k.in.Peek(h.Size); err != nil {
			return err
		}
		h, err = frame.Parse(b)
	}
	if err != nil {
		return err
	}
	k.in.Discard(h.Size)
	if cap(*payload) < h.Length {
		*payload = make([]byte, h.Length)
	}
	p := (*payload)[:h.Length]
	if _, err := io.ReadFull(k.in, p); err != nil {
		return err
	}
	if h.Opcode == frame.Ping {
		if err := k.write(frame.Append(nil, frame.Pong, p)); err != nil {
			return err
		}
		return nil
	}
	if h.Deflated {
		if p, err = frame.Inflate(p); err != nil {
			return fmt.Errorf("load: inflate: %w", err)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case h.Opcode == frame.Close && k.goodbyes == 1:
		if !bytes.Equal(p, []byte{0x03, 0xE8}) {
			return fmt.Errorf("load: got a Close of %x, want 1000", p)
		}
		k.goodbyes = 2
		return nil
	case k.goodbyes == 2:
		return fmt.Errorf("load: opcode %#x after Close", h.Opcode)
	case h.Opcode == frame.Close && k.leaving:
		return nil
	case !h.Fin || h.Deflated && !k.deflate:
		return fmt.Errorf("load: opcode %#x, fin %t, compressed %t", h.Opcode, h.Fin, h.Deflated)
	case h.Opcode == frame.Binary:
		return k.echo(p)
	case h.Opcode == frame.Text:
		return k.text(string(p))
	}
	return fmt.Errorf("load: opcode %#x that nobody asked for: %q", h.Opcode, p)
}

func (k *talker) echo(p []byte) error {
	if len(p) < 8 {
		return fmt.Errorf("load: echo of %d bytes", len(p))
	}
	if got := binary.LittleEndian.Uint64(p); got != k.echoes {
		return fmt.Errorf("load: got the echo of message %d, want %d", got, k.echoes)
	}
	if !bytes.Equal(p[8:], pattern(len(p))[8:]) {
		return fmt.Errorf("load: the echo of message %d has other bytes", k.echoes)
	}
	k.echoes++
	k.counts.Echoes.Add(1)
	return nil
}

func (k *talker) text(s string) error {
	var a uint64
	switch {
	case strings.HasPrefix(s, "#"):
		if _, err := fmt.Sscanf(s[:min(len(s), 24)], "#%d ", &a); err != nil {
			return fmt.Errorf("load: %.40q: %w", s, err)
		}
		k.counts.Deliveries.Add(1)
		return k.group.got(a)
	case strings.HasPrefix(s, "joined "):
		if _, err := fmt.Sscanf(s, "joined %d", &a); err != nil {
			return fmt.Errorf("load: %.40q: %w", s, err)
		}
		return k.group.joined(a)
	case s == "left":
		return k.group.left()
	}
	return fmt.Errorf("load: nobody asked for %.40q", s)
}
