package websock_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/websock"
)

func TestMessage_constructors(t *testing.T) {
	tests := []struct {
		name string
		got  websock.Message
		op   websock.Opcode
		data string
	}{
		{"Text", websock.Text("grüezi"), 1, "grüezi"},
		{"Text, empty", websock.Text(""), 1, ""},
		{"TextBytes", websock.TextBytes([]byte("hi")), 1, "hi"},
		{"Binary", websock.Binary([]byte{0, 255}), 2, "\x00\xff"},
		{"Binary, nil", websock.Binary(nil), 2, ""},
		{"Ping", websock.Ping([]byte("p")), 9, "p"},
		{"Pong", websock.Pong([]byte("q")), 10, "q"},
		{"JSON object", websock.JSON(map[string]int{"b": 2, "a": 1}), 1, `{"a":1,"b":2}`},
		{"JSON nil", websock.JSON(nil), 1, "null"},
		{"JSON escapes HTML as json.Marshal", websock.JSON("<b>"), 1, `"\u003cb\u003e"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.got.Opcode != tt.op || string(tt.got.Data) != tt.data {
				t.Errorf("got opcode %d, data %q; want %d, %q", tt.got.Opcode, tt.got.Data, tt.op, tt.data)
			}
		})
	}
}

func TestMessage_constructorsDoNotCopy(t *testing.T) {
	tests := []struct {
		name string
		of   func([]byte) websock.Message
	}{
		{"TextBytes", websock.TextBytes},
		{"Binary", websock.Binary},
		{"Ping", websock.Ping},
		{"Pong", websock.Pong},
	}
	for _, tt := range tests {
		p := []byte("abc")
		if m := tt.of(p); &m.Data[0] != &p[0] {
			t.Errorf("%s(p).Data is a copy of p", tt.name)
		}
	}
}

func TestJSON_panicsWithTheCause(t *testing.T) {
	defer func() {
		err, ok := recover().(error)
		if !ok {
			t.Fatalf("JSON(+Inf) panicked with %v, want an error", err)
		}
		if want := "websock: JSON cannot encode a float64: json: unsupported value: +Inf"; err.Error() != want {
			t.Errorf("JSON(+Inf) panicked with %q, want %q", err, want)
		}
		if _, ok := errors.AsType[*json.UnsupportedValueError](err); !ok {
			t.Errorf("the panic %v does not wrap *json.UnsupportedValueError", err)
		}
	}()
	websock.JSON(math.Inf(1))
	t.Error("JSON(+Inf) returned")
}

func TestMessage_Equal(t *testing.T) {
	tests := []struct {
		name string
		a, b websock.Message
		want bool
	}{
		{"same", websock.Text("a"), websock.TextBytes([]byte("a")), true},
		{"other data", websock.Text("a"), websock.Text("b"), false},
		{"prefix", websock.Text("a"), websock.Text("ab"), false},
		{"other opcode", websock.Text("a"), websock.Binary([]byte("a")), false},
		{"nil and empty data", websock.Binary(nil), websock.Binary([]byte{}), true},
		{"zero messages", websock.Message{}, websock.Message{}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.a.Equal(tt.b); got != tt.want {
				t.Errorf("%v Equal %v = %t, want %t", tt.a, tt.b, got, tt.want)
			}
			if got := tt.b.Equal(tt.a); got != tt.want {
				t.Errorf("%v Equal %v = %t, want %t", tt.b, tt.a, got, tt.want)
			}
		})
	}
}

func TestMessage_String(t *testing.T) {
	tests := []struct {
		name string
		m    websock.Message
		want string
	}{
		{"text", websock.Text("hello"), `text, 5 bytes: "hello"`},
		{"quotes", websock.Text("\"\n"), `text, 2 bytes: "\"\n"`},
		{"binary", websock.Binary([]byte{0, 255}), `binary, 2 bytes: "\x00\xff"`},
		{"nil data", websock.Ping(nil), `ping, 0 bytes: ""`},
		{"64 bytes", websock.Text(strings.Repeat("a", 64)), `text, 64 bytes: "` + strings.Repeat("a", 64) + `"`},
		{"65 bytes", websock.Text(strings.Repeat("a", 65)), `text, 65 bytes: "` + strings.Repeat("a", 64) + `"...`},
		{"zero", websock.Message{}, `opcode(0), 0 bytes: ""`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.m.String(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// messageChecks is what both Message.Check and Result.Check hold a message to.
var messageChecks = []struct {
	name    string
	m       websock.Message
	problem string // "": legal
}{
	{"text", websock.Text("grüezi"), ""},
	{"text without data", websock.TextBytes(nil), ""},
	{"text with NUL", websock.Text("\x00"), ""},
	{"text of many bytes", websock.Text(strings.Repeat("ü", 1<<16)), ""},
	{"text, stray continuation byte", websock.Text("a\x80"), "text is not UTF-8 (RFC 6455 section 5.6)"},
	{"text, cut rune", websock.Text("gr\xc3"), "text is not UTF-8 (RFC 6455 section 5.6)"},
	{"text, surrogate half", websock.Text("\xed\xa0\x80"), "text is not UTF-8 (RFC 6455 section 5.6)"},
	{"text, overlong", websock.Text("\xc0\xaf"), "text is not UTF-8 (RFC 6455 section 5.6)"},
	{"binary is not text", websock.Binary([]byte{0x80}), ""},
	{"binary without data", websock.Binary(nil), ""},
	{"ping without data", websock.Ping(nil), ""},
	{"ping, not UTF-8", websock.Ping([]byte{0x80}), ""},
	{"ping of 125", websock.Ping(make([]byte, 125)), ""},
	{"ping of 126", websock.Ping(make([]byte, 126)), "ping payload of 126 bytes exceeds 125 (RFC 6455 section 5.5)"},
	{"pong of 125", websock.Pong(make([]byte, 125)), ""},
	{"pong of 126", websock.Pong(make([]byte, 126)), "pong payload of 126 bytes exceeds 125 (RFC 6455 section 5.5)"},
	{"opcode 0", websock.Message{Data: []byte("a")}, "opcode(0) cannot be sent (RFC 6455 section 5.2)"},
	{"opcode 3", websock.Message{Opcode: 3}, "opcode(3) cannot be sent (RFC 6455 section 5.2)"},
	{"opcode 8, close", websock.Message{Opcode: 8}, "opcode(8) cannot be sent (RFC 6455 section 5.2)"},
	{"opcode 11", websock.Message{Opcode: 11}, "opcode(11) cannot be sent (RFC 6455 section 5.2)"},
	{"opcode 129", websock.Message{Opcode: 129}, "opcode(129) cannot be sent (RFC 6455 section 5.2)"},
}

func TestMessage_Check(t *testing.T) {
	for _, tt := range messageChecks {
		t.Run(tt.name, func(t *testing.T) {
			before := bytes.Clone(tt.m.Data)
			checkProblem(t, tt.m.Check(), tt.problem, nil)
			if !bytes.Equal(tt.m.Data, before) {
				t.Errorf("Check changed the data %q to %q", before, tt.m.Data)
			}
		})
	}
}

func TestMessage_Check_doesNotAllocate(t *testing.T) {
	m := websock.Text("hello")
	if n := testing.AllocsPerRun(100, func() {
		if m.Check() != nil {
			t.Fatalf("%v is illegal", m)
		}
	}); n != 0 {
		t.Errorf("Check of a legal message allocates %v times, want 0", n)
	}
}

// checkProblem fails the test unless err is a *ResultError with the problem and
// the exit reason asked for, or nil where problem is "".
func checkProblem(t *testing.T, err error, problem string, asked error) {
	t.Helper()
	if problem == "" {
		if err != nil {
			t.Errorf("Check() = %v, want nil", err)
		}
		return
	}
	re, ok := err.(*websock.ResultError)
	if !ok {
		t.Fatalf("Check() = %T %v, want *websock.ResultError with %q", err, err, problem)
	}
	if re.Problem != problem {
		t.Errorf("Problem:\ngot  %s\nwant %s", re.Problem, problem)
	}
	if re.Err != asked {
		t.Errorf("Err = %v, want %v", re.Err, asked)
	}
}
