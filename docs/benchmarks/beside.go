package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/load"
	"github.com/troupe-dev/troupe/docs/benchmarks/internal/peer"
	"github.com/troupe-dev/troupe/docs/benchmarks/internal/proc"
	"github.com/troupe-dev/troupe/docs/benchmarks/internal/report"
)

// beside is the command of that name. It measures echoes of Troupe with its own system calls and with those of package net:
// alone on a core, beside a busy program in the same scheduling group, and beside one in a group of its own. The kernel
// shares a core first between groups, and then between the programs of a group. A session is a group (autogroup, sched(7)), and
// so is a container or a unit of systemd.
func beside(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("beside", flag.ContinueOnError)
	rounds := flags.Int("rounds", 7, "how often")
	window := flags.Duration("window", time.Second, "how long to look at each")
	name := flags.String("out", report.BesideFile, "`file` for the results; empty: none")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if b, err := os.ReadFile("/proc/sys/kernel/sched_autogroup_enabled"); err != nil || strings.TrimSpace(string(b)) != "1" {
		return errors.New("sessions are no scheduling groups on this machine: kernel.sched_autogroup_enabled is not 1")
	}
	if err := alone(); err != nil {
		return err
	}
	if os.Getenv(serverCore) == "" {
		return errors.New("it needs two cores")
	}
	dir, err := os.MkdirTemp("", "beside")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ordinary := filepath.Join(dir, "ordinary")
	build := exec.CommandContext(context.Background(), "go", "build", "-tags", "troupe_nosyscalls", "-o", ordinary, ".")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build -tags troupe_nosyscalls: %w\n%s", err, text)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	b := report.Beside{Began: time.Now().UTC(), Machine: report.ThisMachine(), Window: *window}
	for round := range *rounds {
		for _, where := range report.Places {
			for i := range 2 { // each is first in every other round
				calls := report.Calls[(i+round)%2]
				bin := map[string]string{report.Own: self, report.Ordinary: ordinary}[calls]
				s, err := echoBeside(bin, where, *window)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", calls, where, err)
				}
				v := values(s)
				b.Results = append(b.Results, report.Result{Workload: where, Server: calls, Round: round, Values: v})
				fmt.Fprintf(out, "%d %-34s %-8s %s\n", round+1, where, calls, v)
			}
		}
	}
	fmt.Fprint(out, "\n", b.Table())
	if *name == "" {
		return nil
	}
	return b.Write(*name)
}

// echoBeside is echo64 against a server in a session of its own.
func echoBeside(bin, where string, window time.Duration) (load.Sample, error) {
	p, _ := peer.Find("troupe")
	cmd := exec.Command(bin, "serve", "-peer", p.Name, "-busy="+strconv.FormatBool(where == report.OneGroup))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: unix.SIGKILL}
	s, err := launch(cmd, p, peer.Options{})
	if err != nil {
		return load.Sample{}, err
	}
	defer s.stop()
	if where == report.OwnGroup {
		stop, err := startSpin(true)
		if err != nil {
			return load.Sample{}, err
		}
		defer stop()
	}
	return load.Echo{Conns: 64, InFlight: 1, Size: 128, Warm: window / 4, For: window}.Run(s.target())
}

// startSpin starts a program that is busy on the server's core.
func startSpin(session bool) (stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	core, err := strconv.Atoi(os.Getenv(serverCore))
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "spin")
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: session, Pdeathsig: unix.SIGKILL}
	if err := proc.Start(cmd, core); err != nil {
		return nil, err
	}
	return func() {
		cmd.Process.Kill()
		cmd.Wait()
	}, nil
}

// spin is the busy program. It runs until it is killed.
func spin() {
	for {
	}
}
