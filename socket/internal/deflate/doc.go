// Package deflate compresses messages that are small and whole in memory, and decompresses them (RFC 1951), as permessage-deflate
// without context takeover has them (RFC 7692 section 7.2). Nothing outlives a message but memory, so that a [Deflater] and an
// [Inflater] can be taken from a pool for each.
//
// A compressor for streams spends most of its time on a message of 2 KiB with what does not depend on the size: the codes, the
// history, the steps by which it can be interrupted. It calls so deep that the stack of the goroutine has to grow, and with a
// thousand goroutines each collection of garbage takes that stack away again. What is here does the same for one piece of
// memory. It needs half the CPU, and its largest frame is a few hundred bytes. What it compresses is 1 to 4 % smaller than
// what level 1 of klauspost/compress makes of the same text.
//
// For what is large, comes in pieces or is broken, both say that it is not for them.
package deflate
