package load_test

import (
	"bufio"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/load"
)

// TestEcho_detects runs Echo against servers that do something wrong with the fifth message of a connection.
func TestEcho_detects(t *testing.T) {
	for _, tt := range []struct {
		name string
		fix  func(p, before []byte) [][]byte // the frames instead of the echo
		want string
	}{
		{"nothing wrong", func(p, _ []byte) [][]byte { return [][]byte{frame(0x82, p)} }, ""},
		{"fragments", func(p, _ []byte) [][]byte {
			return [][]byte{frame(0x02, p[:9]), frame(0x89, []byte("ping")), frame(0x80, p[9:])}
		}, ""},
		{"another byte", func(p, _ []byte) [][]byte { p[len(p)-1]++; return [][]byte{frame(0x82, p)} }, "other bytes"},
		{"too short", func(p, _ []byte) [][]byte { return [][]byte{frame(0x82, p[1:])} }, "not the one sent"},
		{"text", func(p, _ []byte) [][]byte { return [][]byte{frame(0x81, p)} }, "not the one sent"},
		{"missing", func([]byte, []byte) [][]byte { return nil }, "sequence number"},
		{"twice", func(p, _ []byte) [][]byte { return [][]byte{frame(0x82, p), frame(0x82, p)} }, "sequence number"},
		{"the one before", func(_, b []byte) [][]byte { return [][]byte{frame(0x82, b)} }, "sequence number"},
		{"masked", func(p, _ []byte) [][]byte { return [][]byte{append([]byte{0x82, 0x84, 0, 0, 0, 0}, p[:4]...)} }, "masked"},
		{"close", func([]byte, []byte) [][]byte { return [][]byte{frame(0x88, nil)} }, "Close frame"},
		{"continuation of nothing", func(p, _ []byte) [][]byte { return [][]byte{frame(0x80, p)} }, "wrong place"},
	} {
		for _, size := range []int{64, 70_000} {
			target := listen(t, func(c net.Conn, in *bufio.Reader) {
				var before []byte
				for i := 0; ; i++ {
					p := receive(in)
					if p == nil {
						return
					}
					out := [][]byte{frame(0x82, p)}
					if i == 4 {
						out = tt.fix(append([]byte(nil), p...), before)
					}
					for _, f := range out {
						c.Write(f)
					}
					before = p
				}
			})
			s, err := load.Echo{Conns: 2, InFlight: 3, Size: size, Warm: time.Millisecond, For: window(tt.want)}.Run(target)
			if tt.want == "" && (err != nil || s.Count == 0 || s.Latency.Count() != s.Count) {
				t.Errorf("%s, %d bytes: got %d messages, %v, want some and no error", tt.name, size, s.Count, err)
			}
			if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%s, %d bytes: got error %v, want one with %q", tt.name, size, err, tt.want)
			}
		}
	}
}

// TestEcho_detectsSilence is about the last message: no later one shows that it is missing.
func TestEcho_detectsSilence(t *testing.T) {
	target := listen(t, func(_ net.Conn, in *bufio.Reader) {
		for receive(in) != nil {
		}
	})
	_, err := load.Echo{Conns: 1, InFlight: 1, Size: 8, For: time.Millisecond}.Run(target)
	if err == nil || !strings.Contains(err.Error(), "missing") && !strings.Contains(err.Error(), "nothing came") {
		t.Errorf("a server that says nothing: got %v", err)
	}
}

// TestBroadcast_detects runs Broadcast against servers that do something wrong with the fifth broadcast, for the second
// connection.
func TestBroadcast_detects(t *testing.T) {
	for _, tt := range []struct {
		name string
		fix  func(p []byte) [][]byte
		want string
	}{
		{"nothing wrong", func(p []byte) [][]byte { return [][]byte{frame(0x81, p)} }, ""},
		{"missing", func([]byte) [][]byte { return nil }, "reached 2 of 3"},
		{"twice", func(p []byte) [][]byte { return [][]byte{frame(0x81, p), frame(0x81, p)} }, "came as number"},
		{"another byte", func(p []byte) [][]byte { q := append([]byte(nil), p...); q[20] = '?'; return [][]byte{frame(0x81, q)} }, "want"},
		{"compressed", func(p []byte) [][]byte { return [][]byte{frame(0xC1, p[:20])} }, "compressed"},
	} {
		var mu sync.Mutex
		var conns []net.Conn
		target := listen(t, func(c net.Conn, in *bufio.Reader) {
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			receive(in)
		})
		sent := 0 // to all
		_, err := load.Broadcast{Conns: 3, Size: 100, For: window(tt.want), Send: func(p []byte) error {
			mu.Lock()
			defer mu.Unlock()
			if len(conns) == 3 {
				sent++
			}
			for i, c := range conns {
				out := [][]byte{frame(0x81, p)}
				if i == 1 && sent == 5 {
					out = tt.fix(p)
				}
				for _, f := range out {
					c.Write(f)
				}
			}
			return nil
		}}.Run(target)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: got error %v, want %q", tt.name, err, tt.want)
		}
	}
}

// together serves a room of three: each message goes to all of them. The fifth one that is said when all are there goes
// to the second member as fix says.
func together(t *testing.T, echo bool, fix func(p []byte) [][]byte) (load.Target, func([]byte) error) {
	var mu sync.Mutex
	var conns []net.Conn
	said := 0
	toAll := func(first byte, p []byte) error {
		mu.Lock()
		defer mu.Unlock()
		if len(conns) == 3 {
			said++
		}
		for i, c := range conns {
			out := [][]byte{frame(first, p)}
			if i == 1 && said == 5 {
				out = fix(append([]byte(nil), p...))
			}
			for _, f := range out {
				c.Write(f)
			}
		}
		return nil
	}
	target := listen(t, func(c net.Conn, in *bufio.Reader) {
		mu.Lock()
		conns = append(conns, c)
		mu.Unlock()
		for p := receive(in); p != nil; p = receive(in) {
			if echo {
				mu.Lock()
				c.Write(frame(0x82, p))
				mu.Unlock()
			} else {
				toAll(0x82, p)
			}
		}
	})
	return target, func(p []byte) error { return toAll(0x81, p) }
}

func TestRooms_detects(t *testing.T) {
	for _, tt := range []struct {
		name string
		fix  func(p []byte) [][]byte
		want string
	}{
		{"nothing wrong", func(p []byte) [][]byte { return [][]byte{frame(0x82, p)} }, ""},
		{"missing", func([]byte) [][]byte { return nil }, "nothing came"},
		{"twice", func(p []byte) [][]byte { return [][]byte{frame(0x82, p), frame(0x82, p)} }, "came as number"},
		{"another number", func(p []byte) [][]byte { p[0]++; return [][]byte{frame(0x82, p)} }, "came as number"},
		{"of another room", func(p []byte) [][]byte { p[5]++; return [][]byte{frame(0x82, p)} }, "came as number"},
		{"another byte", func(p []byte) [][]byte { p[20]++; return [][]byte{frame(0x82, p)} }, "not the one sent"},
	} {
		target, _ := together(t, false, tt.fix)
		s, err := load.Rooms{Rooms: 1, Each: 3, Size: 128, For: window(tt.want)}.Run(target)
		if tt.want == "" && (err != nil || s.Count == 0 || s.Latency.Count() != s.Count) || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: got %d deliveries, error %v, want %q", tt.name, s.Count, err, tt.want)
		}
	}
}

// window is how long a load runs. One that is to meet a fault ends there, which may take a while on a busy machine.
func window(want string) time.Duration {
	if want == "" {
		return 50 * time.Millisecond
	}
	return 10 * time.Second
}

func TestMix_detects(t *testing.T) {
	for _, tt := range []struct {
		name string
		fix  func(p []byte) [][]byte // of a broadcast
		want string
	}{
		{"nothing wrong", func(p []byte) [][]byte { return [][]byte{frame(0x81, p)} }, ""},
		{"twice", func(p []byte) [][]byte { return [][]byte{frame(0x81, p), frame(0x81, p)} }, "came as number"},
		{"another byte", func(p []byte) [][]byte { p[20] = '?'; return [][]byte{frame(0x81, p)} }, "want"},
		{"an echo of nothing", func(p []byte) [][]byte { return [][]byte{frame(0x81, p), frame(0x82, p)} }, "has said nothing"},
		{"missing", func([]byte) [][]byte { return nil }, "reached 2 of 3"},
	} {
		target, send := together(t, true, tt.fix)
		mix := load.Mix{Conns: 3, Talkers: 1, Size: 128, Every: time.Millisecond, For: window(tt.want), Send: send}
		s, err := mix.Run(target)
		if tt.want == "" && (err != nil || s.Latency.Count() == 0 || s.Cast.Count() == 0) || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: got %d messages, error %v, want %q", tt.name, s.Count, err, tt.want)
		}
	}
}

func TestChurn_detects(t *testing.T) {
	for name, tt := range map[string]struct {
		closes bool
		want   string
	}{
		"says goodbye": {true, ""},
		"just ends":    {false, "answer"},
	} {
		target := listen(t, func(c net.Conn, in *bufio.Reader) {
			c.Write(frame(0x82, receive(in)))
			if p := receive(in); tt.closes {
				c.Write(frame(0x88, p))
			}
		})
		s, err := load.Churn{Clients: 2, Size: 128, For: 50 * time.Millisecond}.Run(target)
		if tt.want == "" && (err != nil || s.Count == 0) || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: got %d connections, %v, want error %q", name, s.Count, err, tt.want)
		}
	}
}
