// Package browser tests examples/chat as a user meets it: two pages in headless Chromium, and the program as a process of
// its own. The pages of examples/stream and examples/prices are tested in the same way. It is a module of its own, so that the
// browser's driver is no dependency of Troupe.
package browser
