//go:build unix

package supervisor_test

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/troupe-dev/troupe/supervisor"
)

// Real signals to this process, on the real clock: it is about the registration of the handlers.
func TestRun_realSignals(t *testing.T) {
	// A handler of the test's own, so that a signal that Run misses fails the test and does not end it.
	others := make(chan os.Signal, 4)
	signal.Notify(others, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(others)
	kill := func(sig syscall.Signal) {
		if err := syscall.Kill(os.Getpid(), sig); err != nil {
			t.Error(err)
		}
		<-others
	}
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		orderly := supervisor.ServiceFunc(func(ctx context.Context) error {
			kill(sig)
			<-ctx.Done()
			return nil
		})
		wantErr(t, "Run, one signal", supervisor.Run(t.Context(), supervisor.Config{Logger: quiet}, spec("a", orderly, 0)), nil)

		twice := supervisor.ServiceFunc(func(ctx context.Context) error {
			kill(sig)
			<-ctx.Done()
			kill(sig)
			return nil
		})
		wantErr(t, "Run, two signals in one second", supervisor.Run(t.Context(), supervisor.Config{Logger: quiet}, spec("a", twice, 0)), nil)
	}
}
