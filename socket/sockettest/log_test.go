package sockettest_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/socket/sockettest"
)

func TestLogger(t *testing.T) {
	var log *slog.Logger
	fake := passes(t, func(t testing.TB) {
		log = sockettest.NewLogger(t)
		log.Debug("below Info")
		log.With("pid", 1).WithGroup("g").Info("attributes", "a", 2)
	})
	log.Error("the test has ended")
	log.Error(sockettest.Trespass)

	want := []string{`msg="below Info"`, "msg=attributes pid=1 g.a=2"}
	if len(fake.logs) != len(want) {
		t.Fatalf("got %q, want %d lines", fake.logs, len(want))
	}
	for i := range want {
		if !strings.HasSuffix(fake.logs[i], want[i]) {
			t.Errorf("line %d: got %q, want %q at its end", i, fake.logs[i], want[i])
		}
	}
}

func TestLogger_trespass(t *testing.T) {
	for name, log := range map[string]func(*slog.Logger){
		"plain": func(l *slog.Logger) { l.Error(sockettest.Trespass, "what", "a stop") },
		"attrs": func(l *slog.Logger) { l.With("a", 1).Error(sockettest.Trespass) },
		"group": func(l *slog.Logger) { l.WithGroup("g").Error(sockettest.Trespass) },
	} {
		t.Run(name, func(t *testing.T) {
			failsWith(t, func(t testing.TB) { log(sockettest.NewLogger(t)) }, sockettest.Trespass)
		})
	}
}
