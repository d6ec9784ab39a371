package promsocket_test

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Opcodes of RFC 6455.
const (
	opText  = 1
	opClose = 8
	opPing  = 9
	opPong  = 10
)

// frames are how many frames of an opcode there were, and the bytes of their payload.
type frames struct{ n, bytes int }

// books are what a client has counted. It counts a frame when it is sent, or all of it is read.
type books struct {
	mu        sync.Mutex
	sent, got map[byte]frames
}

func newBooks() *books { return &books{sent: map[byte]frames{}, got: map[byte]frames{}} }

func (b *books) note(in map[byte]frames, op byte, payload []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := in[op]
	in[op] = frames{f.n + 1, f.bytes + len(payload)}
}

// of is one opcode, or with 0 all of them.
func of(in map[byte]frames, op byte) (all frames) {
	for o, f := range in {
		if op == 0 || o == op {
			all.n += f.n
			all.bytes += f.bytes
		}
	}
	return all
}

// person is a client of examples/chat, written by hand: it sees each frame, and answers pings and Close frames. Its messages must be
// shorter than 64 KiB.
type person struct {
	c     net.Conn
	books *books
	wmu   sync.Mutex // for a frame: two goroutines write
	left  atomic.Bool
	over  chan error // gets how the connection has ended, once
	heard chan string
}

// dial connects, without compression. A person that nobody listens to hears at most so many messages of chat.
func dial(addr, origin string, b *books, messages int) (*person, error) {
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(5 * patience)) // of the whole test
	fmt.Fprintf(c, "GET /ws HTTP/1.1\r\nHost: %s\r\nOrigin: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", addr, origin)
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err == nil && resp.StatusCode != http.StatusSwitchingProtocols {
		err = fmt.Errorf("the answer is %s", resp.Status)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	p := &person{c: c, books: b, over: make(chan error, 1), heard: make(chan string, messages)}
	go func() {
		err := p.read(r)
		c.Close()
		close(p.heard)
		p.over <- err
	}()
	return p, nil
}

// read reads until the server has ended the connection.
func (p *person) read(r io.Reader) error {
	for {
		op, payload, err := readFrame(r)
		if err != nil {
			return err
		}
		p.books.note(p.books.got, op, payload)
		switch op {
		case opPing:
			p.write(opPong, payload)
		case opClose:
			if !p.left.Load() {
				p.write(opClose, payload)
			}
		case opText:
			var m struct{ Type, Text string }
			if err := json.Unmarshal(payload, &m); err != nil {
				return err
			}
			if m.Type == "error" {
				return fmt.Errorf("the server says %s", payload)
			}
			if m.Type == "message" {
				p.heard <- m.Text
			}
		}
	}
}

func readFrame(r io.Reader) (op byte, payload []byte, err error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:2]); err != nil {
		return 0, nil, err
	}
	if head[0]&0xf0 != 0x80 || head[1] > 126 {
		return 0, nil, fmt.Errorf("a frame begins with % x", head[:2])
	}
	n := int(head[1])
	if n == 126 {
		if _, err := io.ReadFull(r, head[2:]); err != nil {
			return 0, nil, err
		}
		n = int(binary.BigEndian.Uint16(head[2:]))
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(r, payload)
	return head[0] & 0xf, payload, err
}

// write writes a frame, with a mask of zeros. What has ended meanwhile is not counted.
func (p *person) write(op byte, payload []byte) error {
	b := []byte{0x80 | op, 0x80 | byte(len(payload))}
	if len(payload) > 125 {
		b = binary.BigEndian.AppendUint16([]byte{0x80 | op, 0x80 | 126}, uint16(len(payload)))
	}
	b = append(append(b, 0, 0, 0, 0), payload...)
	p.wmu.Lock()
	defer p.wmu.Unlock()
	_, err := p.c.Write(b)
	if err == nil {
		p.books.note(p.books.sent, op, payload)
	}
	return err
}

// ask sends a request of the chat.
func (p *person) ask(fields map[string]string) error {
	b, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	return p.write(opText, b)
}

// enter says who it is, and goes into a room. The key is the person's, and is the secret of the page, too.
func (p *person) enter(name, room string) error {
	key := strings.Repeat(name, 16/len(name)+1)
	if err := p.ask(map[string]string{"type": "hello", "name": name, "key": key, "session": key}); err != nil {
		return err
	}
	return p.ask(map[string]string{"type": "join", "room": room})
}

// leave closes as RFC 6455 asks it to, with a code.
func (p *person) leave(code uint16) error {
	p.left.Store(true)
	return p.write(opClose, binary.BigEndian.AppendUint16(nil, code))
}
