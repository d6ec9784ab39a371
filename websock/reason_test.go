package websock_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/websock"
)

func TestReasons_areThoseOfExit(t *testing.T) {
	tests := []struct {
		name      string
		got, want error
	}{
		{"ErrNormal", websock.ErrNormal, exit.ErrNormal},
		{"ErrRemote", websock.ErrRemote, exit.ErrRemote},
		{"ErrShutdown", websock.ErrShutdown, exit.ErrShutdown},
		{"ErrTimeout", websock.ErrTimeout, exit.ErrTimeout},
		{"ErrRestart", websock.ErrRestart, exit.ErrRestart},
		{"ErrOverload", websock.ErrOverload, exit.ErrOverload},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("websock.%s is %q, exit.%s is %q, want the same value", tt.name, tt.got, tt.name, tt.want)
		}
	}
}

func TestReasons(t *testing.T) {
	sentinels := []error{
		websock.ErrNormal, websock.ErrRemote, websock.ErrShutdown,
		websock.ErrTimeout, websock.ErrRestart, websock.ErrOverload,
	}
	tests := []struct {
		name string
		err  error
		text string
		is   []error // of the sentinels, and all of it
		kind exit.Kind
	}{
		{
			"CloseError", &websock.CloseError{Code: 4001, Reason: "kicked"},
			`websock: closed with 4001 "kicked"`, []error{websock.ErrNormal}, exit.Normal,
		},
		{
			"CloseError without a reason", &websock.CloseError{Code: 1001},
			"websock: closed with 1001 Going Away", []error{websock.ErrNormal}, exit.Normal,
		},
		{
			"zero CloseError", &websock.CloseError{},
			"websock: closed with a derived code", []error{websock.ErrNormal}, exit.Normal,
		},
		{
			"CloseError with a cause", &websock.CloseError{Code: 4002, Err: io.ErrUnexpectedEOF},
			"websock: closed with 4002: unexpected EOF", nil, exit.Abnormal,
		},
		{
			"CloseError of a shutdown", &websock.CloseError{Code: 1001, Err: websock.ErrShutdown},
			"websock: closed with 1001 Going Away: shutdown", []error{websock.ErrShutdown}, exit.Shutdown,
		},
		{
			"CloseError of a restart", &websock.CloseError{Reason: "soon", Err: websock.ErrRestart},
			`websock: closed with a derived code "soon": restart`, []error{websock.ErrRestart, websock.ErrNormal}, exit.Normal,
		},
		{
			"RemoteCloseError", &websock.RemoteCloseError{Code: 1001, Reason: "a\n\"b"},
			"websock: peer closed with 1001 Going Away", []error{websock.ErrRemote}, exit.Shutdown,
		},
		{
			"RemoteCloseError, empty", &websock.RemoteCloseError{Code: websock.CloseNoStatus},
			"websock: peer closed with 1005 No Status Rcvd", []error{websock.ErrRemote}, exit.Shutdown,
		},
		{
			"ProtocolError", &websock.ProtocolError{Code: 1002, Rule: "frame is not masked (RFC 6455 section 5.1)"},
			"websock: protocol error, closed with 1002 Protocol error: frame is not masked (RFC 6455 section 5.1)", nil, exit.Shutdown,
		},
		{
			"ProtocolError with a cause", &websock.ProtocolError{Code: 1007, Rule: "bad deflate data (RFC 7692 section 7)", Err: io.ErrUnexpectedEOF},
			"websock: protocol error, closed with 1007 Invalid frame payload data: bad deflate data (RFC 7692 section 7): unexpected EOF", nil, exit.Shutdown,
		},
		{
			"ResultError", &websock.ResultError{Problem: "text is not UTF-8"},
			"websock: refused: text is not UTF-8", nil, exit.Abnormal,
		},
		{
			"ResultError is not what was asked for", websock.Close(5555, "").Check(),
			"websock: refused: close code 5555 cannot be sent; legal are 1000-1003, 1007-1014 and 3000-4999 (RFC 6455 section 7.4)" +
				" (exit reason asked for: websock: closed with 5555)", nil, exit.Abnormal,
		},
		{
			"ResultError of a nil *CloseError", websock.Stop((*websock.CloseError)(nil)).Check(),
			"websock: refused: Stop is a nil *CloseError (exit reason asked for: <nil>)", nil, exit.Abnormal,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.err.Error(); got != tt.text {
				t.Errorf("text:\ngot  %s\nwant %s", got, tt.text)
			}
			for _, err := range []error{tt.err, fmt.Errorf("room 7: %w", tt.err)} {
				for _, sentinel := range sentinels {
					want := false
					for _, s := range tt.is {
						want = want || s == sentinel
					}
					if got := errors.Is(err, sentinel); got != want {
						t.Errorf("errors.Is(%v, %v) = %t, want %t", err, sentinel, got, want)
					}
				}
				if got := exit.KindOf(err); got != tt.kind {
					t.Errorf("KindOf(%v) = %v, want %v", err, got, tt.kind)
				}
			}
		})
	}
}

func TestReasons_unwrapTheCause(t *testing.T) {
	for _, err := range []error{
		&websock.CloseError{Code: 4000, Err: io.EOF},
		&websock.ProtocolError{Code: 1007, Err: io.EOF},
	} {
		if !errors.Is(err, io.EOF) {
			t.Errorf("errors.Is(%v, io.EOF) = false, want true", err)
		}
	}
}

func TestResultError_hidesTheCloseErrorAskedFor(t *testing.T) {
	err := websock.Close(5555, "").Check()
	if ce, ok := errors.AsType[*websock.CloseError](err); ok {
		t.Errorf("errors.As finds %v in %v: a host would send its close frame", ce, err)
	}
}
