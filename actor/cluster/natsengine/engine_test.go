package natsengine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/troupe-dev/troupe/actor/cluster/natsengine"
)

func TestNew_refusesAPrefixThatNoSubjectCanHave(t *testing.T) {
	for _, prefix := range []string{".", "a.", ".a", "a..b", "a b", "a.*", ">", "a\n"} {
		if _, err := natsengine.New(natsengine.Config{Prefix: prefix}); err == nil || !strings.Contains(err.Error(), "Config.Prefix") {
			t.Errorf("New with Prefix %q: %v, want an error that names it", prefix, err)
		}
	}
	newEngine(t, natsengine.Config{Prefix: "prod.eu.troupe"})
}

func TestOpen_refusesWhatNoSubjectCanHave(t *testing.T) {
	e := newEngine(t, natsengine.Config{})
	for _, name := range []string{"", "a.b", "*", "a b"} {
		if _, err := e.Open(context.Background(), name, 1, nil); err == nil {
			t.Errorf("Open(%q) is accepted", name)
		}
	}
	if _, err := e.Open(context.Background(), "x", 0, nil); err == nil {
		t.Error("Open of node 0 is accepted")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := e.Open(ctx, "x", 1, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Open with a ctx that is done: %v", err)
	}
}

// What Open says is logged by a supervisor: no part of a password or token of the URL is in it, whatever is wrong.
func TestOpen_saysNoPassword(t *testing.T) {
	for _, url := range []string{ // nobody listens at port 1
		"nats://node:pa55word@127.0.0.1:1",
		"node:pa55word@127.0.0.1:1",
		"pa55word@127.0.0.1:1",
		"nats://127.0.0.1:1, node:pa55word@127.0.0.1:1",
		"nats://node:pa55word%off@127.0.0.1:1",
		"nats://node:%paw@127.0.0.1:1",
		"nats://node:pa55word#1@127.0.0.1:1",
		"nats://node:pa55word/1@127.0.0.1:1",
		"nats://node:pa55word?@127.0.0.1:1",
		"nats://node:pa55word,x@127.0.0.1:1",
		"nats://node:x pa55word@127.0.0.1:1",
		"nats://node:pa55word@127.0.0.1:port",
	} {
		for name, option := range map[string]nats.Option{
			"a file that is missing": nats.RootCAs("/no/such/ca.pem"), "one try": nats.RetryOnFailedConnect(false),
		} {
			_, err := newEngine(t, natsengine.Config{URL: url, Options: []nats.Option{option}}).Open(context.Background(), "x", 1, nil)
			if err == nil || !strings.HasPrefix(err.Error(), "natsengine: ") {
				t.Errorf("Open of %q with %s: %v, want an error", url, name, err)
				continue
			}
			for _, secret := range []string{"pa55", "5word", "%pa", "%of", "node"} {
				if text := fmt.Sprintf("%v %#v", err, errors.Unwrap(err)); strings.Contains(text, secret) {
					t.Errorf("Open of %q with %s: %q has %q in it", url, name, text, secret)
				}
			}
		}
	}
}

func TestConn_oneNodeOrAllOfACluster(t *testing.T) {
	url := startServer(t, 0, nil).ClientURL()
	e := newEngine(t, natsengine.Config{URL: url})
	a, b, c := join(t, e, "x", 1), join(t, e, "x", 2), join(t, e, "x", 1<<63|3)
	strangers := []*member{join(t, e, "y", 2), join(t, newEngine(t, natsengine.Config{URL: url, Prefix: "other"}), "x", 2)}

	for _, p := range []struct {
		to   uint64
		text string
	}{{2, "to b"}, {1<<63 | 3, "to c"}, {0, "to all"}, {1, "to itself, which NATS does not echo"}, {4, "to nobody"}} {
		if err := a.Publish(p.to, []byte(p.text)); err != nil {
			t.Fatalf("Publish(%x): %v", p.to, err)
		}
	}
	if err := b.Publish(1, []byte("to a")); err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for range 2 {
		got["b "+b.next(t)] = true
		got["c "+c.next(t)] = true
	}
	got["a "+a.next(t)] = true
	for _, want := range []string{"b to b", "b to all", "c to c", "c to all", "a to a"} {
		if !got[want] {
			t.Errorf("got %v, want %q", got, want)
		}
	}
	for name, m := range map[string]*member{"a": a, "b": b, "c": c, "cluster y": strangers[0], "another prefix": strangers[1]} {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if len(m.arrived) > 0 {
			t.Errorf("%s also got %q", name, <-m.arrived)
		}
	}
}

func TestConn_orderOfOneSender(t *testing.T) {
	e := newEngine(t, natsengine.Config{URL: startServer(t, 0, nil).ClientURL()})
	a, b := join(t, e, "x", 1), join(t, e, "x", 2)
	for i := range 1000 {
		if err := a.Publish(2, []byte{byte(i), byte(i >> 8)}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 1000 {
		if got := b.next(t); got != string([]byte{byte(i), byte(i >> 8)}) {
			t.Fatalf("datagram %d is %x", i, got)
		}
	}
}

func TestConn_maxDatagramIsTheServers(t *testing.T) {
	e := newEngine(t, natsengine.Config{URL: startServer(t, 0, func(o *server.Options) { o.MaxPayload = 50_000 }).ClientURL()})
	a, b := join(t, e, "x", 1), join(t, e, "x", 2)
	if got := a.MaxDatagram(); got != 50_000 {
		t.Errorf("MaxDatagram() = %d, want the server's 50000", got)
	}
	if err := a.Publish(2, make([]byte, 50_001)); !errors.Is(err, nats.ErrMaxPayload) {
		t.Errorf("Publish of 50001 bytes: %v, want ErrMaxPayload", err)
	}
	if err := a.Publish(2, make([]byte, 50_000)); err != nil || len(b.next(t)) != 50_000 {
		t.Errorf("Publish of 50000 bytes: %v", err)
	}
}

// TestConn_theServerComesAndGoes: a node may start before its server, and outlives it. What is published meanwhile is lost
// at once, with an error that says why.
func TestConn_theServerComesAndGoes(t *testing.T) {
	s := startServer(t, 0, nil)
	url, port := s.ClientURL(), s.Addr().String()
	stopServer(s)
	e := newEngine(t, natsengine.Config{URL: url})
	a, b := join(t, e, "x", 1), join(t, e, "x", 2)
	if got := a.MaxDatagram(); got != 32<<10 {
		t.Errorf("without a server MaxDatagram() = %d, want 32 KiB", got)
	}
	lost := func() {
		t.Helper()
		err := a.Publish(2, []byte("lost"))
		if err == nil || !strings.HasPrefix(err.Error(), "natsengine: ") {
			t.Errorf("Publish without a server: %v, want an error that says so", err)
		}
	}
	lost()
	for range 2 {
		s = startServer(t, portOf(t, port), nil)
		a.until(t, b, 2, "there")
		stopServer(s)
		for len(b.arrived) > 0 {
			<-b.arrived
		}
		waitFor(t, "the lost server is noticed", func() bool { return a.Publish(2, []byte("x")) != nil })
		lost()
	}
	if len(b.arrived) > 0 {
		if got := <-b.arrived; got == "lost" {
			t.Error("what was refused arrives later")
		}
	}
}

func TestConn_credentials(t *testing.T) {
	s := startServer(t, 0, func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "node", Password: "secret", Permissions: &server.Permissions{
				Publish: &server.SubjectPermission{Allow: []string{"troupe.x.>"}}, Subscribe: &server.SubjectPermission{Allow: []string{"troupe.x.>"}},
			}},
			{Username: "guest", Password: "guest", Permissions: &server.Permissions{
				Publish: &server.SubjectPermission{Deny: []string{"troupe.>"}},
			}},
			{Username: "deaf", Password: "deaf", Permissions: &server.Permissions{
				Subscribe: &server.SubjectPermission{Deny: []string{"troupe.>"}},
			}},
		}
	})
	as := func(user, password string) natsengine.Config {
		return natsengine.Config{URL: s.ClientURL(), Options: []nats.Option{nats.UserInfo(user, password)}}
	}
	e := newEngine(t, as("node", "secret"))
	a, b := join(t, e, "x", 1), join(t, e, "x", 2)
	a.until(t, b, 2, "with the permission that the docs name")

	// A node that hears nobody would take itself for one that is alone.
	if c, err := newEngine(t, as("deaf", "deaf")).Open(context.Background(), "x", 5, func([]byte) {}); !errors.Is(err, nats.ErrPermissionViolation) ||
		!strings.Contains(err.Error(), "Subscription to \"troupe.x.") {
		t.Errorf("Open of a user that may not subscribe = %v, %v; want the server's word", c, err)
		if c != nil {
			_ = c.Close()
		}
	}
	guest := join(t, newEngine(t, as("guest", "guest")), "x", 3)
	if err := guest.Publish(2, []byte("from a guest")); err != nil {
		t.Logf("the guest is told: %v", err)
	}
	if err := guest.Close(); err != nil {
		t.Error(err)
	}
	wrong := join(t, newEngine(t, as("node", "wrong")), "x", 4)
	waitFor(t, "Publish with a wrong password says the server's word", func() bool {
		return errors.Is(wrong.Publish(2, nil), nats.ErrAuthorization)
	})
	a.until(t, b, 2, "the last")
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	for len(b.arrived) > 0 {
		if got := <-b.arrived; got == "from a guest" {
			t.Error("a user without permission reaches a node")
		}
	}
}

func TestConn_close(t *testing.T) {
	e := newEngine(t, natsengine.Config{URL: startServer(t, 0, nil).ClientURL()})
	a := join(t, e, "x", 1)
	entered, leave := make(chan struct{}), make(chan struct{})
	busy, err := e.Open(context.Background(), "x", 2, func([]byte) { close(entered); <-leave })
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Publish(2, []byte("hold")); err != nil {
		t.Fatal(err)
	}
	<-entered
	closed := make(chan struct{})
	go func() { _ = busy.Close(); close(closed) }()
	waitFor(t, "the connection is closed", func() bool { return errors.Is(busy.Publish(1, nil), nats.ErrConnectionClosed) })
	select {
	case <-closed:
		t.Error("Close has returned while recv runs")
	default:
	}
	close(leave)
	<-closed
	if err := busy.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}
