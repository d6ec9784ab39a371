package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// What differs for a client. What does not is tested together with the server, in both roles.

// TestClient_maskingKeys: no frame has the key of another, of whatever kind it is, and nothing of a key can be guessed
// (RFC 6455 section 5.3).
func TestClient_maskingKeys(t *testing.T) {
	const conns, each = 50, 200
	seen := map[uint32]int{}
	var ones [32]int
	frames := 0
	for range conns {
		peer, c := connect(t, wire.Options{Client: true}, true)
		for i := range each - 1 {
			m := []websock.Message{websock.Text("same"), websock.Ping(nil), websock.Pong([]byte("p")),
				websock.Binary(make([]byte, 4_000)), websock.Text(str(1000))}[i%5]
			if err := c.Append(m); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(c.AppendClose(websock.CloseDetail{Code: 1000}), c.Flush()); err != nil {
			t.Fatal(err)
		}
		for range each {
			f, err := peer.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			key := binary.LittleEndian.Uint32(f.Mask[:])
			seen[key]++
			for b := range ones {
				ones[b] += int(key >> b & 1)
			}
			frames++
		}
	}
	if again := frames - len(seen); again > 2 { // chance has it once in 90 runs, and three times in four million
		t.Errorf("of %d frames %d have a masking key of another", frames, again)
	}
	for b, n := range ones {
		if off := n - frames/2; off > 350 || off < -350 { // seven times the deviation of a fair coin
			t.Errorf("bit %d is set in %d of %d masking keys, want about half", b, n, frames)
		}
	}
}

// TestClient_payloadStays: what is masked is a copy. A prepared message is shared by many connections, of both roles, and
// its user may keep what he has sent.
func TestClient_payloadStays(t *testing.T) {
	for _, size := range []int{1, 100, 16<<10 - 1, 16 << 10, 64 << 10, 64<<10 + 1, 300_000} {
		for name, data := range map[string]string{"text": str(size), "noise": noise(size)} {
			m := websock.Prepare(websock.Binary([]byte(data)))
			for _, tt := range []struct{ client, deflate bool }{{true, false}, {true, true}, {false, true}, {true, true}, {false, false}} {
				peer, c := connect(t, wire.Options{Client: tt.client}, tt.deflate)
				if err := errors.Join(c.Append(m), c.Append(m), c.Flush()); err != nil {
					t.Fatal(err)
				}
				for i := range 2 {
					if op, p, err := peer.ReadMessage(); op != opBinary || string(p) != data || err != nil {
						t.Errorf("%s of %d bytes, %+v: time %d: the peer read %d, %s, %v; want it as it was sent", name, size, tt, i+1, op, show(p), err)
					}
				}
				if string(m.Data) != data {
					t.Fatalf("%s of %d bytes, %+v: the sender's Data has become %s", name, size, tt, show(m.Data))
				}
			}
		}
	}
}

// TestClient_whileItIsWritten: the buffers of a masked payload are not used again before it is written.
func TestClient_whileItIsWritten(t *testing.T) {
	for _, size := range []int{16 << 10, 64 << 10, 200_000, 1 << 20} {
		synctest.Test(t, func(t *testing.T) {
			for range 10 { // the race detector empties pools at times
				near, far := pipe.New(1000)
				slow := accept(t, far, wire.Options{Client: true}, false)
				peer := rawclient.NewServer(near, nil, false)
				mine, theirs := bytes.Repeat([]byte("A"), size), bytes.Repeat([]byte("B"), size)
				flushed := make(chan error)
				go func() { // Append flushes large messages itself
					flushed <- errors.Join(slow.Append(websock.Binary(mine)), slow.Flush())
				}()
				synctest.Wait() // it writes, and the peer does not read
				_, other := open(t, wire.Options{Client: true}, false)
				for range 3 {
					if err := errors.Join(other.Append(websock.Binary(theirs)), other.Flush()); err != nil {
						t.Fatal(err)
					}
				}
				if op, p, err := peer.ReadMessage(); op != opBinary || !bytes.Equal(p, mine) || err != nil {
					t.Errorf("%d bytes, written while others write: the peer read %d, %s, %v", size, op, show(p), err)
				}
				if err := <-flushed; err != nil {
					t.Errorf("%d bytes: Flush: %v", size, err)
				}
				slow.Abort()
				near.Close()
			}
		})
	}
}

// TestClient_CloseWrite: the server is to end TCP first (RFC 6455 section 7.1.1), so a client sends no FIN. Nothing can be
// appended all the same.
func TestClient_CloseWrite(t *testing.T) {
	peer, c := connect(t, wire.Options{Client: true}, false)
	c.Append(websock.Text("last"))
	if err := errors.Join(c.AppendClose(websock.CloseDetail{Code: 1000}), c.Flush(), c.CloseWrite()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"last", "\x03\xe8"} {
		if _, p, err := peer.ReadMessage(); string(p) != want || err != nil {
			t.Errorf("the server read %q, %v; want %q", p, err, want)
		}
	}
	peer.Conn().SetReadDeadline(time.Unix(1, 0))
	if f, err := peer.ReadFrame(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the Close the server read %v, %v; want that TCP stays open", f, err)
	}
	if err := c.Append(websock.Text("late")); err == nil {
		t.Error("Append after CloseWrite: no error")
	}

	_, c = open(t, wire.Options{Client: true}, false)
	if err := c.CloseWrite(); err != nil {
		t.Errorf("CloseWrite of a transport that cannot half close: %v, want none: there is nothing to do", err)
	}
}

// TestClient_Finished: there is no moment at which a client may close TCP first.
func TestClient_Finished(t *testing.T) {
	peer, c := connect(t, wire.Options{MaxMessageSize: mb, Client: true}, false)
	peer.Close(1000, "")
	if _, err := readAll(c); verdict(err) != "remote 1000" {
		t.Errorf("Next: %v, want the Close", err)
	}
	if c.Finished() {
		t.Error("after the server's Close: Finished, so that the client closes TCP before the server")
	}
}

// TestClient_Linger: a client reads on until the server ends TCP, whether the server's Close came before, comes meanwhile,
// or never comes.
func TestClient_Linger(t *testing.T) {
	bye := fromServer(closeFrame(1000, "bye"))
	for _, tt := range []struct {
		name          string
		before, after []byte // read by Next, and by Linger
		end           string // of Next
		code          websock.CloseCode
	}{
		{"the server's Close before", bye, nil, "remote 1000 bye", 1000},
		{"the server's Close before, and more", join(bye, []byte("junk")), bytes.Repeat([]byte("junk"), 30_000), "remote 1000 bye", 1000},
		{"the server's Close meanwhile", nil, join(fromServer(frame(fin, opText, "late")), bye), "idle", 1000},
		{"the server's Close meanwhile, and more", nil, join(bye, fromServer(frame(fin, opText, "late")), []byte{0xff}), "idle", 1000},
		{"an illegal Close", nil, fromServer(frame(fin, opClose, "\x00")), "idle", 0},
		{"messages only", nil, fromServer(frame(fin, opText, str(3*mb))), "idle", 0},
		{"a masked frame", frame(fin, opText, "hello"), bye, "1002 server frame with mask", 0},
		{"a masked frame meanwhile", nil, join(frame(fin, opText, "hello"), bye), "idle", 0},
	} {
		for _, ends := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				peer, c := connect(t, wire.Options{MaxMessageSize: mb, Client: true}, false)
				peer.WriteBytes(tt.before)
				next := blocked(next(c))
				synctest.Wait()
				c.Interrupt(errors.New("idle"))
				if err := <-next; !strings.HasPrefix(verdict(err), tt.end) {
					t.Fatalf("%s: Next: %v, want %s", tt.name, err, tt.end)
				}
				start := time.Now()
				lingers := blocked(func() error { return c.Linger(start, time.Minute) })
				peer.WriteBytes(tt.after)
				time.Sleep(time.Second)
				select {
				case err := <-lingers:
					t.Fatalf("%s: Linger returned %v while TCP is open", tt.name, err)
				default:
				}
				if ends {
					peer.Conn().(*pipe.Conn).CloseWrite()
				}
				err := <-lingers
				took := time.Since(start)
				if ends && (err != nil || took != time.Second) {
					t.Errorf("%s: Linger: %v after %v, want nil when the server has ended TCP, after 1s", tt.name, err, took)
				}
				if !ends && (!errors.Is(err, os.ErrDeadlineExceeded) || took != time.Minute) {
					t.Errorf("%s: Linger: %v after %v, want its deadline, 1m", tt.name, err, took)
				}
				_, received := c.CloseFrames()
				if tt.code == 0 && received != nil || tt.code != 0 && (received == nil || received.Code != tt.code) {
					t.Errorf("%s: Close received: %v, want code %d", tt.name, received, tt.code)
				}
			})
		}
	}
}

// TestClient_early: what came with the 101 are frames of the server.
func TestClient_early(t *testing.T) {
	input := fromServer(join(frame(fin, opText, str(30_000)), frame(fin, opPing, "p"), frame(fin, opText, "end")))
	c := wire.NewOpener(wire.Options{MaxMessageSize: mb, Client: true}).Open(new(script), "", false, input)
	got, err := readAll(c)
	if want := []string{textEvent(str(30_000)), pingEvent("p"), textEvent("end")}; strings.Join(got, " ") != strings.Join(want, " ") || !errors.Is(err, io.EOF) {
		t.Errorf("got %s, %v; want %s, EOF", got, err, want)
	}
}
