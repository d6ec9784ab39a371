package websock_test

import (
	"testing"
	"time"
	"unsafe"

	"github.com/troupe-dev/troupe/websock"
)

func TestMessage_Deliver(t *testing.T) {
	plain := websock.Prepare(websock.Text("a"))
	want := websock.Delivery{Key: "k", Volatile: true, Expires: time.Second}
	m := plain.Deliver(want)
	if d := m.Delivery(); d == nil || *d != want {
		t.Errorf("Delivery() = %+v, want %+v", d, want)
	}
	if d := websock.Prepare(m).Delivery(); d == nil || *d != want {
		t.Errorf("after Prepare: %+v, want %+v", d, want)
	}
	for name, m := range map[string]websock.Message{
		"the one it was made of": plain,
		"one of no Delivery":     websock.Text("a"),
		"the zero Delivery":      m.Deliver(websock.Delivery{}),
		"one that says nothing":  m.Deliver(websock.Delivery{Expires: -1}),
		"changed since":          {Opcode: websock.OpBinary, Data: m.Data},
	} {
		if d := m.Delivery(); d != nil {
			t.Errorf("%s: %+v, want none", name, d)
		}
	}
	changed := m
	changed.Data = []byte("b")
	if d := changed.Delivery(); d != nil {
		t.Errorf("with other Data: %+v, want none", d)
	}
	if !m.Equal(plain) || m.Check() != nil {
		t.Errorf("%v is not %v", m, plain)
	}
	calls := 0
	for range 3 {
		m.Encoded("form", func() []byte { calls++; return nil })
	}
	if calls != 1 {
		t.Errorf("it was encoded %d times, want once", calls)
	}
	if got, want := unsafe.Sizeof(m), unsafe.Sizeof(plain.Data)+2*unsafe.Sizeof(uintptr(0)); got != want {
		t.Errorf("a Message has %d bytes, want %d", got, want)
	}
}
