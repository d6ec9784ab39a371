package chat

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

// world is a chat with its supervisors running, in the bubble of t.
type world struct {
	t *testing.T
	*Chat
}

func inBubble(t *testing.T, f func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		sys := sockettest.NewSystem(t)
		c, err := New(Config{System: sys, Registry: registry.New(sys), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		tree, err := supervisor.New(supervisor.Config{Name: "chat", Logger: c.logger}, c.Children()...)
		if err != nil {
			t.Fatal(err)
		}
		sockettest.Run(t, tree)
		synctest.Wait()
		f(&world{t, c})
	})
}

// page is a client that speaks the protocol.
type page struct {
	t *testing.T
	*sockettest.Conn
}

func (w *world) connect() *page {
	w.t.Helper()
	return &page{w.t, sockettest.Serve(w.t, socket.Config{System: w.sys}, newClient(w.Chat))}
}

// in is connect, hello and join, with every answer read.
func (w *world) in(name, room string) *page {
	w.t.Helper()
	p := w.connect()
	p.hello(name, name, "page of "+name)
	p.want("welcome")
	p.ask(`{"type":"join","room":%q}`, room)
	p.want("joined")
	return p
}

func (p *page) hello(name, key, session string) {
	p.t.Helper()
	pad := strings.Repeat("_", minToken)
	p.ask(`{"type":"hello","name":%q,"key":%q,"session":%q}`, name, key+pad, session+pad)
}

func (p *page) ask(format string, args ...any) {
	p.t.Helper()
	p.Send(websock.Text(fmt.Sprintf(format, args...)))
}

// answer has all fields of everything that the server says.
type answer struct {
	Type, Name, Room, Life, Code, Text, Ref, Node string
	ID                                            int64
	Gap                                           bool
	Messages                                      []message
	Joined, Left                                  []string
	People                                        json.RawMessage
	Rooms                                         []roomInfo
}

// next is the next answer that is not about the list of rooms.
func (p *page) next() (a answer, raw string) {
	p.t.Helper()
	for {
		m := p.Next()
		a = answer{}
		if err := json.Unmarshal(m.Data, &a); err != nil {
			p.t.Fatalf("the server sent %v: %v", m, err)
		}
		if a.Type != "rooms" {
			return a, string(m.Data)
		}
	}
}

// want is the next answer of that type. Only presences and rooms may come before it.
func (p *page) want(typ string) answer {
	p.t.Helper()
	for {
		a, raw := p.next()
		if a.Type == typ {
			return a
		}
		if a.Type != "presence" {
			p.t.Fatalf("got %s, want type %q", raw, typ)
		}
	}
}

// wantRooms waits for news of the list of rooms.
func (p *page) wantRooms(want ...roomInfo) {
	p.t.Helper()
	for {
		m := p.Next()
		var a answer
		if err := json.Unmarshal(m.Data, &a); err != nil {
			p.t.Fatalf("the server sent %v: %v", m, err)
		}
		if a.Type != "rooms" {
			continue
		}
		if !slices.Equal(a.Rooms, want) {
			p.t.Fatalf("news of rooms: got %v, want %v", a.Rooms, want)
		}
		return
	}
}

func (p *page) wantText(texts ...string) {
	p.t.Helper()
	for _, text := range texts {
		if m := p.want("message"); m.Text != text {
			p.t.Fatalf("got message %d %q, want %q", m.ID, m.Text, text)
		}
	}
}

func (p *page) wantPresence(joined, left string) {
	p.t.Helper()
	a := p.want("presence")
	if got, want := strings.Join(a.Joined, " ")+"|"+strings.Join(a.Left, " "), joined+"|"+left; got != want {
		p.t.Fatalf("presence joined|left: got %q, want %q", got, want)
	}
}

func TestClient_talk(t *testing.T) {
	inBubble(t, func(w *world) {
		ann, bob := w.in("Ann", "lobby"), w.in("Bob", "lobby")
		carl := w.in("Carl", "attic")
		ann.ask(`{"type":"say","text":" hello ","ref":"r1"}`)
		for _, p := range []*page{ann, bob} {
			m := p.want("message")
			if m.Name != "Ann" || m.Room != "lobby" || m.Text != "hello" || m.Ref != "r1" || m.ID != 1 {
				t.Errorf("got %+v, want Ann's hello in the lobby with ref r1 and id 1", m)
			}
		}
		carl.wantPresence("Carl", "")
		synctest.Wait()
		carl.ask(`{"type":"nonsense"}`)
		if a, raw := carl.next(); a.Type != "error" {
			t.Errorf("Carl, in another room, got %s", raw)
		}
	})
}

func TestClient_listsAreNeverNull(t *testing.T) {
	inBubble(t, func(w *world) {
		p := w.connect()
		p.hello("Ann", "ann", "page")
		if got, want := string(p.Next().Data), `{"type":"welcome","name":"Ann","time":946684800000,"rooms":[]}`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		p.ask(`{"type":"join","room":"lobby"}`)
		if _, raw := p.next(); !strings.Contains(raw, `"people":["Ann"],"messages":[]`) {
			t.Errorf("got %s, want Ann and no messages", raw)
		}
		if _, raw := p.next(); !strings.Contains(raw, `"joined":["Ann"],"left":[]`) {
			t.Errorf("got %s, want Ann to have joined, and nobody to have left", raw)
		}
	})
}

func TestClient_presenceCountsUsersNotTabs(t *testing.T) {
	inBubble(t, func(w *world) {
		ann := w.in("Ann", "lobby")
		ann.wantPresence("Ann", "")
		tabs := [2]*page{}
		for i := range tabs {
			tabs[i] = w.connect()
			tabs[i].hello("Bob", "bob", fmt.Sprint("tab", i))
			tabs[i].want("welcome")
			tabs[i].ask(`{"type":"join","room":"lobby"}`)
			tabs[i].want("joined")
		}
		ann.wantPresence("Bob", "")
		tabs[0].Drop()
		time.Sleep(time.Second)
		ann.ask(`{"type":"nonsense"}`)
		if a, raw := ann.next(); a.Type != "error" {
			t.Errorf("the first of Bob's two tabs is gone, and Ann got %s", raw)
		}
		tabs[1].Close(1000, "")
		ann.wantPresence("", "Bob")
	})
}

func TestClient_resume(t *testing.T) {
	for _, tt := range []struct {
		name  string
		since int64 // the last id that the client has, of this life
		life  string
		said  int
		first int64 // the first id that it gets
		gap   bool
	}{
		{"first visit", 0, "none", 5, 1, false},
		{"first visit, long history", 0, "none", maxHistory + 10, 11, false},
		{"has some", 3, "this", 5, 4, false},
		{"has all", 5, "this", 5, 0, false},
		{"history covers it exactly", 10, "this", maxHistory + 10, 11, false},
		{"history does not cover it", 9, "this", maxHistory + 10, 11, true},
		{"was in an empty room", 0, "this", 2, 1, false},
		{"another life", 3, "other", 5, 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				ann := w.connect()
				ann.hello("Ann", "ann", "page")
				ann.want("welcome")
				ann.ask(`{"type":"join","room":"lobby"}`)
				life := map[string]string{"this": ann.want("joined").Life, "other": "x"}[tt.life]
				for i := range tt.said {
					ann.ask(`{"type":"say","text":"%d"}`, i+1)
					ann.wantText(fmt.Sprint(i + 1))
					time.Sleep(refill)
				}
				bob := w.connect()
				bob.hello("Bob", "bob", "page")
				bob.want("welcome")
				bob.ask(`{"type":"join","room":"lobby","life":%q,"after":%d}`, life, tt.since)
				got := bob.want("joined")
				first, last := int64(0), int64(0)
				for i, m := range got.Messages {
					if i == 0 {
						first = m.ID
					} else if m.ID != last+1 {
						t.Errorf("message %d follows %d", m.ID, last)
					}
					last = m.ID
				}
				if first != tt.first || got.Gap != tt.gap || (first > 0 && last != int64(tt.said)) {
					t.Errorf("got messages %d to %d, gap %v; want %d to %d, gap %v", first, last, got.Gap, tt.first, tt.said, tt.gap)
				}
				ann.ask(`{"type":"say","text":"next"}`)
				bob.wantText("next")
			})
		})
	}
}

func TestClient_saysOnceWhatIsSentAgain(t *testing.T) {
	inBubble(t, func(w *world) {
		ann := w.in("Ann", "lobby")
		ann.ask(`{"type":"say","text":"a","ref":"1"}`)
		ann.ask(`{"type":"say","text":"a","ref":"1"}`)
		ann.ask(`{"type":"say","text":"b","ref":"2"}`)
		ann.wantText("a", "b")
	})
}

func TestClient_switchesRooms(t *testing.T) {
	inBubble(t, func(w *world) {
		ann, bob := w.in("Ann", "lobby"), w.in("Bob", "lobby")
		ann.wantPresence("Ann", "")
		ann.wantPresence("Bob", "")
		bob.ask(`{"type":"join","room":"attic"}`)
		if got := bob.want("joined").Room; got != "attic" {
			t.Errorf("joined %q, want the attic", got)
		}
		ann.wantPresence("", "Bob")
		ann.ask(`{"type":"say","text":"gone?"}`)
		ann.wantText("gone?")
		bob.ask(`{"type":"say","text":"here"}`)
		bob.wantText("here")
	})
}

func TestClient_listsRooms(t *testing.T) {
	inBubble(t, func(w *world) {
		w.in("Ann", "lobby")
		attic := w.in("Bob", "attic")
		w.in("Carl", "lobby")
		time.Sleep(2 * time.Second) // all is told
		dora := w.connect()
		dora.hello("Dora", "dora", "page")
		if got, want := fmt.Sprint(dora.want("welcome").Rooms), "[{attic 1} {lobby 2}]"; got != want {
			t.Errorf("rooms %s, want %s", got, want)
		}
		attic.Close(1000, "")
		dora.wantRooms(roomInfo{"attic", 0})
		synctest.Wait()
		if n := w.rooms.Count(); n != 2 {
			t.Errorf("%d rooms, want 2: an empty one keeps its history for a while", n)
		}
		time.Sleep(roomKept + time.Second)
		synctest.Wait()
		if n := w.rooms.Count(); n != 1 {
			t.Errorf("%d rooms after %v, want 1", n, roomKept)
		}
	})
}

// However many come and go, the list of rooms comes once a second, and the people of a room twice.
func TestClient_comingsAndGoingsAreBounded(t *testing.T) {
	inBubble(t, func(w *world) {
		watcher := w.in("Watcher", "lobby")
		start := time.Now()
		for i := range 50 {
			p := w.in(fmt.Sprint("Guest ", i), fmt.Sprintf("room-%d", i%5))
			q := w.in(fmt.Sprint("Other ", i), "lobby")
			time.Sleep(50 * time.Millisecond)
			p.Close(1000, "")
			q.Close(1000, "")
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(2 * time.Second) // the last news
		watcher.ask(`{"type":"nonsense"}`)
		took := time.Since(start)
		count := map[string]int{}
		people := map[string]int{}
		for {
			var a answer
			m := watcher.Next()
			if err := json.Unmarshal(m.Data, &a); err != nil {
				t.Fatalf("the server sent %v: %v", m, err)
			}
			if a.Type == "error" {
				break
			}
			count[a.Type]++
			for _, r := range a.Rooms {
				people[r.Room] = r.People
			}
		}
		if got, most := count["rooms"], int(took/roomsEvery)+1; got < 3 || got > most || count["room"] > 0 {
			t.Errorf("with 100 comings and goings in %v: got %v, want 3 to %d news of rooms", took, count, most)
		}
		if got, most := count["presence"], int(took/peopleEvery)+1; got < 3 || got > most {
			t.Errorf("with 50 comings and goings in %v: got %v, want 3 to %d news of people", took, count, most)
		}
		for room, n := range people {
			if want := map[string]int{"lobby": 1}[room]; n != want {
				t.Errorf("at the end: got %d people in %s, want %d", n, room, want)
			}
		}
	})
}

// A client that is welcomed between two pieces of news is told of what changed since, even if nobody else needs it.
func TestClient_welcomeBetweenTwoNews(t *testing.T) {
	inBubble(t, func(w *world) {
		w.in("Ann", "lobby")
		bob := w.in("Bob", "lobby")
		time.Sleep(2 * roomsEvery)
		w.in("Carl", "attic") // is told at once; the next news takes a second
		bob.Close(1000, "")
		synctest.Wait()
		dora := w.connect()
		dora.hello("Dora", "dora", "page")
		if got, want := dora.want("welcome").Rooms, []roomInfo{{"attic", 1}, {"lobby", 1}}; !slices.Equal(got, want) {
			t.Fatalf("welcome with rooms %v, want %v", got, want)
		}
		w.in("Bob", "lobby")
		time.Sleep(2 * roomsEvery)
		dora.wantRooms(roomInfo{"lobby", 2})
	})
}

// After a crash the directory tells the whole list again, and what has gone meanwhile.
func TestClient_directoryCrash(t *testing.T) {
	inBubble(t, func(w *world) {
		p := w.in("Ann", "lobby")
		p.wantRooms(roomInfo{"lobby", 1})
		time.Sleep(2 * roomsEvery)
		for info := range w.sys.Processes() {
			if info.Label == "directory" {
				info.PID.Exit(actor.ErrKilled)
			}
		}
		for {
			m := p.Next()
			if strings.Contains(string(m.Data), `"all":true`) {
				if want := `{"type":"rooms","all":true,"rooms":[{"room":"lobby","people":1}]}`; string(m.Data) != want {
					t.Errorf("got %s, want %s", m.Data, want)
				}
				break
			}
		}
	})
}

func TestClient_oneUserPerName(t *testing.T) {
	inBubble(t, func(w *world) {
		ann := w.in("Ann", "lobby")
		other := w.connect()
		other.hello("aNN", "not her key", "page")
		if a := other.want("error"); a.Code != "name" || !strings.Contains(a.Text, "Ann") {
			t.Errorf("got %+v, want an error about the name", a)
		}
		other.hello("Bob", "bob", "page") // the socket is still good
		other.want("welcome")
		ann.Drop()

		third := w.connect()
		third.hello("Ann", "not her key", "another page")
		third.want("error")
		time.Sleep(nameKept + time.Second)
		third = w.connect()
		third.hello("Ann", "not her key", "another page")
		third.want("welcome")
	})
}

func TestClient_newSocketOfAPageReplacesTheOld(t *testing.T) {
	inBubble(t, func(w *world) {
		old := w.in("Ann", "lobby")
		old.wantPresence("Ann", "")
		w.in("Ann", "lobby") // the same session
		old.WantClose(closeReplaced, "this page has connected again")
	})
}

func TestClient_refuses(t *testing.T) {
	for _, tt := range []struct{ name, request, code string }{
		{"no JSON", `hello`, "request"},
		{"wrong type of a field", `{"type":7}`, "request"},
		{"unknown request", `{"type":"dance","ref":"7"}`, "request"},
		{"second hello", `{"type":"hello","name":"Bob"}`, "request"},
		{"empty text", `{"type":"say","text":" \n"}`, "text"},
		{"long text", `{"type":"say","text":"` + strings.Repeat("é", maxText+1) + `"}`, "text"},
		{"long ref", `{"type":"say","text":"a","ref":"` + strings.Repeat("r", maxToken+1) + `"}`, "request"},
		{"no room", `{"type":"join"}`, "room"},
		{"long room", `{"type":"join","room":"` + strings.Repeat("r", maxRoom+1) + `"}`, "room"},
		{"room with a space", `{"type":"join","room":"a b"}`, "room"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				p := w.in("Ann", "lobby")
				p.ask("%s", tt.request)
				if a := p.want("error"); a.Code != tt.code || a.Text == "" {
					t.Errorf("%s: got %+v, want an error with code %q", tt.request, a, tt.code)
				}
				p.ask(`{"type":"say","text":"still here"}`)
				p.wantText("still here")
			})
		})
	}
}

func TestClient_refusesHello(t *testing.T) {
	for _, tt := range []struct{ name, request, code string }{
		{"something else first", `{"type":"join","room":"lobby"}`, "request"},
		{"no name", `{"type":"hello","key":"0123456789abcdef","session":"0123456789abcdef"}`, "name"},
		{"long name", `{"type":"hello","name":"` + strings.Repeat("é", maxName+1) + `"}`, "name"},
		{"name with a bell", `{"type":"hello","name":"a\u0007"}`, "name"},
		{"short key", `{"type":"hello","name":"Ann","key":"a","session":"0123456789abcdef"}`, "request"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(w *world) {
				p := w.connect()
				p.ask("%s", tt.request)
				if a := p.want("error"); a.Code != tt.code || a.Text == "" {
					t.Errorf("%s: got %+v, want an error with code %q", tt.request, a, tt.code)
				}
			})
		})
	}
}

func TestClient_binaryIsRefused(t *testing.T) {
	inBubble(t, func(w *world) {
		p := w.connect()
		p.Send(websock.Binary([]byte(`{}`)))
		p.want("error")
	})
}

func TestClient_silenceInsteadOfHello(t *testing.T) {
	inBubble(t, func(w *world) {
		w.connect().WantClose(websock.ClosePolicyViolation, "no hello")
	})
}

func TestClient_rate(t *testing.T) {
	inBubble(t, func(w *world) {
		p := w.in("Ann", "lobby") // two requests
		for i := range burst - 2 {
			p.ask(`{"type":"say","text":"%d"}`, i)
			p.wantText(fmt.Sprint(i))
		}
		p.ask(`{"type":"say","text":"too much","ref":"r"}`)
		if a := p.want("error"); a.Code != "rate" || a.Ref != "r" {
			t.Errorf("got %+v, want an error with code rate and ref r", a)
		}
		time.Sleep(refill)
		p.ask(`{"type":"say","text":"after a moment"}`)
		p.wantText("after a moment")
		for range maxRefusals - 1 {
			p.ask(`{"type":"say","text":"flood"}`)
			p.want("error")
		}
		p.ask(`{"type":"say","text":"flood"}`)
		p.WantClose(websock.ClosePolicyViolation, "too many requests")
	})
}

// A message that is no request counts as one, since it costs an answer.
func TestClient_rateOfGarbage(t *testing.T) {
	for _, garbage := range []websock.Message{websock.Text("this is no JSON"), websock.Text(`{"type":7}`), websock.Binary([]byte("{}"))} {
		inBubble(t, func(w *world) {
			p := w.connect()
			for i := range burst + maxRefusals {
				p.Send(garbage)
				want := "request"
				if i >= burst {
					want = "rate"
				}
				if a := p.want("error"); a.Code != want {
					t.Fatalf("%v for the %d. time: got %+v, want an error with code %q", garbage, i+1, a, want)
				}
			}
			p.Send(garbage)
			p.WantClose(websock.ClosePolicyViolation, "too many requests")
		})
	}
}

func TestClient_roomCrash(t *testing.T) {
	inBubble(t, func(w *world) {
		p := w.in("Ann", "lobby")
		p.wantPresence("Ann", "")
		p.wantRooms(roomInfo{"lobby", 1}) // the next news is a second away
		pid, _, _ := w.reg.Whereis(roomName("lobby"))
		pid.Exit(actor.ErrKilled)
		p.WantClose(websock.CloseServiceRestart, "")
		again := w.in("Ann", "lobby")
		again.ask(`{"type":"say","text":"back"}`)
		again.wantText("back")
	})
}

// A user whose process has crashed keeps the name: its sockets come back and claim it anew, before it is free for others.
func TestClient_userCrash(t *testing.T) {
	inBubble(t, func(w *world) {
		p := w.in("Ann", "lobby")
		p.wantPresence("Ann", "")
		p.wantRooms(roomInfo{"lobby", 1}) // the next news is a second away
		pid, _, _ := w.reg.Whereis(userName("Ann"))
		pid.Exit(actor.ErrKilled)
		p.WantClose(websock.CloseServiceRestart, "")
		w.in("Ann", "lobby")
		time.Sleep(nameKept + time.Second)
		other := w.connect()
		other.hello("Ann", "not her key", "another page")
		if a := other.want("error"); a.Code != "name" {
			t.Errorf("%v after a crash of Ann's process somebody with another key got %+v, want an error about the name", nameKept, a)
		}
	})
}
