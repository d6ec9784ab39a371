// Package codec turns what crosses nodes into bytes and back: messages, exit reasons and answers.
//
// A value is a tag and what follows it, up to the end of its record, so it has no length of its own. Types that the
// program has registered are sent as a number, the index in the sender's list of names. Each side of a session sends that
// list first ([Codec.Announcement]), and the other makes a [Peer] of it. So encoding has no state: a value has the same
// bytes for every peer, and a broadcast encodes it once.
//
// What is decoded is copied: a queued message of 64 bytes must not keep a frame of 32 KiB in memory. Lengths are checked
// against what is there before anything is allocated, and nothing that a peer sends causes a panic.
package codec
