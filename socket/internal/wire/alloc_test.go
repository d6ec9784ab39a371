package wire_test

import (
	"runtime"
	"testing"

	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// allocated runs f and returns how many bytes it allocated.
func allocated(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// TestNext_allocatesWhatArrives: a header is only a promise, and what is refused
// was never allocated.
func TestNext_allocatesWhatArrives(t *testing.T) {
	tests := []struct {
		name    string
		o       wire.Options
		deflate bool
		input   []byte
		most    int64
	}{
		{"110 2^62 bytes declared, no limit", limit(-1), false, join(header(fin, opBinary, 1<<62), []byte("abc")), 32 << 10},
		{"110 2^62 bytes declared, not last, no limit", limit(-1), false, join(header(0, opBinary, 1<<62), []byte("abc")), 32 << 10},
		{"110 2^62 bytes declared, deflated, no limit", limit(-1), true, header(fin|rsv1, opBinary, 1<<62), 32 << 10},
		{"2^62 bytes declared, refused", limit(10 * mb), false, header(fin, opBinary, 1<<62), 32 << 10},
		{"10 MB declared, 20 KB sent", limit(10 * mb), false, frame(fin, opBinary, str(10*mb))[:20_000], 128 << 10},
		{"167 bomb of 20 MB", limit(100_000), true, frame(fin|rsv1, opBinary, deflated(string(make([]byte, 20*mb)))), 512 << 10},
		{"137 100000 empty fragments", limit(mb), false, manyEmpty(100_000), 32 << 10},
		{"151 100000 fragments of one byte", limit(mb), false, manyOnes(100_000), 600 << 10},
		{"text that is bad at once", limit(10 * mb), false, frame(fin, opText, "\xff"+str(mb)), 64 << 10},
	}
	for _, tt := range tests {
		c := accept(t, &script{chunks: [][]byte{tt.input}}, tt.o, tt.deflate)
		var err error
		got := allocated(func() { _, err = c.Next() })
		t.Logf("%s: %d bytes, %v", tt.name, got, err)
		if tt.deflate {
			tt.most += 256 << 10 // an inflater, when the pool has none
		}
		if raceEnabled {
			tt.most += 1 << 20 // it lets the pools lose some
		}
		if got > tt.most {
			t.Errorf("%s: allocated %d bytes, want at most %d", tt.name, got, tt.most)
		}
	}
}

func manyEmpty(n int) []byte {
	p := frame(0, opText, "a")
	for range n {
		p = append(p, frame(0, opCont, "")...)
	}
	return p
}

func manyOnes(n int) []byte {
	p := frame(0, opText, "a")
	for range n {
		p = append(p, frame(0, opCont, "b")...)
	}
	return p
}

// endless is a connection that repeats its input for ever, no Read beyond its
// end.
type endless struct {
	script
	input []byte
	at    int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.input[e.at:])
	e.at = (e.at + n) % len(e.input)
	return n, nil
}

func (e *endless) WaitRead() error { return nil }
func (e *endless) Readable() bool  { return true }
func (e *endless) Write(p []byte) (int, error) {
	return len(p), nil
}

func TestNext_allocationsPerMessage(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector empties the pools: run without -race too")
	}
	tests := []struct {
		name    string
		input   []byte
		deflate bool
		want    float64
	}{
		{"small text", frame(fin, opText, "hello"), false, 1},
		{"empty text", frame(fin, opText, ""), false, 0},
		{"text of 16000", frame(fin, opText, str(16_000)), false, 1},
		{"small text on a connection with deflate", frame(fin, opText, "hello"), true, 1},
		{"deflated text", frame(fin|rsv1, opText, deflated(str(1000))), true, 1},
	}
	for _, tt := range tests {
		c := accept(t, &endless{input: tt.input}, limit(mb), tt.deflate)
		got := testing.AllocsPerRun(1000, func() {
			if _, err := c.Next(); err != nil {
				t.Fatal(err)
			}
		})
		if got > tt.want {
			t.Errorf("%s: %v allocations per message, want %v: the Data of the message", tt.name, got, tt.want)
		}
	}
}

func TestAppend_allocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector empties the pools: run without -race too")
	}
	for name, m := range map[string]websock.Message{
		"small": websock.Text("hello"), "16 KiB": websock.Binary(make([]byte, 16<<10)),
		"1 MiB": websock.Binary(make([]byte, 1<<20)), "ping": websock.Ping([]byte("x")),
	} {
		roles(t, func(t *testing.T, client bool, _ func([]byte) []byte) {
			c := accept(t, &endless{}, wire.Options{Client: client}, false)
			if got := testing.AllocsPerRun(1000, func() {
				c.Append(m)
				c.Flush()
			}); got > 0 {
				t.Errorf("%s: %v allocations for Append and Flush, want none", name, got)
			}
		})
	}
	closed := accept(t, &endless{}, wire.Options{Level: 1}, true)
	closed.AppendClose(websock.CloseDetail{Code: 1000})
	text := websock.Text(str(2000))
	if got := testing.AllocsPerRun(1000, func() { closed.Append(text) }); got > 0 {
		t.Errorf("after Close: %v allocations for Append, want none", got)
	}
	for _, tt := range []struct {
		level, size int
		want        float64 // the payload, when nobody keeps memory for it
	}{{1, 10_000, 0}, {1, 20_000, 1}, {6, 10_000, 1}} {
		c := accept(t, &endless{}, wire.Options{Level: tt.level}, true)
		m := websock.Text(str(tt.size))
		appendAndFlush := func() {
			c.Append(m)
			c.Flush()
		}
		if got := testing.AllocsPerRun(1000, appendAndFlush); got > tt.want {
			t.Errorf("%d bytes deflated at level %d: %v allocations for Append and Flush, want %v", tt.size, tt.level, got, tt.want)
		}
		m = websock.Prepare(m)
		if got := testing.AllocsPerRun(1000, appendAndFlush); got > 0 {
			t.Errorf("%d bytes deflated at level %d, prepared: %v allocations for Append and Flush, want none", tt.size, tt.level, got)
		}
	}
}
