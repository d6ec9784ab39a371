// Package load is the load generator: one for all servers. Its clients are closed loops, the next message follows the
// answer to the one before, and every byte that comes back is checked, so that a server that is wrong cannot win.
// It needs Linux.
package load
