package peer_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/peer"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

// echoes are what a Dialer sends to an echo server, one after the other.
func echoes() (ms []websock.Message) {
	for _, size := range []int{0, 1, 125, 126, 127, 65535, 65536, 1 << 20} {
		text := strings.Repeat("größer ", size/8+1)[:size]
		ms = append(ms, websock.Binary([]byte(text)), websock.Text(strings.ToValidUTF8(text, "x")))
	}
	return ms
}

// visitor sends what is left of ms, each when the echo of the one before is there, and then ends the connection.
type visitor struct {
	ms   []websock.Message
	left int
}

func (v *visitor) Init(context.Context) websock.Result { return websock.Push(v.ms[0]) }

func (v *visitor) HandleIn(_ context.Context, m websock.Message) websock.Result {
	i := len(v.ms) - v.left
	if want := v.ms[i]; !m.Equal(want) {
		return websock.Stop(fmt.Errorf("echo %d: got %d bytes, opcode %d, want %d bytes, opcode %d", i, len(m.Data), m.Opcode, len(want.Data), want.Opcode))
	}
	if v.left--; v.left == 0 {
		return websock.Close(websock.CloseNormal, "")
	}
	return websock.Push(v.ms[i+1])
}

func (v *visitor) HandleInfo(context.Context, any) websock.Result { return websock.OK() }

// visit has a Dialer send all echoes to a server, and checks how the connection was and how it ended.
func visit(t *testing.T, url string, deflate, compressed bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ms := echoes()
	var ended socket.Closed
	d := &socket.Dialer{
		URL:     url,
		HTTP:    &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}, // a certificate of the test's
		Handler: func() websock.Handler { return &visitor{ms, len(ms)} },
		Backoff: socket.Backoff{Retry: func(error) bool { return false }},
		Config: socket.Config{
			Compression: socket.Compression{On: deflate},
			OnClose:     func(c socket.Closed) { ended = c },
			Logger:      slog.New(slog.DiscardHandler),
		},
	}
	if err := d.Serve(ctx); err != nil || ctx.Err() != nil {
		t.Fatalf("Serve: %v; ctx: %v", err, ctx.Err())
	}
	if ended.Compressed != compressed {
		t.Errorf("compression: got %t, want %t", ended.Compressed, compressed)
	}
	if n := ended.Read.Text.Frames + ended.Read.Binary.Frames; n == 0 {
		t.Errorf("frames read: %d", n)
	}
	if ended.Received == nil || ended.Received.Code != websock.CloseNormal {
		t.Errorf("the server's answer to our Close: got %+v, want 1000", ended.Received)
	}
}

// TestDialer_peers: a Dialer and the servers of other libraries, and our own, understand each other.
func TestDialer_peers(t *testing.T) {
	for _, p := range here() {
		if p.NoEcho || p.Raw {
			continue
		}
		for _, o := range []peer.Options{{}, {Deflate: true}, {TLS: true}} {
			if o.Deflate && p.NoDeflate || o.TLS && p.NoTLS {
				continue
			}
			t.Run(fmt.Sprintf("%s, deflate %t, TLS %t", p.Name, o.Deflate, o.TLS), func(t *testing.T) {
				target, _ := serve(t, p, o)
				scheme := "ws"
				if o.TLS {
					scheme = "wss"
				}
				visit(t, scheme+"://"+target.Addr+"/ws", o.Deflate, o.Deflate)
			})
		}
	}
}

// TestDialer_ws is the same with the server of the npm package ws, and a Close of that server.
func TestDialer_ws(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("no node here")
	}
	if _, err := os.Stat("../../node_modules/ws"); err != nil {
		t.Skip("no ws here: npm ci in docs/benchmarks")
	}
	for _, deflate := range []bool{false, true} {
		t.Run(fmt.Sprintf("deflate %t", deflate), func(t *testing.T) {
			mode := "plain"
			if deflate {
				mode = "deflate"
			}
			cmd := exec.Command(node, "ws.js", mode)
			cmd.Stderr = os.Stderr
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			defer cmd.Wait() //nolint:errcheck // it ends when its input does
			defer in.Close()
			port, err := bufio.NewReader(out).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			url := "ws://127.0.0.1:" + strings.TrimSpace(port) + "/ws"
			visit(t, url, deflate, deflate)

			d := &socket.Dialer{URL: url, Handler: func() websock.Handler { return &visitor{[]websock.Message{websock.Text("bye")}, 1} },
				Config: socket.Config{Logger: slog.New(slog.DiscardHandler)}}
			err = d.Serve(t.Context())
			if closed, ok := errors.AsType[*websock.RemoteCloseError](err); !ok || closed.Code != 4000 || closed.Reason != "bye" {
				t.Errorf("Serve after a Close of the server: got %v, want 4000 bye", err)
			}
		})
	}
}
