package wire_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// recorder is a connection whose Writes are kept apart.
type recorder struct {
	script
	writes [][]byte
	fail   error // of the next Write, after half of it
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.fail != nil {
		r.writes = append(r.writes, bytes.Clone(p[:len(p)/2]))
		return len(p) / 2, r.fail
	}
	r.writes = append(r.writes, bytes.Clone(p))
	return len(p), nil
}

// open accepts over a recorder and forgets the 101.
func open(t testing.TB, o wire.Options, deflate bool) (*recorder, *wire.Conn) {
	t.Helper()
	r := new(recorder)
	c := accept(t, r, o, deflate)
	r.writes = nil
	return r, c
}

func (r *recorder) bytes() []byte { return bytes.Join(r.writes, nil) }

func TestAppend_encodes(t *testing.T) { // RFC 6455 section 5.2
	data := func(n int) []byte { return []byte(noise(n)) }
	tests := []struct {
		name  string
		m     websock.Message
		start string // of the frame, in hex; the payload follows
	}{
		{"binary 0", websock.Binary(nil), "8200"},
		{"111 binary 125", websock.Binary(data(125)), "827d"},
		{"112 binary 126", websock.Binary(data(126)), "827e007e"},
		{"113 binary 127", websock.Binary(data(127)), "827e007f"},
		{"114 binary 16000", websock.Binary(data(16_000)), "827e3e80"},
		{"114 binary 16384", websock.Binary(data(16_384)), "827e4000"},
		{"114 binary 65535", websock.Binary(data(65_535)), "827effff"},
		{"115 binary 65536", websock.Binary(data(65_536)), "827f0000000000010000"},
		{"115 binary 1000000", websock.Binary(data(1_000_000)), "827f00000000000f4240"},
		{"117 text", websock.Text("TEXT"), "8104"},
		{"117 text nil", websock.TextBytes(nil), "8100"},
		{"121 ping 125", websock.Ping(data(125)), "897d"},
		{"121 ping empty", websock.Ping(nil), "8900"},
		{"121 pong 125", websock.Pong(data(125)), "8a7d"},
		{"121 pong empty", websock.Pong(nil), "8a00"},
	}
	roles(t, func(t *testing.T, client bool, sent func([]byte) []byte) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				want := append(unhex(tt.start), tt.m.Data...)
				r, c := open(t, wire.Options{Client: client}, false)
				if err := errors.Join(c.Append(tt.m), c.Flush()); err != nil {
					t.Fatalf("%v: %v", tt.m, err)
				}
				if got := sent(r.bytes()); !bytes.Equal(got, want) {
					t.Errorf("%v:\ngot  %s\nwant %s", tt.m, show(got), show(want))
				}
				if payload := want[len(unhex(tt.start)):]; !bytes.Equal(tt.m.Data, payload) {
					t.Errorf("%v: its Data has become %s", tt.m, show(tt.m.Data))
				}
			})
		}
	})
}

func TestAppendClose(t *testing.T) { // RFC 6455 section 5.5.1
	reason := str(123)
	tests := []struct {
		name   string
		detail websock.CloseDetail
		want   string // "": refused
	}{
		{"119 1000 and 123 bytes", websock.CloseDetail{Code: 1000, Reason: reason}, "887d03e8" + hex.EncodeToString([]byte(reason))},
		{"120 1000", websock.CloseDetail{Code: 1000}, "880203e8"},
		{"120 empty", websock.CloseDetail{}, "8800"},
		{"4999", websock.CloseDetail{Code: 4999, Reason: "é"}, "88041387c3a9"},
		{"124 bytes", websock.CloseDetail{Code: 1000, Reason: reason + "*"}, ""},
		{"not UTF-8", websock.CloseDetail{Code: 1000, Reason: "\xff"}, ""},
		{"1005", websock.CloseDetail{Code: 1005}, ""},
		{"1006", websock.CloseDetail{Code: 1006}, ""},
		{"1015", websock.CloseDetail{Code: 1015}, ""},
		{"999", websock.CloseDetail{Code: 999}, ""},
		{"5555", websock.CloseDetail{Code: 5555}, ""},
		{"reason without code", websock.CloseDetail{Reason: "why"}, ""},
	}
	roles(t, func(t *testing.T, client bool, asServer func([]byte) []byte) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				r, c := open(t, wire.Options{Client: client}, false)
				err := c.AppendClose(tt.detail)
				if tt.want == "" {
					if _, ok := errors.AsType[*websock.ResultError](err); !ok || c.Pending() {
						t.Fatalf("%+v: %v, pending %t; want a *ResultError and nothing pending", tt.detail, err, c.Pending())
					}
					if err := c.AppendClose(websock.CloseDetail{Code: 1011}); err != nil {
						t.Fatalf("a Close after the refused one: %v", err)
					}
					return
				}
				if sent, _ := c.CloseFrames(); sent != nil {
					t.Errorf("CloseFrames before the flush: sent %v", sent)
				}
				if err := errors.Join(err, c.Flush()); err != nil {
					t.Fatalf("%+v: %v", tt.detail, err)
				}
				if got := hex.EncodeToString(asServer(r.bytes())); got != tt.want {
					t.Errorf("%+v:\ngot  %s\nwant %s", tt.detail, got, tt.want)
				}
				want := tt.detail
				if want.Code == 0 {
					want.Code = websock.CloseNoStatus
				}
				if sent, _ := c.CloseFrames(); sent == nil || *sent != want {
					t.Errorf("CloseFrames: sent %v, want %v", sent, want)
				}
				for name, err := range map[string]error{
					"Append":      c.Append(websock.Text("late")),
					"AppendClose": c.AppendClose(websock.CloseDetail{Code: 1000}),
				} {
					if !errors.Is(err, wire.ErrCloseSent) {
						t.Errorf("%s after the Close: %v, want ErrCloseSent", name, err)
					}
				}
				if err := c.Flush(); err != nil || len(asServer(r.bytes())) != len(tt.want)/2 {
					t.Errorf("a flush after the Close: %v, wrote %s", err, show(r.bytes()))
				}
			})
		}
	})
}

// TestAppend_refusesIllegal: nothing illegal reaches the wire, and the gate
// stays open (inventory 265).
func TestAppend_refusesIllegal(t *testing.T) {
	r, c := open(t, wire.Options{}, false)
	for _, m := range []websock.Message{
		websock.Ping(make([]byte, 126)), websock.Pong(make([]byte, 126)),
		{}, {Opcode: 3}, {Opcode: 8, Data: []byte{3, 0xe8}}, {Opcode: 11}, {Opcode: 0x81},
	} {
		if _, ok := errors.AsType[*websock.ResultError](c.Append(m)); !ok || c.Pending() {
			t.Errorf("Append(%v): not refused with a *ResultError", m)
		}
	}
	if err := errors.Join(c.Append(websock.Text("a")), c.Flush()); err != nil || string(r.bytes()) != "\x81\x01a" {
		t.Errorf("then a legal one: %v, wrote %s", err, show(r.bytes()))
	}
}

func TestAppend_deflates(t *testing.T) { // RFC 7692 section 7.2.1
	long := strings.Repeat("a", 1000)
	tests := []struct {
		name  string
		o     wire.Options
		m     websock.Message
		first byte
	}{
		{"56, 160 text", wire.Options{}, websock.Text(long), 0xc1},
		{"161 binary", wire.Options{}, websock.Binary([]byte(long)), 0xc2},
		{"every level 1", wire.Options{Level: 1}, websock.Text(long), 0xc1},
		{"level 1, large", wire.Options{Level: 1}, websock.Text(strings.Repeat(long, 20)), 0xc1},
		{"level 1, prepared", wire.Options{Level: 1}, websock.Prepare(websock.Text(long)), 0xc1},
		{"level 1, what does not get smaller", wire.Options{Level: 1}, websock.Binary([]byte(noise(16 << 10))), 0x82},
		{"level 1, one byte", wire.Options{Level: 1}, websock.Text("a"), 0x81},
		{"every level 9", wire.Options{Level: 9}, websock.Text(long), 0xc1},
		{"large", wire.Options{}, websock.Binary([]byte(strings.Repeat(noise(20_000), 3))), 0xc2},
		{"164 ping", wire.Options{}, websock.Ping([]byte(strings.Repeat("a", 125))), 0x89},
		{"164 pong", wire.Options{}, websock.Pong([]byte(strings.Repeat("a", 125))), 0x8a},
		{"below the threshold", wire.Options{Threshold: 1001}, websock.Text(long), 0x81},
		{"at the threshold", wire.Options{Threshold: 1000}, websock.Text(long), 0xc1},
		{"what does not get smaller", wire.Options{}, websock.Binary([]byte(noise(1000))), 0x82},
		{"what does not get smaller, large", wire.Options{}, websock.Binary([]byte(noise(100_000))), 0x82},
		{"174 empty: one byte would be more than none", wire.Options{}, websock.Text(""), 0x81},
		{"one byte", wire.Options{}, websock.Text("a"), 0x81},
	}
	for i := range 2 * len(tests) {
		tt := tests[i/2]
		tt.o.Client = i%2 == 1
		t.Run(fmt.Sprintf("%s, client %t", tt.name, tt.o.Client), func(t *testing.T) {
			client, c := connect(t, tt.o, true)
			for round := range 2 { // 175: no context is kept, so the second is as large
				before := c.Counts().Out
				if err := errors.Join(c.Append(tt.m), c.Flush()); err != nil {
					t.Fatal(err)
				}
				f, err := client.ReadFrame()
				if err != nil {
					t.Fatalf("client: %v", err)
				}
				if f.Raw[0] != tt.first {
					t.Errorf("round %d: first byte %#x, want %#x", round, f.Raw[0], tt.first)
				}
				payload := f.Payload
				if f.RSV == rawclient.RSV1 {
					if len(payload) >= len(tt.m.Data) || bytes.HasSuffix(payload, []byte("\x00\x00\xff\xff")) {
						t.Errorf("round %d: %d bytes became %d, ending %x", round, len(tt.m.Data), len(payload), payload[max(0, len(payload)-4):])
					}
					if payload, err = rawclient.Inflate(payload); err != nil {
						t.Fatal(err)
					}
				}
				if !bytes.Equal(payload, tt.m.Data) {
					t.Errorf("round %d: client read %s, want %s", round, show(payload), show(tt.m.Data))
				}
				after := c.Counts().Out
				if got := after.Text.Bytes + after.Binary.Bytes + after.Ping.Bytes + after.Pong.Bytes -
					before.Text.Bytes - before.Binary.Bytes - before.Ping.Bytes - before.Pong.Bytes; got != int64(len(f.Payload)) {
					t.Errorf("round %d: counted %d bytes, %d were on the wire", round, got, len(f.Payload))
				}
			}
		})
	}
}

// TestAppend_prepared: connections that write the same form of a prepared
// message write the same bytes, and each gets its own form.
func TestAppend_prepared(t *testing.T) {
	for _, data := range []string{strings.Repeat("a", 1000), noise(1000), strings.Repeat(noise(20_000), 2)} {
		m := websock.Prepare(websock.Binary([]byte(data)))
		for round := range 2 {
			for _, tt := range []struct {
				o       wire.Options
				deflate bool
			}{{wire.Options{}, false}, {wire.Options{Level: 1}, true}, {wire.Options{Level: 9}, true}, {wire.Options{Threshold: 1 << 20}, true},
				{wire.Options{Client: true}, false}, {wire.Options{Client: true, Level: 1}, true}} {
				client, c := connect(t, tt.o, tt.deflate)
				if err := errors.Join(c.Append(m), c.Flush()); err != nil {
					t.Fatal(err)
				}
				if op, p, err := client.ReadMessage(); op != opBinary || string(p) != data || err != nil {
					t.Errorf("round %d, %+v: client read %d, %s, %v; want %s", round, tt.o, op, show(p), err, show([]byte(data)))
				}
			}
		}
	}
}
