package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/websock"
)

// What a page may ask for. A socket whose message is longer than maxRequest ends with 1009.
const (
	maxRequest = 8 << 10 // bytes
	maxText    = 1000    // characters
)

// request is what a page sends: a text for a process. An empty To is the page's own socket.
type request struct {
	To   string `json:"to"`
	Text string `json:"text"`
}

// news is what a page is told. Type says which of the rest there is:
//
//	you      Node, PID, Process  the page's socket is this process, on this node
//	up       Node, Boot          a node is connected
//	gone     Node, Boot, Text    it is not any more, and why
//	said     PID, Text           this process has sent this text
//	sent     PID, Text           the page's text is on its way to this process
//	down     PID, Text           a process that the page has written to has ended, or cannot be reached
//	problem  Text                nothing was sent, and why
type news struct {
	Type    string `json:"type"`
	PID     string `json:"pid,omitempty"`
	Node    string `json:"node,omitempty"`
	Boot    string `json:"boot,omitempty"`
	Process int    `json:"process,omitempty"`
	Text    string `json:"text,omitempty"`
}

func show(n news) websock.Result { return websock.Push(websock.JSON(n)) }

// letter is what one socket sends to another one, on any node: From is who to answer.
type letter struct {
	From actor.PID
	Text string
}

// parseRequest reads what a page sends. The error is for its user.
func parseRequest(msg websock.Message) (r request, err error) {
	if json.Unmarshal(msg.Data, &r) != nil {
		return r, errors.New(`Send a JSON object: {"to": "PID", "text": "hello"}`)
	}
	r.To = strings.TrimSpace(r.To)
	if strings.TrimSpace(r.Text) == "" {
		return r, errors.New("There is no text to send.")
	}
	if n := utf8.RuneCountInString(r.Text); n > maxText {
		return r, fmt.Errorf("The text has %d characters. It may have %d.", n, maxText)
	}
	return r, nil
}
