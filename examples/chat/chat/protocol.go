package chat

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxName    = 24   // characters
	maxRoom    = 24   // characters
	maxText    = 1000 // characters
	maxToken   = 64   // bytes of a key, a session, a ref
	minToken   = 16   // bytes of a key or a session, which must not be guessed
	maxRooms   = 500
	maxHistory = 200 // messages of a room
)

// request is what a client sends. Type says which of the other fields count.
type request struct {
	Type string `json:"type"` // hello, join, say

	// hello
	Name    string `json:"name"`
	Key     string `json:"key"`     // the user's secret: whoever has it has the name
	Session string `json:"session"` // the page's secret: a new socket of the same page replaces the old one

	// join
	Room  string `json:"room"`
	Life  string `json:"life"`  // of the room, when the client was there before
	After int64  `json:"after"` // the last message that it has of this life

	// say
	Text string `json:"text"`

	// Ref is the client's own name for a request. Errors and messages carry it back.
	Ref string `json:"ref"`
}

type (
	welcome struct {
		Type  string     `json:"type"` // welcome
		Name  string     `json:"name"`
		Node  string     `json:"node,omitempty"` // the one that the socket is on, if there are several
		Time  int64      `json:"time"`           // of the server: milliseconds since 1970
		Rooms []roomInfo `json:"rooms"`
	}
	roomInfo struct {
		Room   string `json:"room"`
		People int    `json:"people"` // 0: it is empty
	}
	rooms struct {
		Type  string     `json:"type"`          // rooms
		All   bool       `json:"all,omitempty"` // there are no others
		Rooms []roomInfo `json:"rooms"`         // those that have changed
	}
	joined struct {
		Type     string    `json:"type"` // joined
		Room     string    `json:"room"`
		Life     string    `json:"life"`
		People   []string  `json:"people"`
		Messages []message `json:"messages"` // those after request.After, oldest first
		Gap      bool      `json:"gap"`      // there may have been more that the room does not have any more
	}
	message struct {
		Type string `json:"type"` // message
		Room string `json:"room"`
		ID   int64  `json:"id"` // 1, 2, 3 ... in one life of a room
		Name string `json:"name"`
		Text string `json:"text"`
		Time int64  `json:"time"` // milliseconds since 1970
		Ref  string `json:"ref,omitempty"`
	}
	presence struct {
		Type   string   `json:"type"` // presence
		Room   string   `json:"room"`
		Joined []string `json:"joined"`
		Left   []string `json:"left"`
	}
	// refusal is the answer to a request that was not carried out.
	refusal struct {
		Type string `json:"type"` // error
		Code string `json:"code"`
		Text string `json:"text"`
		Ref  string `json:"ref,omitempty"`
	}
)

// Error is the text for the client.
func (r *refusal) Error() string { return r.Text }

func refuse(code, format string, args ...any) error {
	return &refusal{Type: "error", Code: code, Text: fmt.Sprintf(format, args...)}
}

// checkName returns the name without spaces around it or two in a row.
func checkName(name string) (string, error) {
	name = strings.Join(strings.Fields(name), " ")
	if name == "" {
		return "", refuse("name", "Please choose a name.")
	}
	if utf8.RuneCountInString(name) > maxName {
		return "", refuse("name", "A name has at most %d characters.", maxName)
	}
	for _, r := range name {
		if !unicode.In(r, unicode.L, unicode.M, unicode.N) && !strings.ContainsRune(" -_.'", r) {
			return "", refuse("name", "A name has letters, digits, spaces and - _ . ' only, not %q.", r)
		}
	}
	return name, nil
}

func checkRoom(room string) error {
	legal := func(r rune) bool { return 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-' }
	if room == "" || len(room) > maxRoom || strings.ContainsFunc(room, func(r rune) bool { return !legal(r) }) {
		return refuse("room", "A room's name is 1 to %d of a-z, 0-9 and -.", maxRoom)
	}
	return nil
}

// checkText returns the text without spaces around it, and without what would change how the text of others is shown.
func checkText(text string) (string, error) {
	text = strings.TrimSpace(strings.Map(visible, text))
	if n := utf8.RuneCountInString(text); n > maxText {
		return "", refuse("text", "A message has at most %d characters, not %d.", maxText, n)
	}
	if text == "" {
		return "", refuse("text", "The message is empty.")
	}
	return text, nil
}

// visible drops control characters but line feed and tab, and the characters that override the direction of text or open
// a run that need not end within it (Unicode's Bidi_Control, but for its three marks, which such text needs).
func visible(r rune) rune {
	switch {
	case r == '\n' || r == '\t' || r == '\u200e' || r == '\u200f' || r == '\u061c':
		return r
	case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == '\u2028', r == '\u2029', r == '\ufeff':
		return -1
	}
	return r
}

func checkTokens(in request) error {
	if len(in.Key) < minToken || len(in.Session) < minToken || max(len(in.Key), len(in.Session)) > maxToken {
		return refuse("request", "hello needs a key and a session of %d to %d bytes each.", minToken, maxToken)
	}
	return nil
}
