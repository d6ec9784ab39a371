//go:build !nbio

package peer

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

var nbioPeer = Peer{Name: "nbio", Module: nbioModule, NoTLS: true, Command: nbioCommand, Version: nbioVersion}

// nbioCommand builds this program once more, with nbio, unless that is done.
func nbioCommand(o Options) (*exec.Cmd, error) {
	options, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	if _, err := exec.LookPath("go"); err != nil {
		return nil, fmt.Errorf("nbio: %w: %w", ErrMissing, err)
	}
	program := filepath.Join(os.TempDir(), "troupe-benchmarks-nbio")
	build := exec.Command("go", "build", "-tags", "nbio", "-o", program, "github.com/troupe-dev/troupe/docs/benchmarks")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("nbio: %w: %s", err, out)
	}
	return exec.Command(program, "serve", "-peer", "nbio", "-options", string(options)), nil
}

func nbioVersion() string {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", nbioModule).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
