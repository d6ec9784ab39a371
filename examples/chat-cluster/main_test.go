package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience bounds what a test waits for. It is no statement about speed. The tests of the program run on a real clock, with real
// processes and connections, since they are about processes that are killed.
const patience = 2 * time.Minute

// TestMain is the program itself when a test has started it as one. So the race detector looks at that, too.
func TestMain(m *testing.M) {
	if config := os.Getenv("CHAT_CLUSTER_CROWD"); config != "" {
		if err := runCrowdNode(config); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if os.Getenv("CHAT_CLUSTER_PROGRAM") != "" {
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
		{"-addr 127.0.0.1:port", "unknown port"},
		{"-node a/b -addr 127.0.0.1:0", "node name"},
		{"-node chat-1 -addr 127.0.0.1:0 -listen 0.0.0.0:0", "no loopback address"},
		{"-node chat-1 -addr 127.0.0.1:0 -routes nowhere", "Routes"},
		{"-node chat-1 -nats nats://127.0.0.1:4222 -routes 127.0.0.1:6001", "-routes"},
	} {
		if err := run(t.Context(), strings.Fields(tt.args), strings.NewReader(""), t.Output()); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("run(%s): got %v, want an error with %q", tt.args, err, tt.want)
		}
	}
}
