//go:build !race

package wire

const spoils = false
