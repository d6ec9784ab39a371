//go:build race

package browser

const many = 1000 // sockets: with the race detector a look at ten thousand takes too long to see one a second
