package socket

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// The tests that look at what watches over a connection, where nothing of it shows outside in time. Run in a bubble.

// connected is the record of a socket that is served in memory, and its peer.
func connected(t *testing.T, cfg Config) (*conn, *rawclient.Client) {
	t.Helper()
	cfg.Logger = slog.New(slog.DiscardHandler)
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ln := pipe.NewListener()
	hs := &http.Server{Handler: s.Handler(func(*http.Request) (websock.Handler, error) { return nobody{}, nil })}
	served := make(chan error, 1)
	go func() { served <- hs.Serve(ln) }()
	nc, err := ln.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		nc.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		hs.Close()
		<-served
	})
	peer, _, err := rawclient.Handshake(nc, rawclient.HandshakeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	for c := range s.all() {
		return c, peer
	}
	t.Fatal("there is no socket after the handshake")
	return nil, nil
}

// TestSleep_notWhenReadingIsToEnd: the reader has found nothing to read, and before it lies down somebody says that
// reading is to end. Nobody would wake the socket then.
func TestSleep_notWhenReadingIsToEnd(t *testing.T) {
	for name, tell := range map[string]func(s *sleep){
		"reading is to end":     (*sleep).rouse,
		"the process has ended": func(s *sleep) { s.end() },
		"TCP is closed":         (*sleep).close,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _ := connected(t, Config{HibernateAfter: time.Hour, IdleTimeout: -1, PingInterval: -1})
				tell(&c.sleep)
				if c.sleep.lieDown() || c.sleep.state() == sleepAsleep {
					t.Errorf("the socket falls asleep, with nobody to wake it")
					c.sleep.Wake(0) // for the end of the test
				}
			})
		})
	}
}

// TestPulse_looksAheadOnly: what was due and has been done does not make the timer come again and again. A deadline in
// the past would be one of each millisecond, for each quiet socket.
func TestPulse_looksAheadOnly(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg  Config
		talk func(peer *rawclient.Client) error
	}{
		"a peer that answers no pings":            {Config{}, nil},
		"the same, and no IdleTimeout":            {Config{IdleTimeout: -1}, nil},
		"the same, and it may not sleep":          {Config{IdleTimeout: -1, HibernateAfter: -1}, nil},
		"pings before it sleeps":                  {Config{IdleTimeout: -1, PingInterval: 5 * time.Second}, nil},
		"half a frame, so that it does not sleep": {Config{MessageTimeout: -1}, func(peer *rawclient.Client) error { return peer.WriteBytes([]byte{0x81}) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, peer := connected(t, tt.cfg)
				if tt.talk != nil {
					if err := tt.talk(peer); err != nil {
						t.Fatal(err)
					}
				}
				for range 550 { // 55 s
					time.Sleep(100 * time.Millisecond)
					synctest.Wait()
					p := &c.pulse
					p.mu.Lock()
					now := p.since(time.Now())
					next, ok := p.next(now)
					p.mu.Unlock()
					// What became due in this very millisecond is looked at in the next one.
					if !ok || next <= now-3*time.Second {
						t.Fatalf("%v after the upgrade the next deadline is at %v (there is one: %t), want one to come", now, next, ok)
					}
				}
			})
		})
	}
}
