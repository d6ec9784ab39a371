// Package day is a hard day of examples/chat: the real program in a process of its own, and people who talk, come in
// storms, read slowly, send garbage, open five tabs and vanish, while the server is stopped, restarted and has to carry
// one big room.
//
// The clients keep the books. A [book] is what one page has been told and what it must be told next. The [ledger] is
// what all of them have seen: one number of a room is one message, for everybody. Whatever does not agree breaks a
// [Promise], and the day goes on. The server's memory, descriptors and goroutines are looked at from outside.
//
// Everything is bounded: how many people there are, how long each part of the day takes, and how long it waits for
// anything.
package day
