package report

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// ThisMachine describes the machine on which this process runs. What cannot be found out is left empty.
func ThisMachine() Machine {
	m := Machine{Commit: Commit(), Go: runtime.Version()}
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

// Commit is the commit of the working tree, with a mark if Go files or the list of modules differ from it.
func Commit() string {
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
