// Package seednet is an engine of a cluster in memory, for tests: a network that loses, repeats, delays and reorders
// datagrams, that can be cut and healed, and whose nodes can be frozen and killed. All of it comes from one seed: each
// direction between two nodes has random numbers of its own, so the fate of its n-th datagram does not depend on what others do.
//
// It is made for [testing/synctest]: nothing in it takes real time, and no goroutine runs but those that deliver.
package seednet
