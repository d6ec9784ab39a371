package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// TestRecycle_whileItIsWritten: a buffer that was pushed and given back is not read into before it is written, or one
// client's bytes would be in another client's message.
func TestRecycle_whileItIsWritten(t *testing.T) {
	for _, size := range []int{16 << 10, 60_000, 200_000, 1 << 20} {
		for _, more := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d, more waits %t", size, more), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					for range 10 { // the race detector empties pools at times
						recycledWhileWritten(t, size, more)
					}
				})
			})
		}
	}
}

// recycledWhileWritten pushes a message of one client back to it, which does not read, and has another connection read
// messages of the same size meanwhile. more: a message waits for the write after it.
func recycledWhileWritten(t *testing.T, size int, more bool) {
	t.Helper()
	o := wire.Options{MaxMessageSize: 2 * mb}
	near, far := pipe.New(1000)
	defer near.Close()
	slow := slowAccept(t, far, near, o, false)
	defer slow.Abort()
	other, c := connect(t, o, false)
	slow.Lend()
	c.Lend()

	mine, theirs := bytes.Repeat([]byte("A"), size), bytes.Repeat([]byte("B"), size)
	go near.Write(frame(fin, opBinary, string(mine)))
	m, err := slow.Next()
	if err != nil || !bytes.Equal(m.Data, mine) {
		t.Fatalf("Next: %v, %v", m, err)
	}
	flushed := make(chan error)
	go func() { // Append flushes large messages itself
		flushed <- errors.Join(slow.Append(m), slow.Flush())
	}()
	synctest.Wait() // it writes, and the peer does not read
	if more {
		slow.Append(websock.Text("x"))
	}
	slow.Recycle(m.Data)

	for range 3 {
		other.Write(rawclient.Frame{Fin: true, Opcode: opBinary, Payload: theirs})
		if m, err := c.Next(); err != nil || !bytes.Equal(m.Data, theirs) {
			t.Fatalf("the other connection: Next: %v, %v", m, err)
		}
	}
	got := make([]byte, size+10)
	n, err := io.ReadFull(near, got[:size+headerSize(size)])
	if err != nil {
		t.Fatalf("the peer read %d bytes, %v", n, err)
	}
	if foreign := bytes.Count(got[headerSize(size):n], []byte("B")); foreign > 0 {
		t.Errorf("of a message of %d bytes the peer got %d that another client sent", size, foreign)
	}
	if err := errors.Join(<-flushed, slow.Flush()); err != nil {
		t.Errorf("Flush: %v", err)
	}
}

func headerSize(payload int) int {
	if payload < 1<<16 {
		return 4
	}
	return 10
}

// TestNext_headerAloneCostsNothing: what a frame header declares is not allocated before it has come.
func TestNext_headerAloneCostsNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector empties the pools: run without -race too")
	}
	const rounds, most = 50, 40 << 10 // a read buffer and 4 KiB, and what is around them
	whole := frame(fin, opBinary, str(65_000))
	for _, tt := range []struct {
		name  string
		lend  bool
		input []byte
	}{
		{"64 KiB, a byte of it", false, whole[:9]},
		{"64 KiB, 2,000 bytes of it", false, whole[:2008]},
		{"64 KiB, a byte of it, lent", true, whole[:9]},
		{"3 MiB, a byte of it", false, frame(fin, opBinary, str(3*mb))[:15]},
		{"3 MiB in fragments, a byte of it", false, frame(0, opBinary, str(3*mb))[:15]},
		{"64 KiB compressed, a byte of it", false, frame(fin|rsv1, opBinary, str(65_000))[:9]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conns := make([]*wire.Conn, rounds+5)
			for i := range conns {
				conns[i] = accept(t, &script{chunks: [][]byte{tt.input}}, limit(4*mb), true)
				if tt.lend {
					conns[i].Lend()
				}
			}
			for _, c := range conns[rounds:] { // fills the pools
				c.Next()
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for _, c := range conns[:rounds] {
				if _, err := c.Next(); err == nil {
					t.Fatal("Next: got a message, want the end of the stream")
				}
			}
			runtime.ReadMemStats(&after)
			if per := (after.TotalAlloc - before.TotalAlloc) / rounds; per > most {
				t.Errorf("%d bytes of a frame made %d bytes of memory, want %d at most", len(tt.input), per, most)
			}
		})
	}
}
