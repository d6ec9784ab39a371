package peer

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

//go:embed bun.js
var bunScript string

// bun is a runtime of JavaScript with a server in C++ (uWebSockets). Its compression has no level, so it is not
// compared there.
var bun = Peer{Name: "bun", NoDeflate: true, NoTLS: true, Command: bunCommand, Version: bunVersion}

// findBun looks at $BUN, on PATH, and where npm puts it.
func findBun() (string, error) {
	for _, name := range []string{os.Getenv("BUN"), "bun", "./node_modules/.bin/bun"} {
		if name == "" {
			continue
		}
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("bun: %w: npm install, or BUN=path", ErrMissing)
}

func bunCommand(o Options) (*exec.Cmd, error) {
	path, err := findBun()
	if err != nil {
		return nil, err
	}
	options, err := json.Marshal(map[string]any{"group": o.Group, "rooms": o.Rooms, "maxMessage": maxMessage})
	if err != nil {
		return nil, err
	}
	return exec.Command(path, "--eval", "const options = "+string(options)+";\n"+bunScript), nil
}

func bunVersion() string {
	path, err := findBun()
	if err != nil {
		return ""
	}
	out, err := exec.Command(path, "--version").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
