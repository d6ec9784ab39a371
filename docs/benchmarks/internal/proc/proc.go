// Package proc measures another process from outside, and chooses its core.
package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// CPU returns the time that the process has spent in user and system mode so far, all its threads together, to the
// nanosecond: its CPU-time clock (clock_getcpuclockid(3)).
func CPU(pid int) (time.Duration, error) {
	const sched = 2
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|sched), &ts); err != nil {
		return 0, fmt.Errorf("proc: CPU time of %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// RSS returns how many bytes of memory the process holds.
func RSS(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(b) {
		if f := strings.Fields(string(line)); len(f) == 3 && f[0] == "Rss:" {
			kb, err := strconv.ParseInt(f[1], 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("proc: no Rss in smaps_rollup")
}

// Cores returns one for the server and one for the load, of those that this process may use; ok is false when there is
// only one.
func Cores() (server, load int, ok bool) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return 0, 0, false
	}
	server, load = -1, -1
	for i := range len(set) * 64 {
		switch {
		case !set.IsSet(i):
		case load < 0:
			load = i
		default:
			server = i
		}
	}
	return server, load, server >= 0
}

// Start starts cmd on these cores; none: on those of this process. Its threads stay there.
func Start(cmd *exec.Cmd, cores ...int) error {
	if len(cores) == 0 {
		return cmd.Start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	for _, core := range cores {
		set.Set(core)
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return err
	}
	err := cmd.Start()
	return errors.Join(err, unix.SchedSetaffinity(0, &before))
}

// Descriptors returns how many the process has open.
func Descriptors(pid int) (int, error) {
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(all), err
}
