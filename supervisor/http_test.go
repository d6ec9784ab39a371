package supervisor_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/supervisor"
)

// pipes is a listener over memory.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.done:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// get does a request over p on a connection of its own.
func (p *pipes) get(path string) (string, error) {
	tr := &http.Transport{DialContext: p.dial, DisableKeepAlives: true}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Get("http://pipes" + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// web is an HTTP service over memory whose /slow takes an hour unless it is cut off.
type web struct {
	*pipes // the present listener
	listen error
	cut    bool
}

func (w *web) service() supervisor.Service {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, "hello") })
	mux.HandleFunc("/slow", func(rw http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(time.Hour):
			fmt.Fprint(rw, "at last")
		case <-r.Context().Done():
			w.cut = true
		}
	})
	return supervisor.HTTP(&http.Server{Handler: mux}, func(context.Context) (net.Listener, error) {
		if w.listen != nil {
			return nil, w.listen
		}
		w.pipes = newPipes()
		return w.pipes, nil
	})
}

func TestHTTP_restarts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := &web{}
		r := serve(t, supervisor.Config{}, spec("web", w.service(), 0))
		r.want("start", "+web")
		for range 3 {
			if body, err := w.get("/"); err != nil || body != "hello" {
				t.Fatalf("GET: %q, %v", body, err)
			}
			cut := make(chan error, 1)
			go func() { _, err := w.get("/slow"); cut <- err }()
			synctest.Wait()
			w.Close() // the listener fails
			r.want("failure", "-web:abnormal +web")
			if err := <-cut; err == nil {
				t.Error("a request to the server that failed goes on")
			}
		}
		wantErr(t, "Serve", r.end(), nil)
		if _, err := w.get("/"); err == nil {
			t.Error("GET after the end works")
		}
	})
}

func TestHTTP_shutdown(t *testing.T) {
	for _, test := range []struct {
		name     string
		shutdown time.Duration
		takes    time.Duration // about
		cut      bool
	}{
		{"in time", 2 * time.Hour, time.Hour, false},
		{"Infinity", supervisor.Infinity, time.Hour, false},
		{"default", 0, 5 * time.Second, true},
		{"too long", time.Minute, time.Minute, true},
		{"Kill", supervisor.Kill, 0, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := &web{}
				r := serve(t, supervisor.Config{}, supervisor.ChildSpec{ID: "web", Service: w.service(), Shutdown: test.shutdown})
				type answer struct {
					body string
					err  error
				}
				answers := make(chan answer, 1)
				go func() { body, err := w.get("/slow"); answers <- answer{body, err} }()
				synctest.Wait()
				start := time.Now()
				wantErr(t, "Serve", r.end(), nil)
				// http.Server.Shutdown looks every half second whether the last request is over.
				if took := time.Since(start); took < test.takes || took > test.takes+time.Second {
					t.Errorf("the end took %v, want about %v", took, test.takes)
				}
				a := <-answers
				if synctest.Wait(); w.cut != test.cut || (a.err != nil) != test.cut {
					t.Errorf("the request was cut off: %v (its client got %q, %v), want %v", w.cut, a.body, a.err, test.cut)
				}
			})
		})
	}
}

// Outside of a supervisor there are 5 s for the requests in progress.
func TestHTTP_withoutSupervisor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := &web{}
		s := w.service()
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error)
		go func() { served <- s.Serve(ctx) }()
		synctest.Wait()
		go w.get("/slow")
		synctest.Wait()
		start := time.Now()
		cancel()
		err := <-served
		if took := time.Since(start); took != 5*time.Second || err == nil {
			t.Errorf("Serve returned %v after %v, want an error after 5 s", err, took)
		}
	})
}

func TestHTTP_listenFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := &web{listen: errCrash}
		r := serve(t, supervisor.Config{}, spec("a", newService(), 0), spec("web", w.service(), 0), spec("b", newService(), 0))
		wantErr(t, "Serve", r.wait(), errCrash)
		r.want("start", "+a +web -web:abnormal -a:shutdown")
	})
}

func TestHTTP_readyWhenItListens(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := supervisor.HTTP(&http.Server{}, func(ctx context.Context) (net.Listener, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		r := serve(t, supervisor.Config{}, supervisor.ChildSpec{ID: "web", Service: s, StartTimeout: time.Minute})
		r.wantChildren("while it does not listen", "web:starting")
		wantErr(t, "Serve", r.wait(), supervisor.ErrStartTimeout)
	})
}

// A real network: it is about the default listener, and TLS over it.
func TestHTTP_defaultListener(t *testing.T) {
	ts := httptest.NewTLSServer(nil)
	withCertificate, client := ts.TLS.Clone(), ts.Client()
	ts.Close()
	for scheme, config := range map[string]*tls.Config{"http": nil, "https": withCertificate} {
		t.Run(scheme, func(t *testing.T) {
			addr := make(chan string, 2)
			srv := &http.Server{
				Addr:      "127.0.0.1:0",
				TLSConfig: config,
				Handler:   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }),
				BaseContext: func(l net.Listener) context.Context {
					addr <- l.Addr().String()
					return context.Background()
				},
			}
			s, err := supervisor.New(supervisor.Config{Logger: quiet}, spec("web", supervisor.HTTP(srv, nil), 0))
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				ctx, cancel := context.WithCancel(t.Context())
				served := make(chan error)
				go func() { served <- s.Serve(ctx) }()
				resp, err := client.Get(scheme + "://" + <-addr)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || string(body) != "hello" {
					t.Errorf("GET: %q, %v", body, err)
				}
				client.CloseIdleConnections()
				cancel()
				wantErr(t, "Serve", <-served, nil)
			}
		})
	}
	t.Run("TLS without a certificate", func(t *testing.T) {
		p := newPipes()
		s := supervisor.HTTP(&http.Server{TLSConfig: &tls.Config{}}, func(context.Context) (net.Listener, error) { return p, nil })
		defer func() {
			select {
			case <-p.done:
			default:
				t.Error("the listener is not closed")
			}
		}()
		if err := s.Serve(t.Context()); err == nil || exit.KindOf(err) != exit.Abnormal {
			t.Errorf("Serve: %v, want an abnormal error", err)
		}
	})
}

// Every exported field of the template is in the server that runs.
func TestHTTP_copiesAllFields(t *testing.T) {
	template := &http.Server{
		Addr: "a", Handler: http.NotFoundHandler(), DisableGeneralOptionsHandler: true, TLSConfig: &tls.Config{ServerName: "x"},
		ReadTimeout: 1, ReadHeaderTimeout: 2, WriteTimeout: 3, IdleTimeout: 4, MaxHeaderBytes: 5,
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){"p": nil},
		ConnState:    func(net.Conn, http.ConnState) {}, ErrorLog: log.Default(),
		BaseContext: func(net.Listener) context.Context { return nil },
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context { return ctx },
		HTTP2:       &http.HTTP2Config{}, Protocols: new(http.Protocols),
	}
	if c := supervisor.CopyServer(template); c.TLSConfig == template.TLSConfig || c.TLSConfig.ServerName != "x" {
		t.Error("TLSConfig is shared, and net/http writes to it; want a clone")
	}
	got := reflect.ValueOf(supervisor.CopyServer(template)).Elem()
	want := reflect.ValueOf(template).Elem()
	for i := range want.NumField() {
		f := want.Type().Field(i)
		if !f.IsExported() {
			continue
		}
		if want.Field(i).IsZero() {
			t.Errorf("http.Server has a field %s that this test does not set", f.Name)
		}
		if got.Field(i).IsZero() {
			t.Errorf("field %s is not copied", f.Name)
		}
	}
}
