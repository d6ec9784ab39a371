package websock_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/websock"
)

func TestResult_constructors(t *testing.T) {
	boom := errors.New("boom")
	bye := websock.Text("bye")
	detail := websock.CloseDetail{Code: 4001, Reason: "kicked"}
	tests := []struct {
		name  string
		got   websock.Result
		push  []websock.Message
		stop  error
		close websock.CloseDetail
	}{
		{name: "zero", got: websock.Result{}},
		{name: "OK", got: websock.OK()},
		{name: "Push of nothing", got: websock.Push()},
		{name: "Push", got: websock.Push(bye, websock.Ping(nil)), push: []websock.Message{bye, websock.Ping(nil)}},
		{name: "Stop", got: websock.Stop(boom), stop: boom},
		{name: "StopWith", got: websock.StopWith(boom, detail), stop: boom, close: detail},
		{name: "StopWith last", got: websock.StopWith(boom, detail, bye), push: []websock.Message{bye}, stop: boom, close: detail},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkPush(t, tt.got.Push, tt.push)
			if tt.got.Stop != tt.stop {
				t.Errorf("Stop = %v, want %v", tt.got.Stop, tt.stop)
			}
			if tt.got.Close != tt.close {
				t.Errorf("Close = %+v, want %+v", tt.got.Close, tt.close)
			}
		})
	}
}

func TestClose_isACloseError(t *testing.T) {
	bye := websock.Text("bye")
	r := websock.Close(4001, "kicked", bye)
	checkPush(t, r.Push, []websock.Message{bye})
	ce, ok := r.Stop.(*websock.CloseError)
	if !ok {
		t.Fatalf("Stop = %T %v, want *websock.CloseError", r.Stop, r.Stop)
	}
	if want := (websock.CloseError{Code: 4001, Reason: "kicked"}); *ce != want {
		t.Errorf("Stop = %+v, want %+v", *ce, want)
	}
	if r.Close != (websock.CloseDetail{}) {
		t.Errorf("Close = %+v, want zero", r.Close)
	}
}

func checkPush(t *testing.T, got, want []websock.Message) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("Push = %v, want %v", got, want)
	}
	for i := range got {
		if !got[i].Equal(want[i]) {
			t.Errorf("Push[%d] = %v, want %v", i, got[i], want[i])
		}
	}
}

func TestStop_panicsOnNil(t *testing.T) {
	tests := []struct {
		name string
		call func()
		want string
	}{
		{"Stop", func() { websock.Stop(nil) }, "websock: Stop(nil): a normal end is Stop(ErrNormal)"},
		{
			"StopWith", func() { websock.StopWith(nil, websock.CloseDetail{Code: 4000}) },
			"websock: StopWith(nil, ...): a normal end is StopWith(ErrNormal, ...)",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			defer func() {
				if got := recover(); got != tt.want {
					t.Errorf("panic %v, want %q", got, tt.want)
				}
			}()
			tt.call()
		})
	}
}

func TestResult_Check_messages(t *testing.T) {
	for _, tt := range messageChecks {
		t.Run(tt.name, func(t *testing.T) {
			problem := func(place string) string {
				if tt.problem == "" {
					return ""
				}
				return place + tt.problem
			}
			good := websock.Text("good")
			checkProblem(t, websock.Push(tt.m).Check(), problem("message 1 of 1 in Push: "), nil)
			checkProblem(t, websock.Push(good, good, tt.m).Check(), problem("message 3 of 3 in Push: "), nil)

			r := websock.Close(4000, "", tt.m, good)
			checkProblem(t, r.Check(), problem("message 1 of 2 in Push: "), r.Stop)
		})
	}
}

func TestResult_Check_stops(t *testing.T) {
	const badCode = " cannot be sent; legal are 1000-1003, 1007-1014 and 3000-4999 (RFC 6455 section 7.4)"
	const notUTF8 = "close reason is not UTF-8 (RFC 6455 section 5.5.1)"
	const tooLong = "close reason of 124 bytes exceeds 123 (RFC 6455 section 5.5)"
	boom := errors.New("boom")
	long := strings.Repeat("a", 124)
	wrapped := func(code websock.CloseCode, closeReason string) error {
		return fmt.Errorf("kick: %w", &websock.CloseError{Code: code, Reason: closeReason, Err: boom})
	}
	detail := func(code websock.CloseCode, closeReason string) websock.CloseDetail {
		return websock.CloseDetail{Code: code, Reason: closeReason}
	}
	tests := []struct {
		name    string
		r       websock.Result
		problem string
	}{
		{"carry on", websock.OK(), ""},
		{"Close without Stop", websock.Result{Close: detail(4000, "")}, "Close is set without Stop"},
		{"Stream", websock.Stream(func(func(websock.Message) bool) {}), ""},
		{"Stream with Stop", websock.Result{Stop: boom, Stream: func(func(websock.Message) bool) {}}, "Stream is set with Stop"},
		{"close reason without Stop", websock.Result{Close: detail(0, "a")}, "Close is set without Stop"},

		{"Stop normal", websock.Stop(websock.ErrNormal), ""},
		{"Stop restart", websock.Stop(websock.ErrRestart), ""},
		{"Stop any error", websock.Stop(boom), ""},
		{"Stop remote", websock.Stop(&websock.RemoteCloseError{Code: websock.CloseNoStatus}), ""},

		{"Close, code derived", websock.Close(0, ""), ""},
		{"Close, code derived, with reason", websock.Close(0, "bye"), ""},
		{"Close 1000", websock.Close(1000, ""), ""},
		{"Close 999", websock.Close(999, ""), "close code 999" + badCode},
		{"Close 1004", websock.Close(1004, ""), "close code 1004" + badCode},
		{"Close 1005", websock.Close(1005, ""), "close code 1005 No Status Rcvd" + badCode},
		{"Close 1006", websock.Close(1006, ""), "close code 1006 Abnormal Closure" + badCode},
		{"Close 1015", websock.Close(1015, ""), "close code 1015 TLS handshake" + badCode},
		{"Close 2999", websock.Close(2999, ""), "close code 2999" + badCode},
		{"Close 4999", websock.Close(4999, ""), ""},
		{"Close 5555", websock.Close(5555, "BOOM"), "close code 5555" + badCode},
		{"Close, reason of 123", websock.Close(4000, long[:123]), ""},
		{"Close, reason of 124", websock.Close(4000, long), tooLong},
		{"Close, reason of 62 runes", websock.Close(4000, strings.Repeat("ü", 62)), tooLong},
		{"Close, reason not UTF-8", websock.Close(4000, "\xff"), notUTF8},

		{"StopWith", websock.StopWith(boom, detail(4000, "a")), ""},
		{"StopWith, zero detail", websock.StopWith(boom, detail(0, "")), ""},
		{"StopWith, code derived", websock.StopWith(boom, detail(0, "a")), ""},
		{"StopWith 1005", websock.StopWith(boom, detail(1005, "")), "close code 1005 No Status Rcvd" + badCode},
		{"StopWith, reason of 124", websock.StopWith(boom, detail(4000, long)), tooLong},
		{"StopWith, code derived, reason of 124", websock.StopWith(boom, detail(0, long)), tooLong},
		{"StopWith, reason not UTF-8", websock.StopWith(boom, detail(0, "\xff")), notUTF8},

		{"wrapped CloseError", websock.Stop(wrapped(4000, "a")), ""},
		{"wrapped CloseError, code derived", websock.Stop(wrapped(0, "a")), ""},
		{"wrapped CloseError 5555", websock.Stop(wrapped(5555, "")), "close code 5555" + badCode},
		{"wrapped CloseError, reason of 124", websock.Stop(wrapped(0, long)), tooLong},
		{"wrapped CloseError, reason not UTF-8", websock.Stop(wrapped(4000, "\xff")), notUTF8},

		{"detail replaces a CloseError", websock.StopWith(wrapped(5555, long), detail(4000, "")), ""},
		{"detail takes its code from a CloseError", websock.StopWith(wrapped(5555, ""), detail(0, "a")), "close code 5555" + badCode},
		{"detail replaces the reason of a CloseError", websock.StopWith(wrapped(4000, long), detail(0, "a")), ""},
		{"bad detail over a good CloseError", websock.StopWith(wrapped(4000, ""), detail(1006, "")), "close code 1006 Abnormal Closure" + badCode},

		{"nil *CloseError", websock.Stop((*websock.CloseError)(nil)), "Stop is a nil *CloseError"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkProblem(t, tt.r.Check(), tt.problem, tt.r.Stop)
		})
	}
}

func TestResult_Check_doesNotAllocate(t *testing.T) {
	tests := []struct {
		name string
		r    websock.Result
	}{
		{"zero", websock.OK()},
		{"Push", websock.Push(websock.Text("a"), websock.Ping([]byte("b")))},
		{"Close", websock.Close(4000, "bye", websock.Text("a"))},
		{"Stop", websock.Stop(fmt.Errorf("done: %w", websock.ErrNormal))},
	}
	for _, tt := range tests {
		if n := testing.AllocsPerRun(100, func() {
			if err := tt.r.Check(); err != nil {
				t.Fatalf("%s: Check() = %v, want nil", tt.name, err)
			}
		}); n != 0 {
			t.Errorf("%s: Check allocates %v times, want 0", tt.name, n)
		}
	}
}
