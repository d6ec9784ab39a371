package websock_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/troupe-dev/troupe/websock"
)

// plain and deflated are the names of forms, as a host has them.
type (
	plain    struct{}
	deflated struct{ level int }
)

// encoder counts how often it encodes.
type encoder struct{ n int }

func (e *encoder) encode() []byte { e.n++; return fmt.Appendf(nil, "form %d", e.n) }

func TestMessage_Encoded(t *testing.T) {
	prepared := websock.Prepare(websock.Text("hello"))
	data := []byte("hello")
	bytesOf := websock.Prepare(websock.TextBytes(data))
	with := func(m websock.Message, f func(*websock.Message)) websock.Message { f(&m); return m }
	tests := []struct {
		name  string
		of    func() websock.Message
		times int // that two calls encode
	}{
		{"not prepared", func() websock.Message { return websock.Text("hello") }, 2},
		{"zero", func() websock.Message { return websock.Message{} }, 2},
		{"prepared", func() websock.Message { return websock.Prepare(websock.Text("hello")) }, 1},
		{"prepared twice", func() websock.Message { return websock.Prepare(websock.Prepare(websock.Text("hello"))) }, 1},
		{"prepared, no data", func() websock.Message { return websock.Prepare(websock.Ping(nil)) }, 1},
		{"prepared, nil for empty data", func() websock.Message {
			return with(websock.Prepare(websock.Binary([]byte{})), func(m *websock.Message) { m.Data = nil })
		}, 1},
		{"prepared, the same data again", func() websock.Message {
			return with(bytesOf, func(m *websock.Message) { m.Data = data })
		}, 1},
		{"opcode changed", func() websock.Message {
			return with(prepared, func(m *websock.Message) { m.Opcode = websock.OpBinary })
		}, 2},
		{"data changed", func() websock.Message {
			return with(prepared, func(m *websock.Message) { m.Data = []byte("hello") })
		}, 2},
		{"data cut", func() websock.Message {
			return with(prepared, func(m *websock.Message) { m.Data = m.Data[:4] })
		}, 2},
		{"data cut at its beginning", func() websock.Message {
			return with(prepared, func(m *websock.Message) { m.Data = m.Data[1:] })
		}, 2},
		{"changed and prepared again", func() websock.Message {
			return websock.Prepare(with(prepared, func(m *websock.Message) { m.Data = []byte("other") }))
		}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, e := tt.of(), &encoder{}
			first := string(m.Encoded(plain{}, e.encode))
			second := string(m.Encoded(plain{}, e.encode))
			if got := m.Prepared(); got != (tt.times == 1) {
				t.Errorf("Prepared: got %t, but two calls are to encode %d times", got, tt.times)
			}
			if want := fmt.Sprintf("form %d", tt.times); e.n != tt.times || first != "form 1" || second != want {
				t.Errorf("encoded %d times, %q and %q; want %d times, form 1 and %s", e.n, first, second, tt.times, want)
			}
		})
	}
}

func TestPrepare_sharesTheCache(t *testing.T) {
	m := websock.Prepare(websock.Text("hello"))
	e := &encoder{}
	again := websock.Prepare(m)
	for _, c := range []websock.Message{m, again, m} {
		c.Encoded(plain{}, e.encode)
	}
	if e.n != 1 {
		t.Errorf("copies of one prepared message encoded %d times, want once", e.n)
	}
	// A copy that was changed and prepared leaves the others as they are.
	changed := m
	changed.Data = []byte("other")
	changed = websock.Prepare(changed)
	changed.Encoded(plain{}, e.encode)
	if got := string(m.Encoded(plain{}, e.encode)); got != "form 1" || e.n != 2 {
		t.Errorf("after a changed copy was prepared, the form is %q, %d times encoded; want form 1, 2 times", got, e.n)
	}
}

func TestMessage_Encoded_forms(t *testing.T) {
	m, e := websock.Prepare(websock.Text("hello")), &encoder{}
	for range 3 {
		for i, form := range []any{plain{}, deflated{1}, deflated{9}, 1, int8(1), "1", nil} {
			if got, want := string(m.Encoded(form, e.encode)), fmt.Sprint("form ", i+1); got != want {
				t.Errorf("form %#v is %q, want %q", form, got, want)
			}
		}
	}
	if got := m.Encoded("none", func() []byte { return nil }); got != nil {
		t.Errorf("a nil form is %q", got)
	}
	if got := m.Encoded("none", e.encode); got != nil {
		t.Errorf("a nil form was encoded again: %q", got)
	}
}

func TestMessage_Encoded_notComparable(t *testing.T) {
	m := websock.Prepare(websock.Text("hello"))
	for name, form := range map[string]any{"slice": []int{1}, "struct with a slice": struct{ v any }{[]int{1}}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s as a form: did not panic", name)
				}
			}()
			m.Encoded(form, func() []byte { return nil })
		}()
	}
}

// Many ask for a form at once: one encodes, and the others get what it made; calls for another form do not wait.
func TestMessage_Encoded_once(t *testing.T) {
	m := websock.Prepare(websock.Text("hello"))
	encoding, release := make(chan struct{}, 10), make(chan struct{})
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			got := m.Encoded(plain{}, func() []byte {
				encoding <- struct{}{}
				<-release
				return []byte("plain")
			})
			if string(got) != "plain" {
				t.Errorf("got %q", got)
			}
		})
	}
	<-encoding
	if got := m.Encoded(deflated{}, func() []byte { return []byte("deflated") }); string(got) != "deflated" {
		t.Errorf("got %q", got)
	}
	close(release)
	wg.Wait()
	if n := len(encoding); n != 0 {
		t.Errorf("encoded %d times more, want once in all", n)
	}
}

// Whatever many goroutines ask for, in whatever order, each form is encoded once.
func TestMessage_Encoded_concurrently(t *testing.T) {
	for range 100 {
		m := websock.Prepare(websock.Text("hello"))
		var counts [4]atomic.Int64
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				for i := range counts {
					form := (i + g) % len(counts)
					got := m.Encoded(form, func() []byte { counts[form].Add(1); return []byte{byte(form)} })
					if !bytes.Equal(got, []byte{byte(form)}) {
						t.Errorf("form %d is %v", form, got)
					}
					if err := m.Check(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		for form := range counts {
			if n := counts[form].Load(); n != 1 {
				t.Errorf("form %d was encoded %d times", form, n)
			}
		}
	}
}

// A panic in encode is its caller's, and the next call encodes.
func TestMessage_Encoded_panic(t *testing.T) {
	m := websock.Prepare(websock.Text("hello"))
	boom := errors.New("boom")
	for range 2 {
		func() {
			defer func() {
				if v := recover(); v != boom {
					t.Errorf("Encoded panicked with %v, want boom", v)
				}
			}()
			m.Encoded(plain{}, func() []byte { panic(boom) })
		}()
	}
	if got := m.Encoded(plain{}, func() []byte { return []byte("ok") }); string(got) != "ok" {
		t.Errorf("after a panic the form is %q", got)
	}
}

func TestMessage_Encoded_doesNotAllocate(t *testing.T) {
	m, e := websock.Prepare(websock.Text("hello")), &encoder{}
	encode := e.encode
	for _, form := range []any{plain{}, deflated{6}} {
		m.Encoded(form, encode)
		if n := testing.AllocsPerRun(100, func() { m.Encoded(form, encode) }); n != 0 {
			t.Errorf("a form that is there allocates %v times", n)
		}
	}
	if n := testing.AllocsPerRun(100, func() { websock.Prepare(m) }); n != 0 {
		t.Errorf("Prepare of a prepared message allocates %v times", n)
	}
}

// A prepared message is checked as any other; the answer is for what it was prepared with.
func TestPrepare_check(t *testing.T) {
	for _, tt := range messageChecks {
		t.Run(tt.name, func(t *testing.T) {
			m := websock.Prepare(tt.m)
			for range 3 {
				checkProblem(t, m.Check(), tt.problem, nil)
			}
			if !m.Equal(tt.m) || !tt.m.Equal(m) || m.String() != tt.m.String() {
				t.Errorf("%v prepared is %v", tt.m, m)
			}
			bad := m
			bad.Opcode, bad.Data = websock.OpText, []byte("a\x80")
			checkProblem(t, bad.Check(), "text is not UTF-8 (RFC 6455 section 5.6)", nil)
			good := m
			good.Opcode, good.Data = websock.OpText, []byte("ok")
			checkProblem(t, good.Check(), "", nil)
			if err := websock.Push(m).Check(); (err == nil) != (tt.problem == "") {
				t.Errorf("Result.Check of it: %v", err)
			}
		})
	}
}

// The text of a prepared message is checked once. To see that, the test changes the bytes after the check, which a
// program must not do.
func TestPrepare_checksOnce(t *testing.T) {
	for name, tt := range map[string]struct{ before, after string }{
		"valid": {"hello", "hel\x80o"}, "invalid": {"hel\x80o", "hello"},
	} {
		data := []byte(tt.before)
		m := websock.Prepare(websock.TextBytes(data))
		first := m.Check()
		copy(data, tt.after)
		if again := m.Check(); (first == nil) != (again == nil) {
			t.Errorf("%s: Check says %v and then %v", name, first, again)
		}
	}
}

func BenchmarkPrepare(b *testing.B) {
	m := websock.Text(strings.Repeat("hello ", 20))
	var sent atomic.Pointer[websock.Message] // a broadcast moves it to the heap
	b.ReportAllocs()
	for b.Loop() {
		p := websock.Prepare(m)
		sent.Store(&p)
	}
}

func BenchmarkMessage_Encoded(b *testing.B) {
	m := websock.Prepare(websock.Text(strings.Repeat("hello ", 20)))
	encode := func() []byte { return m.Data }
	m.Encoded(deflated{6}, encode)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.Encoded(plain{}, encode)
		}
	})
}

func BenchmarkMessage_Check(b *testing.B) {
	m := websock.Text(strings.Repeat("hällo ", 200))
	for name, m := range map[string]websock.Message{"plain": m, "prepared": websock.Prepare(m)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m.Check()
			}
		})
	}
}

func ExamplePrepare() {
	m := websock.Prepare(websock.Text("to all"))
	// for _, pid := range pids { pid.Send(m) }
	fmt.Println(m)
	// Output: text, 6 bytes: "to all"
}

func ExampleMessage_Encoded() {
	type frame struct{ compressed bool } // the name of a form, of the host's own type
	encode := func() []byte {
		fmt.Println("encoding")
		return []byte("\x81\x02hi")
	}
	m := websock.Prepare(websock.Text("hi"))
	for range 3 { // three sockets
		fmt.Printf("%q\n", m.Encoded(frame{compressed: false}, encode))
	}
	// Output:
	// encoding
	// "\x81\x02hi"
	// "\x81\x02hi"
	// "\x81\x02hi"
}
