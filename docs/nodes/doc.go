// Package nodes holds docs/how-to/run-on-several-nodes.md and docs/tutorial/a-chat-on-three-nodes.md to what they say: its tests run
// their programs, NATS configuration and manifest, over real servers. It is a module of its own because nothing else in docs needs NATS.
package nodes
