package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience bounds what a test waits for. It is no statement about speed. These tests run on a real clock, with real
// processes and connections, since they are about processes that are killed.
const patience = 2 * time.Minute

// TestMain is the program itself when a test has started it as one. So the race detector looks at that, too.
func TestMain(m *testing.M) {
	if os.Getenv("CLUSTER_PROGRAM") != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

func TestRun_refusesBadArguments(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"-nonsense", "flag provided but not defined"},
		{"surplus", `unexpected argument "surplus"`},
		{"-restart-after soon", "invalid value"},
		{"-node a/b", "node name"},
		{"-node web-1 -listen 0.0.0.0:0", "no loopback address"},
		{"-node web-1 -routes nowhere", "Routes"},
	} {
		if err := run(t.Context(), strings.Fields(tt.args), strings.NewReader(""), t.Output()); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("run(%s): got %v, want an error with %q", tt.args, err, tt.want)
		}
	}
}
