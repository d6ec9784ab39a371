// Package nodes holds docs/how-to/run-on-several-nodes.md to what it says: its tests run the programs, the NATS configuration
// and the manifest of that page, over real servers. It is a module of its own because nothing else in docs needs NATS.
package nodes
