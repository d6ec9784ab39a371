// Package proxies holds docs/how-to/behind-a-proxy.md to nginx and HAProxy: its tests run the configurations of that page
// in both, and take lines out of them to see what the page says happens then. It is a module of its own because nothing
// else here needs those two programs.
package proxies
