package embedded_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/natsengine/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what a test waits for. These tests run on a real clock and on loopback, since the server does.
const patience = time.Minute

func TestStart_refuses(t *testing.T) {
	secure := &tls.Config{}
	for want, cfg := range map[string]embedded.Config{
		`embedded: Config.Listen "0.0.0.0:6222" is no loopback address, and whoever reaches a server may do everything to every process; missing: Config.TLS, Config.User, Config.Password`: {Listen: "0.0.0.0:6222"},
		`embedded: Config.Listen ":6222" is no loopback address, and whoever reaches a server may do everything to every process; missing: Config.TLS`:                                      {Listen: ":6222", User: "u", Password: "p"},
		`embedded: Config.Listen "node1:6222" is no loopback address, and whoever reaches a server may do everything to every process; missing: Config.User, Config.Password`:               {Listen: "node1:6222", TLS: secure},
		`embedded: Config.ClientListen "[::]:4222" is no loopback address, and whoever reaches a server may do everything to every process; missing: Config.TLS`:                            {ClientListen: "[::]:4222", User: "u", Password: "p"},
		`embedded: Config.Routes "10.0.0.2:6222" is no loopback address, and whoever reaches a server may do everything to every process; missing: Config.TLS`:                              {Listen: "127.0.0.1:0", Routes: []string{"10.0.0.2:6222"}, User: "u", Password: "p"},
		`embedded: Config.User and Config.Password belong together: one of them is missing`:                                                                                                 {User: "u"},
		`embedded: Config.Routes without Config.Listen: servers connect in both directions`:                                                                                                 {Routes: []string{"127.0.0.1:1"}},
		`embedded: Config.Listen "127.0.0.1" is no host and port: address 127.0.0.1: missing port in address`:                                                                               {Listen: "127.0.0.1"},
		`embedded: Config.Listen "127.0.0.1:70000": the port is no number up to 65535`:                                                                                                      {Listen: "127.0.0.1:70000"},
	} {
		if _, err := embedded.Start(cfg); err == nil || err.Error() != want {
			t.Errorf("Start(%+v)\n got  %v\n want %s", cfg, err, want)
		}
	}
}

// A password in an address, where none belongs, is not in the error.
func TestStart_saysNoPassword(t *testing.T) {
	for _, address := range []string{
		"nats-route://node:pa55word@10.0.0.2:6222", "node:pa55word@10.0.0.2:6222", "pa55word@10.0.0.2:6222", "pa55word@10.0.0.2", "h:pa55word@x",
	} {
		for name, cfg := range map[string]embedded.Config{
			"Config.Listen": {Listen: address}, "Config.ClientListen": {ClientListen: address},
			"Config.Routes": {Listen: "127.0.0.1:0", Routes: []string{address}},
		} {
			if _, err := embedded.Start(cfg); err == nil || strings.Contains(err.Error(), "pa55") || !strings.Contains(err.Error(), name) {
				t.Errorf("Start with %s %q: %v, want an error that names the field and has no password", name, address, err)
			}
		}
	}
}

func TestStart_aPortThatIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, cfg := range []embedded.Config{{Listen: l.Addr().String()}, {ClientListen: l.Addr().String()}} {
		if _, err := embedded.Start(cfg); err == nil || !strings.Contains(err.Error(), "address already in use") {
			t.Errorf("Start(%+v): %v, want the error of listen", cfg, err)
		}
	}
}

// start starts a server and has it served until the end of the test, or until stop is called.
func start(t testing.TB, cfg embedded.Config) (s *embedded.Server, stop func()) {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := embedded.Start(cfg)
	if err != nil {
		t.Fatalf("Start(%+v): %v", cfg, err)
	}
	return s, serve(t, s)
}

// serve has a server served until the end of the test, or until stop is called.
func serve(t testing.TB, s *embedded.Server) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-served:
			if err != nil {
				t.Errorf("Serve: %v, want nil", err)
			}
		case <-time.After(patience):
			t.Error("Serve does not return")
		}
	})
	t.Cleanup(stop)
	return stop
}

// join opens the engine of a server for one node, and returns what arrives there.
func join(t testing.TB, e cluster.Engine, self uint64) (cluster.Conn, <-chan string) {
	t.Helper()
	arrived := make(chan string, 1<<16)
	c, err := e.Open(context.Background(), "x", self, func(p []byte) { arrived <- string(p) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, arrived
}

// reaches publishes until it arrives: routes form while it does.
func reaches(t testing.TB, from cluster.Conn, to uint64, arrived <-chan string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(patience); ; {
		err := from.Publish(to, []byte("hello"))
		select {
		case <-arrived:
			return
		case <-tick.C:
		case <-end:
			t.Fatalf("nothing arrives at %d; the last error of Publish: %v", to, err)
		}
	}
}

func TestServer_alone(t *testing.T) {
	s, stop := start(t, embedded.Config{})
	if s.Addr() != "" || s.ClientAddr() != "" {
		t.Errorf("the zero Config listens at %q and %q", s.Addr(), s.ClientAddr())
	}
	a, _ := join(t, s.Engine(), 1)
	_, atB := join(t, s.Engine(), 2)
	reaches(t, a, 2, atB)
	stop()
	for end := time.Now().Add(patience); a.Publish(2, []byte("to a server that has ended")) == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("Publish without a server says nothing")
		}
	}
	serve(t, s)
	reaches(t, a, 2, atB)
	if err := s.Serve(context.Background()); err == nil || err.Error() != "embedded: Serve: this Server is served already" {
		t.Errorf("a second Serve at once: %v", err)
	}
}

// TestServer_keepsClientsOut: with Listen alone there is a port for clients, since nats-server wants it; nobody gets in.
func TestServer_keepsClientsOut(t *testing.T) {
	s, _ := start(t, embedded.Config{Listen: "127.0.0.1:0", User: "node", Password: "secret"})
	if s.ClientAddr() != "" {
		t.Errorf("ClientAddr() = %q, want none", s.ClientAddr())
	}
	addr := embedded.HiddenAddr(s)
	if host, _, err := net.SplitHostPort(addr); err != nil || host != "127.0.0.1" {
		t.Errorf("it listens at %q, want a port of 127.0.0.1", addr)
	}
	for _, option := range []nats.Option{nats.Name("nobody"), nats.UserInfo("node", "secret"), nats.UserInfo("in-process", "")} {
		nc, err := nats.Connect("nats://"+addr, option)
		if err == nil {
			nc.Close()
		}
		if !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("a client from outside: %v, want %v", err, nats.ErrAuthorization)
		}
	}
}

// TestServer_again: a server that a supervisor starts again is where it was.
func TestServer_again(t *testing.T) {
	first, stopFirst := start(t, embedded.Config{Listen: "127.0.0.1:0", ClientListen: "127.0.0.1:0"})
	addr, clientAddr := first.Addr(), first.ClientAddr()
	second, _ := start(t, embedded.Config{Listen: "127.0.0.1:0", Routes: []string{addr}})
	a, _ := join(t, first.Engine(), 1)
	_, atB := join(t, second.Engine(), 2)
	for range 3 {
		reaches(t, a, 2, atB)
		stopFirst()
		if first.Addr() != addr || first.ClientAddr() != clientAddr {
			t.Fatalf("it listens at %s and %s, before at %s and %s", first.Addr(), first.ClientAddr(), addr, clientAddr)
		}
		for len(atB) > 0 {
			<-atB
		}
		stopFirst = serve(t, first)
	}
	reaches(t, a, 2, atB)
}

// TestServer_routes: three servers of which each but the first knows the first find each other, without and with a
// password and TLS; one with another password finds nobody.
func TestServer_routes(t *testing.T) {
	secure := certificate(t)
	for name, base := range map[string]embedded.Config{
		"loopback":       {},
		"password":       {User: "node", Password: "p@ss:w/rd"},
		"TLS, password":  {User: "node", Password: "secret", TLS: secure},
		"and TLS client": {User: "node", Password: "secret", TLS: secure, ClientListen: "127.0.0.1:0"},
	} {
		t.Run(name, func(t *testing.T) {
			base.Listen = "127.0.0.1:0"
			first, stopFirst := start(t, base)
			base.Routes = []string{first.Addr()}
			second, _ := start(t, base)
			third, _ := start(t, base)
			a, atA := join(t, first.Engine(), 1)
			b, atB := join(t, second.Engine(), 2)
			c, atC := join(t, third.Engine(), 3)
			reaches(t, a, 2, atB)
			reaches(t, b, 3, atC)
			reaches(t, c, 1, atA)

			if base.User != "" {
				var log bytes.Buffer
				var mu sync.Mutex
				wrong := base
				wrong.Password = "wrong"
				wrong.Logger = slog.New(slog.NewTextHandler(locked{&mu, &log}, nil))
				stranger, _ := start(t, wrong)
				x, _ := join(t, stranger.Engine(), 9)
				end := time.Now().Add(patience)
				for tick := time.Tick(10 * time.Millisecond); ; <-tick {
					mu.Lock()
					text := log.String()
					mu.Unlock()
					if strings.Contains(text, "Authorization Violation") {
						break
					}
					if time.Now().After(end) {
						t.Fatalf("a server with another password is not told so; its log:\n%s", text)
					}
					_ = x.Publish(0, []byte("from a stranger"))
				}
			}
			stopFirst()
			for len(atC) > 0 {
				if got := <-atC; got != "hello" {
					t.Errorf("arrived: %q", got)
				}
			}
			reaches(t, b, 3, atC) // the others know each other by now, without the first
		})
	}
}

// A server that is gone for good, as after each deploy, is tried each second for an hour. The log says so once.
func TestServer_saysOnceThatARouteIsGone(t *testing.T) {
	var log bytes.Buffer
	var mu sync.Mutex
	gone, stop := start(t, embedded.Config{Listen: "127.0.0.1:0"})
	s, _ := start(t, embedded.Config{
		Listen: "127.0.0.1:0", Routes: []string{gone.Addr()}, Logger: slog.New(slog.NewTextHandler(locked{&mu, &log}, nil)),
	})
	a, _ := join(t, s.Engine(), 1)
	b, atB := join(t, gone.Engine(), 2)
	reaches(t, a, 2, atB)
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	stop()
	told := func(of string) int {
		mu.Lock()
		defer mu.Unlock()
		return strings.Count(log.String(), "trying to connect to route ("+of)
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for end := time.Now().Add(patience); told("attempt 1)") == 0; <-tick.C {
		if time.Now().After(end) {
			t.Fatal("a route that is gone is not told of")
		}
	}
	for range 4 { // as many tries and more; a machine that is slow makes fewer, which does not fail
		<-tick.C
	}
	if n := told("attempt") - told("attempt 1)"); n != 0 {
		t.Errorf("%d lines of further tries, want none:\n%s", n, &log)
	}
}

type locked struct {
	mu *sync.Mutex
	b  *bytes.Buffer
}

func (l locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func TestServer_otherClients(t *testing.T) {
	secure := certificate(t)
	s, _ := start(t, embedded.Config{ClientListen: "127.0.0.1:0", User: "u", Password: "p", TLS: secure})
	if nc, err := nats.Connect("nats://" + s.ClientAddr()); err == nil {
		nc.Close()
		t.Error("a client without password and TLS is let in")
	}
	nc, err := nats.Connect("tls://"+s.ClientAddr(), nats.UserInfo("u", "p"), nats.Secure(secure))
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
}

// certificate makes a configuration whose certificate is for 127.0.0.1 and its own authority.
func certificate(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	own, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(own)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, RootCAs: pool, ClientCAs: pool,
		ClientAuth: tls.RequireAndVerifyClientCert,
	}
}
