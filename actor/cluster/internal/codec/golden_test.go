package codec_test

import (
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/websock"
)

var update = flag.Bool("update", false, "write testdata/golden.txt anew: only for a new version of the protocol")

const golden = "testdata/golden.txt"

// TestGolden holds the bytes of values and errors: nodes of different versions of a program read one another. Both ways are
// tested, against bytes that were written once.
func TestGolden(t *testing.T) {
	p := connect(t, registerFuzzed, registerFuzzed)
	third := mustParse(t, p.a, "7.0123456789abcdef@c")
	values := []struct {
		name string
		v    any
	}{
		{"nil", nil}, {"false", false}, {"true", true},
		{"int", -1}, {"int8", int8(-128)}, {"int16", int16(300)}, {"int32", int32(math.MaxInt32)}, {"int64", int64(math.MinInt64)},
		{"uint", uint(1)}, {"uint8", uint8(255)}, {"uint16", uint16(300)}, {"uint32", uint32(math.MaxUint32)}, {"uint64", uint64(math.MaxUint64)},
		{"float32", float32(1.5)}, {"float64", -2.25}, {"string", "grüezi"}, {"bytes", []byte{0, 255}},
		{"time", time.Date(2026, 11, 29, 3, 4, 5, 6, time.UTC)}, {"duration", 90 * time.Second},
		{"text", websock.Text("hi")}, {"ping", websock.Ping([]byte("p"))},
		{"nobody", actor.PID{}}, {"PID of the sender", mustParse(t, p.a, fmt.Sprintf("9.%016x@a", bootOf(t, p.a)))}, {"PID of a third", third},
		{"error", exit.ErrShutdown}, {"JSON", joined{User: "ann", Who: third}}, {"AppendBinary", point{3, 4}}, {"functions", celsius(36.6)},
	}
	reasons := []struct {
		name string
		err  error
	}{
		{"no reason", nil}, {"sentinel", exit.ErrNormal}, {"registered sentinel", errFull},
		{"CloseError", &websock.CloseError{Code: 4001, Reason: "elsewhere", Err: exit.ErrOverload}},
		{"RemoteCloseError", &websock.RemoteCloseError{Code: 1001, Reason: "bye"}},
		{"ProtocolError", &websock.ProtocolError{Code: 1002, Rule: "rule"}},
		{"ResultError", &websock.ResultError{Problem: "problem", Err: exit.ErrNormal}},
		{"PanicError", &actor.PanicError{Value: "boom", Stack: []byte("stack")}},
		{"registered error", &quotaError{"ann"}},
		{"foreign", errors.Join(exit.ErrTimeout, &quotaError{"ann"})},
	}
	var text strings.Builder
	for _, v := range values {
		b, err := p.enc.AppendValue(nil, v.v)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&text, "value %s: %x\n", v.name, b)
	}
	for _, r := range reasons {
		fmt.Fprintf(&text, "reason %s: %x\n", r.name, p.enc.AppendError(nil, r.err))
	}
	fmt.Fprintf(&text, "announcement: %x\n", p.enc.Announcement())
	if *update {
		if err := os.WriteFile(golden, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	wantLines, gotLines := strings.Split(string(want), "\n"), strings.Split(text.String(), "\n")
	if len(wantLines) != len(gotLines) {
		t.Fatalf("%s has %d lines, want %d", golden, len(wantLines), len(gotLines))
	}
	bytesOf := func(i int) []byte {
		_, digits, _ := strings.Cut(wantLines[i], ": ")
		b, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatalf("%s: line %d: %v", golden, i+1, err)
		}
		return b
	}
	for i, want := range wantLines {
		if gotLines[i] != want {
			t.Errorf("the bytes have changed:\n got  %s\n want %s", gotLines[i], want)
		}
	}
	for i, v := range values {
		got, err := p.dec.Value(bytesOf(i))
		if want := bound(t, p.b, v.v); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: decoded %#v, %v; want %#v", v.name, got, err, want)
		}
	}
	for i, r := range reasons {
		got, err := p.dec.Error(bytesOf(len(values) + i))
		if err != nil || fmt.Sprint(got) != fmt.Sprint(r.err) && r.name != "foreign" || exit.KindOf(got) != exit.KindOf(r.err) {
			t.Errorf("%s: decoded %v, %v; want %v", r.name, got, err, r.err)
		}
	}
}

func bootOf(t testing.TB, sys *actor.System) uint64 {
	_, boot := originOf(t, sys)
	return boot
}

// bound is v with its PIDs bound to sys.
func bound(t testing.TB, sys *actor.System, v any) any {
	t.Helper()
	switch v := v.(type) {
	case actor.PID:
		return mustParse(t, sys, v.String())
	case joined:
		v.Who = mustParse(t, sys, v.Who.String())
		return v
	}
	return v
}
