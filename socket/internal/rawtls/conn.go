package rawtls

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
)

// Content types (RFC 8446 section 5.1).
const (
	Alert           = 21
	Handshake       = 22
	ApplicationData = 23
)

// Alerts (RFC 8446 section 6).
const (
	CloseNotify  = 0
	UserCanceled = 90
	BadRecordMAC = 20
)

const (
	newSessionTicket = 4  // a handshake message (RFC 8446 section 4.6.1)
	keyUpdate        = 24 // another one (section 4.6.3)

	mostInside = 16 << 10
	headerSize = 5
)

// Conn is the connection after the handshake. One goroutine may read while others write.
type Conn struct {
	net.Conn // the one below

	mu  sync.Mutex
	out *direction

	in   *direction
	read []byte // has been deciphered, and not been read
	err  error  // of reading; it stays
}

// Client does the handshake over raw. The server's certificate is not checked.
func Client(raw net.Conn) (*Conn, error) {
	var log bytes.Buffer
	exact := &exact{Conn: raw}
	c := tls.Client(exact, &tls.Config{
		InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, KeyLogWriter: &log, NextProtos: []string{"http/1.1"}, //nolint:gosec // for tests
	})
	if err := c.Handshake(); err != nil {
		return nil, err
	}
	suite := c.ConnectionState().CipherSuite
	conn := &Conn{Conn: raw}
	for line := range strings.Lines(log.String()) {
		f := strings.Fields(line) // label, random, secret
		var d **direction
		switch f[0] {
		case "CLIENT_TRAFFIC_SECRET_0":
			d = &conn.out
		case "SERVER_TRAFFIC_SECRET_0":
			d = &conn.in
		default:
			continue
		}
		secret, err := hex.DecodeString(f[2])
		if err == nil {
			*d, err = newDirection(suite, secret)
		}
		if err != nil {
			return nil, err
		}
	}
	return conn, nil
}

// exact is a connection of which no more is read at once than one record has: so crypto/tls has read nothing beyond the
// handshake when that is done.
type exact struct {
	net.Conn
	left int    // of the record
	head []byte // of the next one, as far as it has come
}

func (e *exact) Read(p []byte) (int, error) {
	if e.left == 0 {
		head := make([]byte, headerSize)
		if _, err := io.ReadFull(e.Conn, head); err != nil {
			return 0, err
		}
		e.left = headerSize + (int(head[3])<<8 | int(head[4]))
		e.head = head
	}
	p = p[:min(len(p), e.left)]
	var n int
	var err error
	if len(e.head) > 0 {
		n = copy(p, e.head)
		e.head = e.head[n:]
	} else {
		n, err = e.Conn.Read(p)
	}
	e.left -= n
	return n, err
}

// Seal makes a record. It must be sent before all that is sealed after it.
func (c *Conn) Seal(kind byte, content []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.seal(kind, content)
}

// KeyUpdate makes the record that says that all after it have another key, and whether the server's shall, too. With pieces,
// each byte of that message has a record.
func (c *Conn) KeyUpdate(request, pieces bool) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.keyUpdate(request, pieces)
}

func (c *Conn) keyUpdate(request, pieces bool) (records []byte) {
	message := []byte{keyUpdate, 0, 0, 1, 0}
	if request {
		message[4] = 1
	}
	size := len(message)
	if pieces {
		size = 1
	}
	for piece := range slices.Chunk(message, size) {
		records = append(records, c.out.seal(Handshake, piece)...)
	}
	c.out.update()
	return records
}

// SendKeyUpdate sends a key update, in order with what others write.
func (c *Conn) SendKeyUpdate(request, pieces bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.Conn.Write(c.keyUpdate(request, pieces))
	return err
}

// SendAlert sends an alert.
func (c *Conn) SendAlert(fatal bool, description byte) error {
	level := byte(1)
	if fatal {
		level = 2
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.Conn.Write(c.out.seal(Alert, []byte{level, description}))
	return err
}

// SendNothing sends a record without content.
func (c *Conn) SendNothing() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.Conn.Write(c.out.seal(ApplicationData, nil))
	return err
}

// Write sends p in records of at most 16 KiB, in one write.
func (c *Conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var records []byte
	for rest := p; len(rest) > 0; {
		n := min(len(rest), mostInside)
		records = append(records, c.out.seal(ApplicationData, rest[:n])...)
		rest = rest[n:]
	}
	if _, err := c.Conn.Write(records); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Read reads what the server has written. io.EOF: its close_notify has come; io.ErrUnexpectedEOF: TCP has ended without it.
func (c *Conn) Read(p []byte) (int, error) {
	for len(c.read) == 0 && c.err == nil {
		c.err = c.readRecord()
	}
	if len(c.read) == 0 {
		return 0, c.err
	}
	n := copy(p, c.read)
	c.read = c.read[n:]
	return n, nil
}

func (c *Conn) readRecord() error {
	head := make([]byte, headerSize)
	if _, err := io.ReadFull(c.Conn, head); err != nil {
		if err == io.EOF { //nolint:errorlint // ReadFull does not wrap it
			return io.ErrUnexpectedEOF
		}
		return err
	}
	record := append(head, make([]byte, int(head[3])<<8|int(head[4]))...)
	if _, err := io.ReadFull(c.Conn, record[headerSize:]); err != nil {
		return fmt.Errorf("rawtls: inside a record: %w", io.ErrUnexpectedEOF)
	}
	kind, content, err := c.in.open(record)
	switch {
	case err != nil:
		return err
	case kind == ApplicationData:
		c.read = content
	case kind == Alert && len(content) == 2 && content[1] == CloseNotify:
		return io.EOF
	case kind == Alert:
		return fmt.Errorf("rawtls: the server's alert %d", content)
	case kind == Handshake && bytes.Equal(content, []byte{keyUpdate, 0, 0, 1, 0}):
		c.in.update()
	case kind == Handshake && len(content) > 0 && content[0] == newSessionTicket:
	default:
		return fmt.Errorf("rawtls: a record of type %d, %x, which nobody asked for", kind, content)
	}
	return nil
}
