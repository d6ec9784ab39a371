package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

// tapCommand shows the frames of a socket until it ends. The observer ends a live connection each 15 minutes, so that rights are asked
// for anew; the Dialer comes back then.
func tapCommand(ctx context.Context, c *client, _ *flags, args []string) error {
	t := &tapping{c: c, pid: args[0]}
	u := *c.base.JoinPath("api/v1/live")
	d := &socket.Dialer{
		URL:    u.String(),
		Header: func(context.Context) (http.Header, error) { return c.header.Clone(), nil },
		Handler: func() websock.Handler {
			t.connected.Store(true)
			return t
		},
		HTTP:    direct,
		Config:  socket.Config{Logger: slog.New(slog.DiscardHandler)},
		Timeout: patience,
		Backoff: socket.Backoff{Retry: func(err error) bool { return t.connected.Load() && socket.ComesBack(err) }},
	}
	err := d.Serve(ctx)
	if t.failed != nil { // written by the process, which has ended
		return t.failed
	}
	refused, ok := errors.AsType[*socket.UpgradeError](err)
	switch {
	case err == nil:
		return nil
	case ok && refused.Status == http.StatusForbidden:
		return &refusedError{http.StatusForbidden, "forbidden", "the observer is not for you"}
	case ok && refused.Status == http.StatusServiceUnavailable:
		return &refusedError{message: "the observer has as many live connections as it may have"}
	}
	return fmt.Errorf("no observer answers at %s: %w", c.base.Redacted(), unwrapped(err))
}

// tapping is the client's end of a live connection.
type tapping struct {
	c         *client
	pid       string
	connected atomic.Bool
	failed    error
}

type frame struct {
	At                        time.Time
	Direction, Opcode, Base64 string
	Size, Lost, Code          int
	Text, Reason              *string
}

type message struct {
	Type, Op, PID, Why string
	Lost               int
	Frames             []frame
	Error              struct{ Code, Message string }
}

func (t *tapping) Init(context.Context) websock.Result {
	return websock.Push(websock.JSON(map[string]string{"op": "tap", "pid": t.pid}))
}

func (t *tapping) HandleInfo(context.Context, any) websock.Result { return websock.OK() }

func (t *tapping) HandleIn(_ context.Context, msg websock.Message) websock.Result {
	var m message
	if err := json.Unmarshal(msg.Data, &m); err != nil {
		t.failed = fmt.Errorf("what answers at %s is no observer: %w", t.c.base.Redacted(), err)
		return websock.Close(websock.CloseNormal, "")
	}
	if t.c.json && m.Type != "hello" {
		fmt.Fprintf(t.c.out, "%s\n", msg.Data)
	}
	switch m.Type {
	case "error":
		t.failed = &refusedError{code: clean(m.Error.Code), message: clean(m.Error.Message), status: statusOf(m.Error.Code)}
		return websock.Close(websock.CloseNormal, "")
	case "tapped":
		if !t.c.json {
			fmt.Fprintf(t.c.out, "tapping %s\n", clean(m.PID))
		}
	case "frames":
		if !t.c.json {
			t.print(&m)
		}
	case "untapped":
		if !t.c.json {
			fmt.Fprintln(t.c.out, "the socket has ended")
		}
		return websock.Close(websock.CloseNormal, "")
	}
	return websock.OK()
}

func (t *tapping) print(m *message) {
	for _, f := range m.Frames {
		if f.Lost > 0 {
			fmt.Fprintf(t.c.out, "... %d frames were lost here\n", f.Lost)
		}
		payload := ""
		switch {
		case f.Text != nil:
			payload = "  " + clean(*f.Text)
		case f.Base64 != "":
			payload = "  base64 " + clean(f.Base64)
		case f.Code != 0:
			payload = fmt.Sprintf("  %d", f.Code)
			if f.Reason != nil {
				payload += " " + clean(*f.Reason)
			}
		}
		fmt.Fprintf(t.c.out, "%s  %-3s  %-6s  %s%s\n", f.At.Format("15:04:05.000"), clean(f.Direction), clean(f.Opcode), size(int64(f.Size)), payload)
	}
	if m.Lost > 0 {
		fmt.Fprintf(t.c.out, "... %d frames were too many to be shown\n", m.Lost)
	}
}

// statusOf is the HTTP status with which the observer has the same code in an answer.
func statusOf(code string) int {
	return map[string]int{"bad_request": 400, "forbidden": 403, "gone": 404, "elsewhere": 404, "not_found": 404, "conflict": 409, "too_many": 429}[code]
}
