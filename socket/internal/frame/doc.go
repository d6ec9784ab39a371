// Package frame reads and writes the frames of RFC 6455 section 5 as bytes: their
// headers, their masks, the text in them and what a Close frame says. Its
// functions are pure: they work on slices, wait for nothing and keep nothing.
//
//   - [Parse] reads the header of a client's frame and refuses what the framing
//     itself forbids; [AppendHeader] writes one of a server.
//   - [Mask.Apply] is the one way to take a mask off, of a payload as a whole or
//     in pieces.
//   - [TextPrefix] checks text that is still coming.
//   - [ParseClose], [AppendClose] and [CheckClose] are about the payload of a
//     Close frame.
//
// What depends on earlier frames, such as the order of fragments, is not here.
package frame
