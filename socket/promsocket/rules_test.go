package promsocket_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const watchPage = "../../docs/how-to/watch-a-service.md"

// program is one of Prometheus. Where it is not installed the test is skipped, but not in the gate, which installs it and
// says so by TROUPE_PROMETHEUS.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if errors.Is(err, exec.ErrNotFound) && os.Getenv("TROUPE_PROMETHEUS") == "" {
		t.Skipf("%s is not installed (Debian: apt-get install prometheus)", name)
	}
	if err != nil {
		t.Fatalf("%s (Debian: apt-get install prometheus): %v", name, err)
	}
	return path
}

// alerts are the rules on the page.
func alerts(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(watchPage)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "\n```yaml\ngroups:\n")
	rules, _, ended := strings.Cut(rest, "\n```\n")
	if !ok || !ended {
		t.Fatalf("%s has no block with the groups of rules", watchPage)
	}
	return "groups:\n" + rules + "\n"
}

// TestAlerts_promtool has promtool check the alerts of the page, and try when they are raised: testdata/alerts_test.yaml.
func TestAlerts_promtool(t *testing.T) {
	promtool := program(t, "promtool")
	dir := t.TempDir()
	tests, err := os.ReadFile("testdata/alerts_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"alerts.yaml": alerts(t), "alerts_test.yaml": string(tests)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// Each alert names only metrics and labels that there are.
func TestAlerts_names(t *testing.T) {
	byName := map[string]metric{}
	for _, m := range described() {
		byName[m.name] = m
	}
	found := 0
	for line := range strings.Lines(alerts(t)) {
		for _, f := range seriesName.FindAllStringSubmatch(strings.TrimSpace(line), -1) {
			found++
			m, ok := byName[f[1]]
			if !ok || m.histogram != (f[2] != "") {
				t.Errorf("%s%s is no series of the collector, in %s", f[1], f[2], line)
			}
			for _, label := range labelsOf("", f[3]) {
				if !strings.Contains(strings.Join(m.labels, " "), label) {
					t.Errorf("%s has no label %s, in %s", m.name, label, line)
				}
			}
		}
	}
	if found < 4 {
		t.Errorf("the alerts name %d series, want at least 4", found)
	}
}
