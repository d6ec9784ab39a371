package nodes

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/troupe-dev/troupe/actor/cluster/natsengine"
	"github.com/troupe-dev/troupe/docs/nodes/internal/kit"
)

// TestConf starts the nats.conf of the page. Nodes with the user's key connect. Nobody else gets in, and the user cannot do
// anything else.
func TestConf(t *testing.T) {
	text, err := os.ReadFile("nats.conf")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	kit.Certificates(t, filepath.Join(dir, "tls"))
	t.Setenv("TROUPE_NKEY", kit.User(t, filepath.Join(dir, "nats.nk")))
	conf := strings.ReplaceAll(string(text), "/etc/nats", dir)
	conf = strings.Replace(conf, "0.0.0.0:4222", "127.0.0.1:-1", 1)
	// Somebody else's account, as the page says that one can be beside it.
	conf = strings.Replace(conf, "accounts {", "accounts {\n  OTHERS { users: [ { user: other, password: other } ] }\n", 1)
	s := kit.Server(t, conf)
	url := "tls://" + s.Addr().String()

	key, err := nats.NkeyOptionFromSeed(filepath.Join(dir, "nats.nk"))
	if err != nil {
		t.Fatal(err)
	}
	ca := nats.RootCAs(filepath.Join(dir, "tls", "ca.crt"))
	engine, err := natsengine.New(natsengine.Config{URL: url, Options: []nats.Option{key, ca}})
	if err != nil {
		t.Fatal(err)
	}
	a, b := newNode(t, "a", "shop", engine), newNode(t, "b", "shop", engine)
	talk(t, a, b)
	if err := a.Ready(); err != nil {
		t.Errorf("Ready: %v", err)
	}

	t.Run("who does not get in", func(t *testing.T) {
		stranger, err := nats.NkeyOptionFromSeed(func() string {
			name := filepath.Join(t.TempDir(), "nats.nk")
			kit.User(t, name)
			return name
		}())
		if err != nil {
			t.Fatal(err)
		}
		for name, o := range map[string]struct {
			options []nats.Option
			want    string
		}{
			"without a key":       {[]nats.Option{ca}, "(?i)authorization violation|nkeys not supported"},
			"with another key":    {[]nats.Option{ca, stranger}, "(?i)authorization violation"},
			"without TLS":         {[]nats.Option{key}, "(?i)tls|certificate"},
			"with a guessed user": {[]nats.Option{ca, nats.UserInfo("troupe", "troupe")}, "(?i)authorization violation"},
			"with a certificate of nobody": {[]nats.Option{key, nats.RootCAs(func() string {
				dir := t.TempDir()
				kit.Certificates(t, dir)
				return filepath.Join(dir, "ca.crt")
			}())}, "(?i)certificate"},
		} {
			nc, err := nats.Connect(url, o.options...)
			if err == nil {
				nc.Close()
			}
			if err == nil || !regexp.MustCompile(o.want).MatchString(err.Error()) {
				t.Errorf("%s: %v, want %s", name, err, o.want)
			}
		}
	})
	t.Run("what the user may not do", func(t *testing.T) {
		refused := make(chan error, 8)
		nc, err := nats.Connect(url, key, ca, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		next := func() error { // the server's word on what was just done, or nil when it has none
			if err := nc.Flush(); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-refused:
				return err
			case <-time.After(5 * time.Second): // it comes before the answer to Flush, on another goroutine
				return nil
			}
		}
		for _, subject := range []string{"troupe.other.hello", "orders", "$SYS.REQ.SERVER.PING"} {
			if err := nc.Publish(subject, nil); err != nil {
				t.Fatal(err)
			}
			if err := next(); !errors.Is(err, nats.ErrPermissionViolation) {
				t.Errorf("publish to %s: %v, want a permissions violation", subject, err)
			}
		}
		for _, subject := range []string{">", "troupe.>", "orders"} {
			if _, err := nc.SubscribeSync(subject); err != nil {
				t.Fatal(err)
			}
			if err := next(); !errors.Is(err, nats.ErrPermissionViolation) {
				t.Errorf("subscribe to %s: %v, want a permissions violation", subject, err)
			}
		}
	})
	t.Run("another account", func(t *testing.T) {
		nc, err := nats.Connect(url, ca, nats.UserInfo("other", "other"))
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		heard, err := nc.SubscribeSync(">")
		if err != nil {
			t.Fatal(err)
		}
		talk(t, b, a)
		if err := nc.Publish("troupe.shop.hello", []byte("nonsense")); err != nil { // its echo: all before has come
			t.Fatal(err)
		}
		for {
			m, err := heard.NextMsg(kit.Patience)
			if err != nil {
				t.Fatal(err)
			}
			if string(m.Data) != "nonsense" {
				t.Errorf("it hears %q on %s", m.Data, m.Subject)
				continue
			}
			break
		}
	})
}
