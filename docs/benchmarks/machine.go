package main

import (
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/peer"
	"github.com/troupe-dev/troupe/docs/benchmarks/internal/report"
)

// machine describes the machine on which this process runs. What cannot be found out is left empty.
func machine() report.Machine {
	m := report.Machine{Commit: commit(), Go: runtime.Version()}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			name, value, _ := strings.Cut(line, ":")
			switch strings.TrimSpace(name) {
			case "processor":
				m.Cores++ // runtime.NumCPU counts only those that this process is on
			case "model name":
				m.CPU = strings.TrimSpace(value)
			}
		}
	}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = "Linux " + strings.TrimSpace(string(b))
	}
	return m
}

// commit is the commit of the working tree, with a mark if Go files or the list of modules differ from it.
func commit() string {
	b, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return ""
	}
	changes, err := exec.Command("git", "status", "--porcelain", "--", ":/*.go", ":/go.mod", ":/go.sum").Output()
	if err != nil || len(changes) > 0 {
		return strings.TrimSpace(string(b)) + " with changes"
	}
	return strings.TrimSpace(string(b))
}

// modules are the versions of the servers, by path.
func modules() map[string]string {
	versions := map[string]string{}
	for _, p := range peer.All {
		if p.Version != nil && p.Version() != "" {
			versions[p.Name] = p.Version()
		}
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return versions
	}
	for _, d := range info.Deps {
		for _, p := range peer.All {
			if d.Path == p.Module && d.Replace == nil {
				versions[d.Path] = d.Version
			}
		}
	}
	return versions
}
