//go:build !race

package browser

const many = 10_000 // sockets
