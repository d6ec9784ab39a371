package docs_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// quotation stands on the line before a block that is quoted from a file of the repository, where something runs it:
//
//	<!-- from actor/cluster/across_test.go -->
//	<!-- not compiled: the reason; from actor/cluster/natsengine/docs_test.go -->
var quotation = regexp.MustCompile(`^<!-- (?:not compiled: .*\w.*; )?from (\S+) -->$`)

// TestQuotes: a block that says where it is from stands there, line by line. It may be indented there, and be a part of
// the file.
func TestQuotes(t *testing.T) {
	n := 0
	for _, p := range pages(t) {
		quoted, problems := checkQuotes(p, func(name string) string {
			if !exists(name) {
				return ""
			}
			return read(t, name)
		})
		n += quoted
		for _, problem := range problems {
			t.Error(problem)
		}
	}
	if n == 0 {
		t.Error("no quotation found: does the pattern still match?")
	}
}

// checkQuotes returns how many blocks of p are quoted, and what is wrong with them. read returns "" for what is not there.
func checkQuotes(p page, read func(name string) string) (n int, problems []string) {
	lines := strings.Split(p.text, "\n")
	var open fence
	from, start := "", 0
	for i, line := range lines {
		switch {
		case open.mark == "":
			var ok bool
			if open, ok = openFence(line); !ok {
				break
			}
			from, start = "", i+1
			if i > 0 {
				if m := quotation.FindStringSubmatch(strings.TrimSpace(lines[i-1])); m != nil {
					from = m[1]
					n++
				}
			}
		case open.closedBy(line):
			if from != "" && !stands(lines[start:i], strings.Split(read(from), "\n")) {
				problems = append(problems, fmt.Sprintf("%s:%d: this block does not stand in %s like that", p.name, start, from))
			}
			open = fence{}
		}
	}
	return n, problems
}

// stands tells whether the lines of block follow one another in file, each indented by the same white space.
func stands(block, file []string) bool {
	if len(block) == 0 {
		return false
	}
	for at := 0; at+len(block) <= len(file); at++ {
		indent, ok := strings.CutSuffix(file[at], block[0])
		if !ok || strings.TrimSpace(indent) != "" {
			continue
		}
		same := true
		for i, line := range block {
			if line != "" {
				line = indent + line
			}
			same = same && line == file[at+i]
		}
		if same {
			return true
		}
	}
	return false
}

func TestCheckQuotes(t *testing.T) {
	file := "package p\n\nfunc f() {\n\tif x {\n\n\t\ty()\n\t}\n}\n"
	for name, tt := range map[string]struct {
		text    string
		n       int
		problem string
	}{
		"all of it":      {"<!-- from p.go -->\n```go\nfunc f() {\n\tif x {\n\n\t\ty()\n\t}\n}\n```\n", 1, ""},
		"a part":         {"<!-- from p.go -->\n```go\nif x {\n\n\ty()\n}\n```\n", 1, ""},
		"not compiled":   {"<!-- not compiled: no; from p.go -->\n```go ignore\ny()\n```\n", 1, ""},
		"two":            {"<!-- from p.go -->\n```\ny()\n```\n<!-- from p.go -->\n```\nz()\n```\n", 2, "p.md:6: this block does not stand in p.go"},
		"another line":   {"<!-- from p.go -->\n```go\nif x {\n\ty()\n}\n```\n", 1, "p.md:2: this block does not stand in p.go"},
		"another indent": {"<!-- from p.go -->\n```go\nif x {\n\n\t\ty()\n}\n```\n", 1, "p.md:2: this block does not stand in p.go"},
		"no such file":   {"<!-- from q.go -->\n```go\ny()\n```\n", 1, "p.md:2: this block does not stand in q.go"},
		"nothing":        {"<!-- from p.go -->\n```go\n```\n", 1, "p.md:2: this block does not stand in p.go"},
		"no quotation":   {"text\n```go\nz()\n```\n", 0, ""},
	} {
		n, got := checkQuotes(page{"p.md", tt.text}, func(name string) string {
			if name == "p.go" {
				return file
			}
			return ""
		})
		if n != tt.n || tt.problem == "" && len(got) > 0 || tt.problem != "" && (len(got) != 1 || !strings.HasPrefix(got[0], tt.problem)) {
			t.Errorf("%s: checkQuotes of %q = %d, %q, want %d, %q", name, tt.text, n, got, tt.n, tt.problem)
		}
	}
}
