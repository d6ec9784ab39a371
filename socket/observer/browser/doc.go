// Package browser tests the page of socket/observer as a user meets it: in headless Chromium, against a program with sockets, a
// supervision tree and a registry in it. It is a module of its own, so that the browser's driver is no dependency of Troupe.
package browser
