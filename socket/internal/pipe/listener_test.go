package pipe_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/pipe"
)

func TestListener_acceptsInOrder(t *testing.T) {
	l := pipe.NewListener()
	defer l.Close()
	for _, text := range []string{"first", "second"} {
		c, err := l.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	var addrs []net.Addr
	for _, want := range []string{"first", "second"} {
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(c); err != nil || string(got) != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
		if c.LocalAddr() != l.Addr() {
			t.Errorf("local address %v, want the listener's %v", c.LocalAddr(), l.Addr())
		}
		addrs = append(addrs, c.RemoteAddr())
	}
	if addrs[0] == addrs[1] {
		t.Errorf("two clients have the address %v", addrs[0])
	}
}

func TestListener_Accept_waits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := pipe.NewListener()
		accept := func() (int, error) { _, err := l.Accept(); return 0, err }
		done, got := start(t, accept)
		if _, err := l.Dial(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-done
		if got.err != nil {
			t.Errorf("after Dial: got %v, want nil", got.err)
		}
		done, got = start(t, accept)
		_ = l.Close()
		<-done
		if !errors.Is(got.err, net.ErrClosed) {
			t.Errorf("after Close: got %v, want net.ErrClosed", got.err)
		}
	})
}

func TestListener_Close(t *testing.T) {
	l := pipe.NewListener()
	accepted, err := l.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	waiting, err := l.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("first Close: %v", err)
	}
	if err := l.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second Close: got %v, want net.ErrClosed", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: got %v, want net.ErrClosed", err)
	}
	if _, err := l.Dial(t.Context()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("Dial: got %v, want ECONNREFUSED", err)
	}
	if _, err := waiting.Read(make([]byte, 1)); !errors.Is(err, pipe.ErrReset) {
		t.Errorf("a connection that nobody accepted: got %v, want ErrReset", err)
	}
	if _, err := server.Write([]byte("x")); err != nil {
		t.Errorf("server end of an accepted connection: %v", err)
	}
	if _, err := accepted.Read(make([]byte, 1)); err != nil {
		t.Errorf("client end of an accepted connection: %v", err)
	}
}

func TestListener_Dial_endedContext(t *testing.T) {
	l := pipe.NewListener()
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Dial(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestListener_Buffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := pipe.NewListener()
		l.Buffer = 10
		c, err := l.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		done, got := start(t, func() (int, error) { return c.Write(make([]byte, 100)) })
		_ = l.Close()
		<-done
		if got.n != 10 {
			t.Errorf("%d bytes were taken, want 10", got.n)
		}
	})
}

func TestListener_servesHTTPInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := pipe.NewListener()
		mux := http.NewServeMux()
		mux.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.RemoteAddr)
		})
		mux.HandleFunc("GET /hijack", func(w http.ResponseWriter, r *http.Request) {
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Errorf("hijack: %v", err)
				return
			}
			_, isPipe := c.(*pipe.Conn)
			if !isPipe {
				t.Errorf("hijacked a %T, want a *pipe.Conn", c)
			}
			_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\n\r\nraw")
			_ = c.Close()
		})
		srv := &http.Server{Handler: mux, IdleTimeout: time.Minute, ReadHeaderTimeout: time.Second}
		served := make(chan error)
		go func() { served <- srv.Serve(l) }()
		tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return l.Dial(ctx) }}
		defer tr.CloseIdleConnections()
		client := &http.Client{Transport: tr}

		for range 2 { // the second request uses the connection of the first
			resp, err := client.Get("http://pipe/hello")
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err != nil || string(body) != "pipe:1" {
				t.Errorf("got %q, %v, want the client's address pipe:1", body, err)
			}
			time.Sleep(time.Second)
		}

		c, err := l.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "GET /hijack HTTP/1.1\r\nHost: pipe\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(c)
		if want := "HTTP/1.1 101 Switching Protocols\r\n\r\nraw"; err != nil || string(got) != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}

		// The idle timeout of the server is a read deadline on the fake clock.
		time.Sleep(2 * time.Minute)
		if err := srv.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: got %v, want http.ErrServerClosed", err)
		}
	})
}
