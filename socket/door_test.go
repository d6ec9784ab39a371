package socket_test

import (
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

func TestNew_rates(t *testing.T) {
	for _, tt := range []struct {
		cfg  socket.Config
		want string // a part of the error
	}{
		{socket.Config{UpgradeRate: socket.Rate{PerSecond: -1}}, "Config.UpgradeRate.PerSecond -1: want a number above 0"},
		{socket.Config{UpgradeRate: socket.Rate{PerSecond: math.NaN()}}, "Config.UpgradeRate.PerSecond NaN"},
		{socket.Config{PerAddress: socket.Rate{PerSecond: math.Inf(1)}}, "Config.PerAddress.PerSecond +Inf"},
		{socket.Config{PerAddress: socket.Rate{PerSecond: 1, Burst: -2}}, "Config.PerAddress.Burst -2: negative"},
		{socket.Config{UpgradeRate: socket.Rate{Burst: 5}}, "Config.UpgradeRate.Burst 5 without PerSecond"},
	} {
		if _, err := socket.New(tt.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("New with UpgradeRate %+v, PerAddress %+v: got %v, want an error with %q", tt.cfg.UpgradeRate, tt.cfg.PerAddress, err, tt.want)
		}
	}
}

// door is a Server's http.Handler whose application says no to everybody, with 401, so that one sees whether it was asked.
type door struct {
	t     testing.TB
	h     http.Handler
	srv   *socket.Server
	logs  *logs
	asked int
}

func newDoor(t testing.TB, cfg socket.Config) *door {
	t.Helper()
	site := newSite(t, cfg)
	d := &door{t: t, srv: site.srv, logs: site.logs}
	d.h = site.srv.Handler(func(*http.Request) (websock.Handler, error) {
		d.asked++
		return nil, &socket.UpgradeError{Status: http.StatusUnauthorized}
	})
	return d
}

// knock sends an upgrade from an address, and returns the status, and the Retry-After; 0: none.
func (d *door) knock(from string, fields ...string) (status, after int) {
	d.t.Helper()
	r := goodRequest()
	r.RemoteAddr = from
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	w := httptest.NewRecorder()
	before := d.asked
	d.h.ServeHTTP(w, r)
	if asked := d.asked > before; asked != (w.Code == http.StatusUnauthorized) {
		d.t.Errorf("answered %d, the application was asked: %t", w.Code, asked)
	}
	if text := w.Header().Get("Retry-After"); text != "" {
		var err error
		if after, err = strconv.Atoi(text); err != nil || after < 1 {
			d.t.Errorf("Retry-After %q, want seconds, at least 1", text)
		}
	}
	return w.Code, after
}

func (d *door) want(status int, from string, fields ...string) {
	d.t.Helper()
	if got, _ := d.knock(from, fields...); got != status {
		d.t.Errorf("upgrade from %s %v: got %d, want %d", from, fields, got, status)
	}
}

func TestServer_upgradeRate(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		var events eventList
		d := newDoor(t, socket.Config{Name: "door", UpgradeRate: socket.Rate{PerSecond: 0.5, Burst: 2}, OnEvent: events.add})
		for i, want := range []int{401, 401, 503, 503} {
			if got, after := d.knock("192.0.2.1:1"); got != want || (want == 503) != (after > 0) {
				t.Errorf("upgrade %d: got %d with Retry-After %d, want %d", i, got, after, want)
			}
		}
		time.Sleep(2 * time.Second)
		d.want(401, "192.0.2.1:1")
		d.want(503, "192.0.2.2:1")
		r := goodRequest()
		r.Header.Del("Sec-WebSocket-Key")
		w := httptest.NewRecorder()
		if d.h.ServeHTTP(w, r); w.Code != 400 {
			t.Errorf("what is no upgrade: got %d, want 400 whatever the rate is", w.Code)
		}
		time.Sleep(2 * time.Second)
		d.want(401, "192.0.2.1:1") // what is no upgrade has taken nothing

		synctest.Wait()
		if got := d.srv.Stats().Refused[socket.Refusal{Reason: socket.RefusedRate, Status: 503}]; got != 3 {
			t.Errorf("Stats.Refused for the rate: %d, want 3; all: %v", got, d.srv.Stats().Refused)
		}
		told, all := 0, events.take()
		for _, e := range all {
			if e, ok := e.(socket.Refused); ok && e.Reason == socket.RefusedRate && e.Status == 503 && e.Reason.String() == "rate" {
				told++
			}
		}
		if told != 3 {
			t.Errorf("%d events of a refusal for the rate, want 3: %+v", told, all)
		}
	})
}

// TestServer_upgradeRateLog: a storm is one line in ten seconds, and the next one says how many there were.
func TestServer_upgradeRateLog(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		d := newDoor(t, socket.Config{UpgradeRate: socket.Rate{PerSecond: 0.001}})
		d.want(401, "192.0.2.1:1")
		for range 300 {
			d.want(503, "192.0.2.1:1")
			time.Sleep(100 * time.Millisecond)
		}
		var lines []string
		for _, r := range d.logs.refusals() {
			if r.attrs["status"].String() == "503" {
				lines = append(lines, fmt.Sprint(r.level, " ", r.attrs["omitted"], " ", r.attrs["hint"]))
			}
		}
		hint := " Config.UpgradeRate lets in 0.001 a second, 1 at once"
		want := []string{"INFO <nil>" + hint, "INFO 99" + hint, "INFO 99" + hint}
		if fmt.Sprint(lines) != fmt.Sprint(want) {
			t.Errorf("got lines %q, want %q", lines, want)
		}
	})
}

func TestServer_perAddress(t *testing.T) {
	for _, tt := range []struct {
		first, second string // addresses
		one           bool   // they are one client
	}{
		{"192.0.2.1:1000", "192.0.2.1:2000", true},
		{"192.0.2.1:1000", "192.0.2.2:1000", false},
		{"192.0.2.1:1000", "[::ffff:192.0.2.1]:1000", true},
		{"192.0.2.1:1000", "192.0.2.1", true}, // as middleware writes it that takes it from a header
		{"[2001:db8:1:2::1]:1", "[2001:db8:1:2:ffff::9]:1", true},
		{"[2001:db8:1:2::1]:1", "[2001:db8:1:3::1]:1", false},
		{"[fe80::1%eth0]:1", "[fe80::2%eth1]:1", true},
		{"@", "", true}, // a Unix socket has no address
		{"@", "192.0.2.1:1", false},
	} {
		bubble(t, tt.first+" "+tt.second, func(t *testing.T) {
			d := newDoor(t, socket.Config{PerAddress: socket.Rate{PerSecond: 1. / 60, Burst: 1}})
			d.want(401, tt.first)
			status := 401
			if tt.one {
				status = 429
			}
			d.want(status, tt.second)
			got, after := d.knock(tt.first)
			if got != 429 || after < 61 || after > 70 {
				t.Errorf("the second of %s: got %d with Retry-After %d, want 429 and a minute with 1 s to 10 s more", tt.first, got, after)
			}
			time.Sleep(time.Minute)
			d.want(401, tt.first)
			refusal := socket.Refusal{Reason: socket.RefusedAddress, Status: 429}
			if got := d.srv.Stats().Refused[refusal]; got == 0 || refusal.Reason.String() != "address" {
				t.Errorf("Stats.Refused %v, want some for the address", d.srv.Stats().Refused)
			}
		})
	}
	bubble(t, "one address does not use up what is for all", func(t *testing.T) {
		d := newDoor(t, socket.Config{
			UpgradeRate: socket.Rate{PerSecond: 0.001, Burst: 10}, PerAddress: socket.Rate{PerSecond: 0.001, Burst: 3}})
		for i := range 1000 {
			status := 429
			if i < 3 {
				status = 401
			}
			d.want(status, "192.0.2.1:1")
		}
		for i := range 10 {
			status := 503
			if i < 7 {
				status = 401
			}
			d.want(status, fmt.Sprintf("192.0.2.%d:1", 10+i))
		}
	})
}

// TestServer_perAddressBehindAProxy: without Address all clients of a proxy are one, and the log says what to do, once.
func TestServer_perAddressBehindAProxy(t *testing.T) {
	warnings := func(d *door) (n int) {
		synctest.Wait()
		for _, r := range d.logs.all(slog.LevelWarn) {
			if strings.Contains(r.message, "set Config.Address") {
				n++
			}
		}
		return n
	}
	rate := socket.Rate{PerSecond: 0.001, Burst: 1}
	bubble(t, "without Address", func(t *testing.T) {
		d := newDoor(t, socket.Config{PerAddress: rate})
		d.want(401, "10.0.0.1:1", "X-Forwarded-For", "192.0.2.1")
		d.want(429, "10.0.0.1:1")
		if n := warnings(d); n != 0 {
			t.Errorf("%d warnings about a proxy, and there was none", n)
		}
		d.want(429, "10.0.0.1:1", "X-Forwarded-For", "192.0.2.2")
		d.want(429, "10.0.0.1:1", "Forwarded", "for=192.0.2.3")
		if n := warnings(d); n != 1 {
			t.Errorf("%d warnings about a proxy, want 1", n)
		}
	})
	bubble(t, "with Address", func(t *testing.T) {
		d := newDoor(t, socket.Config{PerAddress: rate, Address: forwardedFor})
		d.want(401, "10.0.0.1:1", "X-Forwarded-For", "192.0.2.1")
		d.want(401, "10.0.0.1:1", "X-Forwarded-For", "192.0.2.2")
		d.want(429, "10.0.0.1:1", "X-Forwarded-For", "192.0.2.7, 192.0.2.1")              // made up by the client
		d.want(429, "10.0.0.1:1", "X-Forwarded-For", "a", "X-Forwarded-For", "192.0.2.2") // HAProxy adds a line
		d.want(401, "10.0.0.1:1")
		d.want(429, "10.0.0.2:1", "X-Forwarded-For", "nonsense")
		if n := warnings(d); n != 0 {
			t.Errorf("%d warnings about a proxy, want none", n)
		}
	})
}

// TestServer_stormOfAddresses: 100,000 upgrades of 10,000 addresses in a second, ten each. Memory is fixed, whoever asks for
// ten gets what one address may have, and the refused ones get the status of the limit that they met.
func TestServer_stormOfAddresses(t *testing.T) {
	if raceEnabled() {
		t.Skip("one goroutine: the race detector has nothing to see, and takes a minute")
	}
	const addresses, each = 10_000, 10
	from := func(i int) string { return fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255) }
	bubble(t, "fair", func(t *testing.T) {
		d := newDoor(t, socket.Config{PerAddress: socket.Rate{PerSecond: 1, Burst: 5}, Logger: slog.New(slog.DiscardHandler)})
		in := make([]int, addresses)
		memory := heapInUse()
		for range each {
			for i := range addresses {
				switch status, _ := d.knock(from(i)); status {
				case 401:
					in[i]++
				case 429:
				default:
					t.Fatalf("%s got %d, want 401 or 429", from(i), status)
				}
			}
			time.Sleep(time.Second / each)
		}
		if grown := heapInUse() - memory; grown > 3<<20 {
			t.Errorf("memory has grown by %d bytes, want at most 1.6 MB, and some slack", grown)
		}
		less, none := 0, 0
		for _, n := range in {
			if n > 5 {
				t.Fatalf("an address got in %d times, want 5 at most: a burst, and what comes in 0.9 s", n)
			}
			if n < 5 {
				less++
			}
			if n == 0 {
				none++
			}
		}
		// 10,000 in 2,048 sets of 8: by Poisson 2.7 % find no bucket of their own, and twice as many share one.
		if less > addresses/10 || none > addresses/100 {
			t.Errorf("%d of %d addresses got less than 5, and %d got in never; want a tenth and a hundredth at most", less, addresses, none)
		}
		t.Logf("%d addresses: %d got less than 5, %d nothing", addresses, less, none)

		time.Sleep(5 * time.Second) // all buckets are full again
		refused := 0
		for i := range addresses {
			for range 5 {
				if status, _ := d.knock(from(addresses + i)); status == 429 { // others than before
					refused++
				}
			}
		}
		if refused > addresses*5/10 {
			t.Errorf("addresses that come later: %d of %d refused; those that are quiet must be forgotten", refused, addresses*5)
		}
	})
	bubble(t, "with a rate for all", func(t *testing.T) {
		const few, often = 10, 100 // ten addresses ask a hundred times in each tenth of a second, the others once
		d := newDoor(t, socket.Config{UpgradeRate: socket.Rate{PerSecond: 1000}, PerAddress: socket.Rate{PerSecond: 1, Burst: 5},
			Logger: slog.New(slog.DiscardHandler)})
		all, greedy := map[int]int{}, map[int]int{}
		for round := range each {
			for i := range addresses - few*often {
				if i%9 == 0 {
					status, _ := d.knock(from(i / 9 % few))
					all[status]++
					greedy[status]++
				}
				status, _ := d.knock(from(few + (i+round*2000)%(addresses-few*often)))
				all[status]++
			}
			time.Sleep(time.Second / each)
		}
		if all[401] != 1900 || all[401]+all[429]+all[503] != addresses*each {
			t.Errorf("got %v, want 1,900 let in: a burst of 1,000, and 1,000 a second", all)
		}
		if greedy[401] > 5*few || greedy[429] == 0 || all[429]-greedy[429] > all[503]/100 {
			t.Errorf("ten greedy addresses got %v, all together %v; want 5 each let in at most, and nobody else refused with 429", greedy, all)
		}
		st := d.srv.Stats().Refused
		if st[socket.Refusal{Reason: socket.RefusedRate, Status: 503}] != uint64(all[503]) ||
			st[socket.Refusal{Reason: socket.RefusedAddress, Status: 429}] != uint64(all[429]) || len(st) != 3 {
			t.Errorf("Stats.Refused %v, want %v", st, all)
		}
	})
}

// TestServer_ratesAtOnce: upgrades that come at once get as many places as there are.
func TestServer_ratesAtOnce(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		srv, err := socket.New(socket.Config{
			UpgradeRate: socket.Rate{PerSecond: 0.001, Burst: 100}, PerAddress: socket.Rate{PerSecond: 0.001, Burst: 7},
			Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Shutdown(t.Context())
		var in [8]atomic.Int32
		h := srv.Handler(func(r *http.Request) (websock.Handler, error) {
			in[r.RemoteAddr[len("192.0.2.")]-'0'].Add(1)
			return nil, &socket.UpgradeError{Status: http.StatusUnauthorized}
		})
		var all sync.WaitGroup
		for i := range 16 {
			all.Go(func() {
				for range 50 {
					r := goodRequest()
					r.RemoteAddr = fmt.Sprintf("192.0.2.%d:1", i%len(in))
					h.ServeHTTP(httptest.NewRecorder(), r)
				}
			})
		}
		all.Wait()
		for i := range in {
			if n := in[i].Load(); n != 7 {
				t.Errorf("address %d got in %d times, want 7", i, n)
			}
		}
	})
}

// heapInUse is what is reachable.
func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestServer_retryAfterIsAQueue: clients that were refused, and come back when Retry-After says, get in at the rate, and few of
// them have to come a third time.
func TestServer_retryAfterIsAQueue(t *testing.T) {
	const clients, rate = 20_000, 500
	bubble(t, "", func(t *testing.T) {
		d := newDoor(t, socket.Config{UpgradeRate: socket.Rate{PerSecond: rate}, Logger: slog.New(slog.DiscardHandler)})
		due := map[int]int{0: clients} // how many come in which second
		tries, longest := 0, 0
		for second := 0; len(due) > 0; second++ {
			n := due[second]
			delete(due, second)
			for i := range n {
				if i > 0 && i%(max(n/100, 1)) == 0 {
					time.Sleep(time.Second / 200)
				}
				tries++
				status, after := d.knock("192.0.2.1:1")
				if status == 401 {
					longest = second
					continue
				}
				if after > 301 {
					t.Fatalf("Retry-After %d, want 5 min at most", after)
				}
				due[second+after]++
			}
			time.Sleep(time.Until(start(t).Add(time.Duration(second+1) * time.Second)))
		}
		t.Logf("%d clients at %d a second: all are in after %d s, with %.2f attempts each", clients, rate, longest, float64(tries)/clients)
		if ideal := clients / rate; longest > 2*ideal || tries > 3*clients {
			t.Errorf("all are in after %d s with %d attempts; the rate would take %d s, and %d attempts are the fewest", longest, tries, ideal, 2*clients)
		}
	})
}

// start is when the bubble began.
func start(testing.TB) time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }

// TestServer_rateWithSockets: the limits hold for real upgrades, by Handler and Upgrade alike.
func TestServer_rateWithSockets(t *testing.T) {
	for name, byUpgrade := range map[string]bool{"Handler": false, "Upgrade": true} {
		bubble(t, name, func(t *testing.T) {
			h := newSite(t, socket.Config{UpgradeRate: socket.Rate{PerSecond: 1, Burst: 3}})
			handler := h.sockets(func() websock.Handler { return idleHandler{} })
			if byUpgrade {
				handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					pid, err := h.srv.Upgrade(w, r, idleHandler{})
					if (err == nil) != (pid != actor.PID{}) {
						t.Errorf("Upgrade: %v, %v", pid, err)
					}
				})
			}
			h.overMemory(handler)
			for range 3 {
				h.connect(rawclient.HandshakeOptions{})
			}
			resp, body := h.refused(rawclient.HandshakeOptions{})
			if resp.StatusCode != 503 || !strings.Contains(body, "too many upgrades") || resp.Header.Get("Retry-After") == "" {
				t.Errorf("the fourth got %d %q, header %v; want 503, the reason, a Retry-After", resp.StatusCode, body, resp.Header)
			}
			synctest.Wait() // a client has its 101 before the server counts its socket
			if n := h.srv.Count(); n != 3 {
				t.Errorf("%d sockets, want 3", n)
			}
			time.Sleep(time.Second)
			h.connect(rawclient.HandshakeOptions{})
		})
	}
}

func TestDialer_takesNoRates(t *testing.T) {
	for _, cfg := range []socket.Config{
		{UpgradeRate: socket.Rate{PerSecond: 1}}, {PerAddress: socket.Rate{PerSecond: 1}},
		{Address: func(*http.Request) netip.Addr { return netip.Addr{} }},
	} {
		d := &socket.Dialer{URL: "ws://x", Handler: func() websock.Handler { return idleHandler{} }, Config: cfg}
		if err := d.Serve(t.Context()); err == nil || !strings.Contains(err.Error(), "only a server") {
			t.Errorf("Serve: %v, want an error that says that only a server gets upgrades", err)
		}
	}
}
