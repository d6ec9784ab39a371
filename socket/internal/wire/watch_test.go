package wire_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// watcher notes what it is told.
type watcher struct {
	mu    sync.Mutex
	lines []string
}

func (w *watcher) note(line string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, line)
}

func (w *watcher) Crossed(in bool, op websock.Opcode, payload []byte) {
	w.note(fmt.Sprintf("%t %d %q", in, op, payload))
}

func (w *watcher) Gone() { w.note("gone") }

// A Watcher gets what is appended, before it is compressed, and what is shown, until it is taken off or the end.
func TestConn_Watch(t *testing.T) {
	for _, deflate := range []bool{false, true} {
		t.Run(fmt.Sprintf("deflate %t", deflate), func(t *testing.T) {
			near, far := pipe.New(1 << 20)
			defer near.Close()
			c := accept(t, far, wire.Options{MaxMessageSize: -1}, deflate)
			defer c.Abort()
			long := strings.Repeat("long ", 1000)
			appends := func() {
				for _, m := range []websock.Message{websock.Text(long), websock.Ping([]byte("p"))} {
					if err := c.Append(m); err != nil {
						t.Fatalf("Append(%v): %v", m, err)
					}
				}
			}
			appends()
			var first, second watcher
			for _, w := range []*watcher{&first, &second} {
				if added, over := c.Watch(w, 2); !added || over {
					t.Fatalf("Watch = %t, %t; want it added", added, over)
				}
			}
			if added, over := c.Watch(&watcher{}, 2); added || over {
				t.Errorf("a third Watch = %t, %t; want it refused, and not because of the end", added, over)
			}
			appends()
			c.Show(websock.Binary([]byte("in")))
			if !c.Unwatch(&first) || c.Unwatch(&first) {
				t.Error("Unwatch, twice: want true, then false")
			}
			c.ShowClose(websock.CloseDetail{Code: 1005})
			c.ShowClose(websock.CloseDetail{Code: 1000, Reason: "bye"})
			if err := c.Append(websock.Message{Opcode: 3}); err == nil {
				t.Error("an illegal message was appended")
			}
			if err := c.AppendClose(websock.CloseDetail{Code: 4000, Reason: "out"}); err != nil {
				t.Fatal(err)
			}
			if err := c.Append(websock.Text("after the Close")); err != wire.ErrCloseSent {
				t.Errorf("Append after the Close: %v", err)
			}
			c.EndWatch()
			c.EndWatch()
			if added, over := c.Watch(&first, 2); added || !over {
				t.Errorf("Watch after the end = %t, %t; want it refused because of the end", added, over)
			}
			c.Show(websock.Text("after the end"))
			want := []string{fmt.Sprintf("false 1 %q", long), `false 9 "p"`, `true 2 "in"`}
			if !slices.Equal(first.lines, want) {
				t.Errorf("the first got %q, want %q", first.lines, want)
			}
			want = append(want, `true 8 ""`, `true 8 "\x03\xe8bye"`, `false 8 "\x0f\xa0out"`, "gone")
			if !slices.Equal(second.lines, want) {
				t.Errorf("the second got %q, want %q", second.lines, want)
			}
		})
	}
}

// Watching costs a message no allocation, and not watching nothing at all.
func TestConn_Watch_allocations(t *testing.T) {
	conn := &script{}
	c := accept(t, conn, wire.Options{MaxMessageSize: -1}, false)
	defer c.Abort()
	m := websock.Text("message")
	send := func() {
		c.Append(m)
		c.Flush()
		conn.written = conn.written[:0]
	}
	send()
	before := testing.AllocsPerRun(1000, send)
	w := silent{}
	c.Watch(&w, 1)
	with := testing.AllocsPerRun(1000, send)
	c.Unwatch(&w)
	after := testing.AllocsPerRun(1000, send)
	if with > before || after > before {
		t.Errorf("%v allocations, %v while somebody watches, %v after that; want no more than before", before, with, after)
	}
}

// silent is a Watcher that keeps nothing.
type silent struct{ bytes int }

func (s *silent) Crossed(_ bool, _ websock.Opcode, payload []byte) { s.bytes += len(payload) }
func (s *silent) Gone()                                            {}

// BenchmarkConn_Append is what a frame costs while nobody watches, and while somebody does.
func BenchmarkConn_Append(b *testing.B) {
	for _, watched := range []bool{false, true} {
		b.Run(fmt.Sprintf("watched %t", watched), func(b *testing.B) {
			conn := &script{}
			c := accept(b, conn, wire.Options{MaxMessageSize: -1}, false)
			defer c.Abort()
			if watched {
				c.Watch(&silent{}, 1)
			}
			m := websock.Text(strings.Repeat("x", 64))
			for b.Loop() {
				c.Append(m)
				if len(conn.written) > 1<<20 {
					conn.written = conn.written[:0]
				}
			}
		})
	}
}
