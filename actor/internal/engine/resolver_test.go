package engine

import (
	"log/slog"
	"testing"

	proto "github.com/asynkron/protoactor-go/actor"
)

// TestResolve_otherBoots: the number of a process says nothing without its boot: those of one boot name others in the next.
func TestResolve_otherBoots(t *testing.T) {
	const own = "troupe:0123456789abcdef@here"
	s := New(Config{Trespass: func(string) {}, Address: own, Logger: slog.New(slog.DiscardHandler)})
	for address, want := range map[string]bool{
		own:                             true,
		"troupe:fedcba9876543210@here":  false,
		"troupe:0123456789abcdef@there": false,
		"here:8080":                     false,
		"":                              false,
	} {
		if p, ok := s.resolve(proto.NewPID(address, localID(7))); ok != want {
			t.Errorf("%q, where the own address is %q: resolve = %T, %t; want %t", address, own, p, ok, want)
		}
	}
}
