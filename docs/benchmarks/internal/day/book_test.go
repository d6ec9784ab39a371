package day_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/day"
)

// said is message id of a room: the n-th that page 0, Ann, has said.
func said(room string, id int64, n int) day.Answer {
	s := day.SayingOf(0, n)
	return day.Answer{Type: "message", Room: room, ID: id, Name: "Ann", Text: s.Text(room), Ref: s.Ref()}
}

// own is message id of a room, said by the reader.
func own(room string, id int64, s day.Saying) day.Answer {
	return day.Answer{Type: "message", Room: room, ID: id, Name: "Bob", Text: s.Text(room), Ref: s.Ref()}
}

// joined has a history of the messages first to last.
func joined(room, life string, gap bool, first, last int64, people ...string) day.Answer {
	a := day.Answer{Type: "joined", Room: room, Life: life, Gap: gap}
	a.People, _ = json.Marshal(append([]string{}, people...))
	for id := first; id <= last; id++ {
		a.Messages = append(a.Messages, said(room, id, int(id)))
	}
	return a
}

func presence(room string, joined, left []string) day.Answer {
	return day.Answer{Type: "presence", Room: room, Joined: joined, Left: left}
}

func people(room string, n int) day.Answer {
	return day.Answer{Type: "rooms", Rooms: []day.Answer{{Room: room, People: json.RawMessage(fmt.Sprint(n))}}}
}

// TestBook is what a page is told, and which promises that breaks.
func TestBook(t *testing.T) {
	welcome := day.Answer{Type: "welcome"}
	for _, tt := range []struct {
		name string
		do   func(r *day.Reader)
		want []day.Promise
	}{
		{"all in order", func(r *day.Reader) {
			r.Got(joined("a", "1", false, 1, 2, "Ann"))
			r.Got(presence("a", []string{"Bob"}, nil))
			r.Got(said("a", 3, 3))
			s := r.Says()
			r.Got(own("a", 4, s))
		}, nil},
		{"the history comes again while it joins", func(r *day.Reader) {
			r.Got(joined("a", "1", false, 1, 4, "Ann", "Bob"))
			r.Got(said("a", 3, 3))
			r.Got(said("a", 4, 4))
			r.Got(said("a", 5, 5))
		}, nil},
		{"the history comes again twice", func(r *day.Reader) {
			r.Got(joined("a", "1", false, 1, 4, "Ann", "Bob"))
			r.Got(said("a", 3, 3))
			r.Got(said("a", 3, 3))
		}, []day.Promise{day.NothingDoubled}},
		{"the history comes again later", func(r *day.Reader) {
			r.Got(joined("a", "1", false, 1, 4, "Ann", "Bob"))
			r.Got(said("a", 5, 5))
			r.Got(said("a", 4, 4))
		}, []day.Promise{day.NothingDoubled}},
		{"one is missing", func(r *day.Reader) {
			r.Got(joined("a", "1", false, 1, 2, "Ann", "Bob"))
			r.Got(said("a", 4, 4))
		}, []day.Promise{day.NothingLost}},
		{"one is missing, and then the connection is lost", func(r *day.Reader) {
			r.Got(joined("a", "1", false, 1, 2, "Ann", "Bob"))
			r.Got(said("a", 4, 4))
			r.Connects("a")
			r.Got(welcome)
			r.Got(people("a", 2))
			r.Got(joined("a", "1", false, 5, 5, "Ann", "Bob"))
		}, []day.Promise{day.NothingLost}},
		{"one comes later", func(r *day.Reader) {
			r.Got(joined("a", "1", false, 1, 2, "Ann", "Bob"))
			r.Got(said("a", 4, 4))
			r.Got(said("a", 3, 3))
		}, []day.Promise{day.NothingReordered}},
		{"one comes twice", func(r *day.Reader) {
			r.Got(joined("a", "1", false, 0, -1, "Ann", "Bob"))
			r.Got(said("a", 1, 1))
			r.Got(said("a", 1, 1))
		}, []day.Promise{day.NothingDoubled}},
		{"one is counted twice", func(r *day.Reader) {
			r.Got(joined("a", "1", false, 0, -1, "Ann", "Bob"))
			r.Got(said("a", 1, 1))
			r.Got(said("a", 2, 1))
		}, []day.Promise{day.NothingDoubled}},
		{"two are counted in the wrong order", func(r *day.Reader) {
			r.Got(joined("a", "1", false, 0, -1, "Ann", "Bob"))
			r.Got(said("a", 1, 2))
			r.Got(said("a", 2, 1))
		}, []day.Promise{day.NothingReordered}},
		{"another one is shown something else", func(r *day.Reader) {
			r.Got(joined("a", "1", false, 1, 2, "Ann", "Bob"))
			r.Connects("a")
			r.Got(welcome)
			r.Got(people("a", 2))
			a := joined("a", "1", true, 0, -1, "Ann", "Bob")
			for id := int64(2); id < 202; id++ { // a whole history
				a.Messages = append(a.Messages, said("a", id, int(id)+1))
			}
			r.Got(a)
		}, []day.Promise{day.NothingChanged, day.NothingLost}},
		{"a byte is changed", func(r *day.Reader) {
			r.Got(joined("a", "1", false, 0, -1, "Ann", "Bob"))
			m := said("a", 1, 1)
			m.Text = m.Text[:len(m.Text)-1] + "x"
			r.Got(m)
		}, []day.Promise{day.NothingChanged}},
		{"under another name", func(r *day.Reader) {
			r.Got(joined("a", "1", false, 0, -1, "Ann", "Bob"))
			m := said("a", 1, 1)
			m.Name = "Eve"
			r.Got(m)
		}, []day.Promise{day.NothingChanged}},
		{"nobody has said it", func(r *day.Reader) {
			r.Got(joined("a", "1", false, 0, -1, "Ann", "Bob"))
			r.Got(said("a", 1, 1000))
		}, []day.Promise{day.NothingChanged}},
		{"of another room", func(r *day.Reader) {
			r.Got(joined("a", "1", false, 0, -1, "Ann", "Bob"))
			r.Got(said("b", 1, 1))
		}, []day.Promise{day.NothingMisdirected}},
		{"the text of another room", func(r *day.Reader) {
			r.Got(joined("a", "1", false, 0, -1, "Ann", "Bob"))
			m := said("b", 1, 1)
			m.Room = "a"
			r.Got(m)
		}, []day.Promise{day.NothingMisdirected}},
		{"people of another room", func(r *day.Reader) {
			r.Got(joined("a", "1", false, 0, -1, "Ann", "Bob"))
			r.Got(presence("b", []string{"Eve"}, nil))
		}, []day.Promise{day.NothingMisdirected}},
		{"goes to another room", func(r *day.Reader) {
			r.Got(joined("b", "1", false, 1, 2, "Bob"))
			r.Asks("a")
			r.Got(said("b", 3, 3))
			r.Got(joined("a", "2", false, 0, -1, "Ann", "Bob"))
		}, nil},
		{"hears of the room that it has left", func(r *day.Reader) {
			r.Got(joined("b", "1", false, 1, 2, "Bob"))
			r.Asks("a")
			r.Got(joined("a", "2", false, 0, -1, "Ann", "Bob"))
			r.Got(said("b", 3, 3))
		}, []day.Promise{day.NothingMisdirected}},
		{"comes back", func(r *day.Reader) {
			r.Got(joined("a", "1", false, 1, 2, "Ann", "Bob"))
			r.Connects("a")
			r.Got(welcome)
			r.Got(people("a", 2))
			r.Got(joined("a", "1", false, 3, 5, "Ann", "Bob"))
			r.Got(said("a", 6, 6))
		}, nil},
		{"comes back and misses one", func(r *day.Reader) {
			r.Got(joined("a", "1", false, 1, 2, "Ann", "Bob"))
			r.Connects("a")
			r.Got(welcome)
			r.Got(people("a", 2))
			r.Got(joined("a", "1", false, 4, 5, "Ann", "Bob"))
		}, []day.Promise{day.NothingLost}},
		{"comes back, and one comes again", func(r *day.Reader) {
			r.Got(joined("a", "1", false, 1, 2, "Ann", "Bob"))
			r.Connects("a")
			r.Got(welcome)
			r.Got(people("a", 2))
			r.Got(joined("a", "1", false, 2, 3, "Ann", "Bob"))
		}, []day.Promise{day.NothingDoubled}},
		{"comes back to a gap", func(r *day.Reader) {
			r.Got(joined("a", "1", false, 1, 2, "Ann", "Bob"))
			r.Connects("a")
			r.Got(welcome)
			r.Got(people("a", 2))
			r.Got(joined("a", "1", true, 11, 210, "Ann", "Bob"))
		}, nil},
		{"a gap without need", func(r *day.Reader) {
			r.Got(joined("a", "1", false, 1, 2, "Ann", "Bob"))
			r.Connects("a")
			r.Got(welcome)
			r.Got(people("a", 2))
			r.Got(joined("a", "1", true, 3, 4, "Ann", "Bob"))
		}, []day.Promise{day.NothingLost}},
		{"another life after a restart", func(r *day.Reader) {
			r.Got(joined("a", "1", false, 1, 2, "Ann", "Bob"))
			r.Restart()
			r.Connects("a")
			r.Got(welcome)
			r.Got(people("a", 2))
			r.Got(joined("a", "2", true, 1, 1, "Ann", "Bob"))
		}, nil},
		{"another life without a word", func(r *day.Reader) {
			r.Got(joined("a", "1", false, 1, 2, "Ann", "Bob"))
			r.Restart()
			r.Connects("a")
			r.Got(welcome)
			r.Got(people("a", 2))
			r.Got(joined("a", "2", false, 1, 1, "Ann", "Bob"))
		}, []day.Promise{day.NothingLost}},
		{"another life without a restart", func(r *day.Reader) {
			r.Got(joined("a", "1", false, 1, 2, "Ann", "Bob"))
			r.Connects("a")
			r.Got(welcome)
			r.Got(people("a", 2))
			r.Got(joined("a", "2", true, 1, 1, "Ann", "Bob"))
		}, []day.Promise{day.NothingLost}},
		{"what it says is not shown", func(r *day.Reader) {
			r.Got(joined("a", "1", false, 1, 2, "Ann", "Bob"))
			r.Says()
		}, []day.Promise{day.NothingLost}},
		{"a ghost", func(r *day.Reader) { r.Got(joined("a", "1", false, 1, 2, "Ann", "Bob", "Eve")) }, []day.Promise{day.PresenceRight}},
		{"somebody is not there", func(r *day.Reader) {
			r.Got(joined("a", "1", false, 1, 2, "Ann", "Bob"))
			r.Got(presence("a", nil, []string{"Ann"}))
		}, []day.Promise{day.PresenceRight}},
		{"a wrong number of people", func(r *day.Reader) {
			r.Got(joined("a", "1", false, 1, 2, "Ann", "Bob"))
			r.Got(people("a", 3))
		}, []day.Promise{day.RoomsRight}},
		{"there are no others", func(r *day.Reader) {
			r.Got(joined("a", "1", false, 1, 2, "Ann", "Bob"))
			r.Got(people("b", 1))
			all := people("a", 2)
			all.All = true
			r.Got(all)
		}, nil},
		{"a room that is not there", func(r *day.Reader) {
			r.Got(joined("a", "1", false, 1, 2, "Ann", "Bob"))
			r.Got(people("b", 1))
			r.Got(people("c", 1))
			r.Got(people("c", 0))
		}, []day.Promise{day.RoomsRight}},
		{"not let in", func(*day.Reader) {}, []day.Promise{day.NobodyStuck}},
		{"let in elsewhere", func(r *day.Reader) { r.Got(joined("b", "1", false, 1, 2, "Ann", "Bob")) }, []day.Promise{day.NothingMisdirected, day.NobodyStuck}},
	} {
		r := day.NewReader(500)
		room := "a"
		if tt.name == "goes to another room" || tt.name == "hears of the room that it has left" {
			room = "b"
		}
		r.Connects(room)
		r.Got(welcome)
		r.Got(people("a", 2))
		tt.do(r)
		r.Settled("a", "Ann", "Bob")
		r.Audit()
		got := r.Broken()
		for _, want := range tt.want {
			if _, ok := got[want]; !ok {
				t.Errorf("%s: got %q, want %q, too", tt.name, got, want)
			}
			delete(got, want)
		}
		for promise, how := range got {
			t.Errorf("%s: want %q to be kept, got: %s", tt.name, promise, how)
		}
	}
}

func TestCollection(t *testing.T) {
	line := []byte("gc 12 @3.201s 0%: 0.014+0.38+0.003 ms clock, 0.028+0.05/0.29/0.61+0.006 ms cpu, 14->15->7 MB, 15 MB goal, 0 MB stacks, 0 MB globals, 2 P\n")
	if m := day.Collection.FindSubmatch(line); m == nil || string(m[3]) != "7" {
		t.Errorf("in %q: got %q, want 7 MB in use", line, m)
	}
	for _, other := range []string{"panic: gc 1", "goroutine 1 [running]:", "scvg: 8 MB released"} {
		if day.Collection.MatchString(other) {
			t.Errorf("%q is taken for a collection", other)
		}
	}
}
