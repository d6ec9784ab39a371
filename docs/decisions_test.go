package docs_test

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestDecisions: the index leads to every record, and all records have one form.
func TestDecisions(t *testing.T) {
	const dir = "docs/decisions"
	entries, err := os.ReadDir(filepath.Join(root, dir))
	if err != nil {
		t.Fatal(err)
	}
	index := read(t, dir+"/README.md")
	for _, e := range entries {
		name := e.Name()
		if name == "README.md" || !strings.HasSuffix(name, ".md") {
			continue
		}
		if !strings.Contains(index, "]("+name+")") {
			t.Errorf("%s/README.md has no link to %s", dir, name)
		}
		for _, problem := range checkRecord(page{path.Join(dir, name), read(t, path.Join(dir, name))}) {
			t.Error(problem)
		}
	}
}

// record are the headings that each record has, in this order. Others may stand between them.
var record = []string{"Context", "Decision", "Price", "What would change it"}

// recordLines is how long a record may be: who looks for a reason reads it to the end.
const recordLines = 50

func checkRecord(p page) (problems []string) {
	if !strings.HasPrefix(p.text, "# ") {
		problems = append(problems, p.name+": it does not begin with its title")
	}
	if n := strings.Count(p.text, "\n"); n > recordLines {
		problems = append(problems, fmt.Sprintf("%s: %d lines, want at most %d", p.name, n, recordLines))
	}
	var got []string
	prose(p.text, func(_ int, line string) {
		if title, ok := strings.CutPrefix(line, "## "); ok && slices.Contains(record, title) {
			got = append(got, title)
		}
	})
	if !slices.Equal(got, record) {
		problems = append(problems, fmt.Sprintf("%s: its headings are %q, want %q", p.name, got, record))
	}
	return problems
}

func TestCheckRecord(t *testing.T) {
	good := "# A\n\n## Context\n\n## Decision\n\n## Price\n\n## Why it stays\n\n## What would change it\n"
	for name, tt := range map[string]struct {
		text string
		want string // part of the only problem; empty: none
	}{
		"good":          {good, ""},
		"no title":      {"\n" + good, "does not begin with its title"},
		"too long":      {good + strings.Repeat("\n", recordLines), "want at most 50"},
		"no price":      {strings.Replace(good, "## Price\n", "", 1), "its headings are"},
		"another order": {"# A\n## Decision\n## Context\n## Price\n## What would change it\n", "its headings are"},
		"in a fence":    {"# A\n## Context\n```\n## Decision\n```\n## Price\n## What would change it\n", "its headings are"},
	} {
		got := checkRecord(page{"p.md", tt.text})
		if tt.want == "" && len(got) > 0 || tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)) {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}
