package socket_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// 304, 305, 306, 307, as ours: one line per closed socket, and its level. The close table checks the level of every row.
func TestLog_oneLine(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{})
		h := puppet()
		h.init = func(ctx context.Context) websock.Result { actor.SetLabel(ctx, "user 7"); return websock.OK() }
		c := r.dial(h)
		time.Sleep(3 * time.Second)
		c.must(c.Text("abc"))
		c.want(textFrame("abc"))
		c.must(c.Close(4001, "for reasons of the peer"))
		c.wantEnd(closeFrame(4001, ""))
		c.conn.Close()
		c.end()
		wantOneLine(t, r, c.pid, slog.LevelInfo)
		line := r.logs.of("socket closed", c.pid)[0]
		want := map[string]string{
			"pid": c.pid.String(), "label": "user 7", "remote_addr": c.conn.LocalAddr().String(), "age": "3s",
			"exit_reason": (&websock.RemoteCloseError{Code: 4001}).Error(), "cause": "remote", "close_sent": "4001", "close_received": "4001",
			"frames_read": "2", "bytes_read": fmt.Sprint(3 + 2 + len("for reasons of the peer")),
			"frames_written": "2", "bytes_written": "5", "dropped": "0",
		}
		for key, value := range want {
			if got := line.attrs[key].String(); got != value {
				t.Errorf("%s = %q, want %q", key, got, value)
			}
		}
		for key := range line.attrs {
			if _, ok := want[key]; !ok {
				t.Errorf("%s = %v is in the line, too", key, line.attrs[key])
			}
		}
	})
}

// What the peer wrote is never logged, at no level.
func TestLog_nothingOfThePeer(t *testing.T) {
	const secret = "s3cr3t"
	for name, cause := range map[string]func(c *client){
		"text": func(c *client) { c.must(c.Text(secret)); c.must(c.Close(1000, "")) },
		"text that is not UTF-8": func(c *client) {
			c.must(c.Write(rawclient.Frame{Fin: true, Opcode: 1, Payload: []byte(secret + "\xff")}))
		},
		"close reason": func(c *client) { c.must(c.Close(4000, secret)) },
		"close reason, not UTF-8": func(c *client) {
			c.must(c.Write(rawclient.Frame{Fin: true, Opcode: 8, Payload: []byte("\x0f\xa0" + secret + "\xff")}))
		},
		"close reason, bad code": func(c *client) {
			c.must(c.Write(rawclient.Frame{Fin: true, Opcode: 8, Payload: []byte("\x00\x01" + secret)}))
		},
		"ping too long":         func(c *client) { c.must(c.Ping([]byte(strings.Repeat(secret, 30)))) },
		"message too big":       func(c *client) { c.must(c.Text(strings.Repeat(secret, 30))) },
		"dropped after the end": func(c *client) { c.pid.Exit(websock.ErrNormal); c.must(c.Text(secret)); c.pid.Send(secret) },
		"pushed, not UTF-8":     func(c *client) { c.pid.Send(websock.Text(secret + "\xff")) },
		"pushed close reason": func(c *client) {
			c.pid.Exit(&websock.CloseError{Code: 1, Reason: "x" + "\xff"})
			c.must(c.Text(secret))
		},
	} {
		bubble(t, name, func(t *testing.T) {
			r := serve(t, socket.Config{MaxMessageSize: 100})
			c := r.dial(puppet())
			cause(c)
			go func() {
				for {
					if _, err := c.ReadFrame(); err != nil {
						return
					}
				}
			}()
			c.end()
			lines := r.logs.all(slog.LevelDebug)
			if len(lines) == 0 {
				t.Error("nothing was logged")
			}
			for _, l := range lines {
				if strings.Contains(l.text, secret) {
					t.Errorf("the log shows what the peer wrote: %s", l.text)
				}
			}
		})
	}
}

// A Logger that is not interested is not bothered, and OnClose is called all the same.
func TestLog_levelOff(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{Logger: slog.New(slog.DiscardHandler)})
		c := r.dial(puppet())
		c.pid.Exit(errors.New("x"))
		c.wantEnd(closeFrame(1011, ""))
		c.end()
	})
}
