package main

import "github.com/troupe-dev/troupe/websock"

// everybody is the group of all sockets.
const everybody = "everybody"

// What a page gets. N numbers the messages of one key from 1 on: whoever sees a gap knows how many were left out.
type (
	hello struct {
		Type string `json:"type"` // hello: once, at the beginning
		Tab  string `json:"tab"`  // the name of this one
		Time int64  `json:"time"` // of the server: milliseconds since 1970
		all
	}
	all struct {
		Prices []price `json:"prices"` // the newest of each symbol
		Halted bool    `json:"halted"`
	}
	price struct {
		Type   string `json:"type"` // price
		Symbol string `json:"symbol"`
		Cents  int    `json:"cents"`
		N      int    `json:"n"`
		At     int64  `json:"at"` // of the server: milliseconds since 1970
	}
	trading struct {
		Type   string `json:"type"` // trading
		N      int    `json:"n"`
		Halted bool   `json:"halted"`
	}
	tabs struct {
		Type  string `json:"type"` // tabs
		N     int    `json:"n"`
		Count int    `json:"count"` // of all tabs
		Tabs  []row  `json:"tabs"`  // those of which most was left out, five at most
	}
	row struct {
		Tab     string `json:"tab"`
		Age     int64  `json:"age"`      // milliseconds that the oldest message has waited
		Waiting int    `json:"waiting"`  // messages
		LeftOut uint64 `json:"left_out"` // messages, since the socket was opened
	}
	caughtUp struct {
		Type    string `json:"type"`     // caught_up: after messages were left out, all that is left has been written
		LeftOut uint64 `json:"left_out"` // since the last caught_up
		Total   uint64 `json:"total"`    // since the socket was opened
	}
)

// request is what a page sends.
type request struct {
	Type string `json:"type"` // halt
}

// newest is v as a message of which only the newest with that key need arrive. It is encoded once, for all sockets.
func newest(key string, v any) websock.Message {
	return websock.JSON(v).Deliver(websock.Delivery{Key: key})
}
