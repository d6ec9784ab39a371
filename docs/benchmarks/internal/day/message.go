package day

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// What examples/chat/README.md says about the protocol, as far as a client needs it.
const (
	historyKept = 200 // messages of a room
	closeGoing  = 1001
	closeBroken = 1002
	closeData   = 1007
	closePolicy = 1008
	closeTooBig = 1009
	closeSlow   = 1013
	closeNewer  = 4001 // a newer socket of the same page has come
)

// A request is what a client sends.
type request struct {
	Type    string `json:"type"`
	Name    string `json:"name,omitempty"`
	Key     string `json:"key,omitempty"`
	Session string `json:"session,omitempty"`
	Room    string `json:"room,omitempty"`
	Life    string `json:"life,omitempty"`
	After   int64  `json:"after,omitempty"`
	Text    string `json:"text,omitempty"`
	Ref     string `json:"ref,omitempty"`
}

// An answer has all fields of everything that the server says.
type answer struct {
	Type, Name, Room, Life, Code, Text, Ref string
	ID                                      int64
	Gap                                     bool
	All                                     bool // of rooms: there are no others
	Messages                                []answer
	Joined, Left                            []string
	People                                  json.RawMessage // names in joined, a number in rooms
	Rooms                                   []answer
}

// names are the people of a joined.
func (a answer) names() (names []string, err error) {
	err = json.Unmarshal(a.People, &names)
	return names, err
}

// number is that of the people of one of the rooms.
func (a answer) number() (int, error) { return strconv.Atoi(string(a.People)) }

// A saying is what one page has said: the n-th of it.
type saying struct {
	page, n int
}

// ref is the client's own name for a saying.
func (s saying) ref() string { return fmt.Sprintf("p%d-%d", s.page, s.n) }

func parseRef(ref string) (s saying, ok bool) {
	page, n, ok := strings.Cut(strings.TrimPrefix(ref, "p"), "-")
	if !ok {
		return s, false
	}
	var err1, err2 error
	s.page, err1 = strconv.Atoi(page)
	s.n, err2 = strconv.Atoi(n)
	return s, err1 == nil && err2 == nil && s.ref() == ref
}

// text is what is said: it shows who said it and where, and whether a byte of it has changed.
func (s saying) text(room string) string {
	length := 10 + (s.page*31+s.n*17)%90
	if s.n%10 == 0 {
		length = 600 // so long that it is compressed
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s says in %s:", s.ref(), room)
	for i := 0; b.Len() < length; i++ {
		fmt.Fprintf(&b, " word%d", (s.n+i*i*7)%1000)
	}
	return b.String()
}

// roomOf is where a text was said, according to itself.
func roomOf(text string) string {
	_, text, _ = strings.Cut(text, " says in ")
	room, _, _ := strings.Cut(text, ":")
	return room
}
