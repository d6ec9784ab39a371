package main

import (
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
)

// bot is what outlives a connection: who it is, how far it has read, and what it has said that nobody has heard yet.
type bot struct {
	name, room   string
	key, session string // secrets: the name is of whoever has the key, and a connection replaces one of the same session

	mu     sync.Mutex // a connection that was lost may still be in a callback
	life   string     // of the room; "": never joined
	after  int64      // the last message that was read of this life
	seen   int        // messages of others
	visits int        // how often it has joined
	unsaid []request  // say requests whose message has not come back
}

// hello and join are the requests with which a connection begins.
func (b *bot) hello() request {
	return request{Type: "hello", Name: b.name, Key: b.key, Session: b.session}
}

func (b *bot) join() request {
	b.mu.Lock()
	defer b.mu.Unlock()
	return request{Type: "join", Room: b.room, Life: b.life, After: b.after}
}

// joined reads what was said while the bot was away, and returns what is to be said now: what the chat may not have heard
// before the connection was lost, under the same ref, and answers. What was said before the bot came at all is not answered.
func (b *bot) joined(life string, missed []event) []request {
	b.mu.Lock()
	defer b.mu.Unlock()
	first := b.life == ""
	if b.life != life { // it has been restarted, and counts anew
		b.life, b.after = life, 0
	}
	b.visits++
	for _, m := range missed {
		if first {
			b.after = m.ID
			continue
		}
		b.read(m)
	}
	return append([]request(nil), b.unsaid...)
}

// heard reads one message, and returns the answer to it, if there is one.
func (b *bot) heard(m event) []request {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := len(b.unsaid)
	b.read(m)
	return append([]request(nil), b.unsaid[min(before, len(b.unsaid)):]...)
}

// read is called with mu held.
func (b *bot) read(m event) {
	if m.Room != b.room || m.ID <= b.after {
		return // of another room, or known
	}
	b.after = m.ID
	if m.Name == b.name {
		for i, r := range b.unsaid {
			if r.Ref == m.Ref {
				b.unsaid = append(b.unsaid[:i], b.unsaid[i+1:]...)
				break
			}
		}
		return
	}
	b.seen++
	const most = 100 // answers that wait
	if strings.TrimSpace(m.Text) == "!seen" && len(b.unsaid) < most {
		text := fmt.Sprintf("I have seen %d messages, in %d visits.", b.seen, b.visits)
		b.unsaid = append(b.unsaid, request{Type: "say", Text: text, Ref: rand.Text()})
	}
}

// waiting is what has not been heard yet.
func (b *bot) waiting() []request {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]request(nil), b.unsaid...)
}
