//go:build race

package wire

// spoils: a message that was lent is overwritten when it is given back. With the race detector, time does not matter.
const spoils = true
