package docs_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// TestBlocks compiles every Go block of every page. A block is a whole file when it starts with
// "package", declarations when it starts with import, const, func, type or var, and statements otherwise;
// see [compiler] for what the last two may leave out.
//
// A block that cannot compile says so: its fence is "```go ignore", and the line before it is
// <!-- not compiled: the reason -->.
func TestBlocks(t *testing.T) {
	sources(t) // read, so that a change of the API makes go test run this again

	c := newCompiler(t)
	n := 0
	for _, p := range pages(t) {
		blocks, problems := goBlocks(p)
		n += len(blocks)
		for _, problem := range append(problems, c.check(p.name, blocks)...) {
			t.Error(problem)
		}
	}
	if n == 0 {
		t.Error("no Go block found, not even in README.md")
	}
}

// A block is the text between two fences, without the indentation of the fence.
type block struct {
	line int // of its first line of code
	code string
}

// A fence is the line that opens a block.
type fence struct {
	indent, mark, info string
}

var (
	fenceLine = regexp.MustCompile("^( *)(`{3,}|~{3,}) *([^`]*?) *$")
	reason    = regexp.MustCompile(`^<!-- not compiled: .*\w.* -->$`)
)

func openFence(line string) (fence, bool) {
	m := fenceLine.FindStringSubmatch(line)
	if m == nil {
		return fence{}, false
	}
	return fence{indent: m[1], mark: m[2], info: m[3]}, true
}

func (f fence) closedBy(line string) bool {
	line = strings.TrimSpace(line)
	return len(line) >= len(f.mark) && strings.Trim(line, f.mark[:1]) == ""
}

// goBlocks returns the Go blocks of p that are to be compiled, and what is wrong with its fences.
func goBlocks(p page) (blocks []block, problems []string) {
	problem := func(n int, text string) {
		problems = append(problems, fmt.Sprintf("%s:%d: %s", p.name, n, text))
	}
	var (
		open  fence
		start int
		code  []string
	)
	lines := strings.Split(p.text, "\n")
	for i, line := range lines {
		if open.mark == "" {
			var ok bool
			if open, ok = openFence(line); ok {
				start, code = i, nil
			} else if strings.Contains(line, "```") {
				problem(i+1, "``` in the middle of a line: start and end the block on lines of its own, outside a quotation")
			}
			continue
		}
		if !open.closedBy(line) {
			code = append(code, strings.TrimPrefix(line, open.indent))
			continue
		}
		language, rest, _ := strings.Cut(open.info, " ")
		switch {
		case open.info == "go":
			blocks = append(blocks, block{start + 2, strings.Join(code, "\n") + "\n"})
		case open.info == "go ignore":
			if start == 0 || !reason.MatchString(strings.TrimSpace(lines[start-1])) {
				problem(start+1, "a block that is not compiled needs <!-- not compiled: the reason --> on the line before")
			}
		case strings.EqualFold(language, "go"), strings.EqualFold(language, "golang"):
			problem(start+1, fmt.Sprintf("a Go block is marked %q: write \"go\", or \"go ignore\" with a reason, not %q", open.info, rest))
		}
		open = fence{}
	}
	if open.mark != "" {
		problem(start+1, "this block is never closed")
	}
	return blocks, problems
}

func TestGoBlocks(t *testing.T) {
	for name, tt := range map[string]struct {
		text    string
		blocks  []block
		problem string
	}{
		"block":              {"a\n```go\nx()\n```\n", []block{{3, "x()\n"}}, ""},
		"in a list":          {"1. a\n\n   ```go\n   if x {\n   \ty()\n   }\n   ```\n", []block{{4, "if x {\n\ty()\n}\n"}}, ""},
		"tildes":             {"~~~go\n```\n~~~\n", []block{{2, "```\n"}}, ""},
		"longer fence":       {"````go\n```\n````\n", []block{{2, "```\n"}}, ""},
		"another language":   {"```sh\ngo test\n```\n```\nx\n```\n", nil, ""},
		"ignored":            {"<!-- not compiled: it shows a mistake -->\n```go ignore\nx(\n```\n", nil, ""},
		"ignored, no line":   {"```go ignore\nx(\n```\n", nil, "p.md:1: a block that is not compiled needs"},
		"ignored, no why":    {"<!-- not compiled: -->\n```go ignore\nx(\n```\n", nil, "p.md:2: a block that is not compiled needs"},
		"another mark":       {"```go nocheck\nx(\n```\n", nil, `p.md:1: a Go block is marked "go nocheck"`},
		"another name":       {"```Golang\nx(\n```\n", nil, `p.md:1: a Go block is marked "Golang"`},
		"in a quotation":     {"> ```go\n> x(\n", nil, "p.md:1: ``` in the middle of a line"},
		"open to the end":    {"```go\nx()\n", nil, "p.md:1: this block is never closed"},
		"closed by a longer": {"```go\nx()\n`````\n", []block{{2, "x()\n"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			blocks, problems := goBlocks(page{"p.md", tt.text})
			if fmt.Sprint(blocks) != fmt.Sprint(tt.blocks) {
				t.Errorf("goBlocks of %q = %v, want %v", tt.text, blocks, tt.blocks)
			}
			if tt.problem == "" && len(problems) > 0 {
				t.Errorf("goBlocks of %q reports %q, want no problem", tt.text, problems)
			}
			if tt.problem != "" && (len(problems) != 1 || !strings.HasPrefix(problems[0], tt.problem)) {
				t.Errorf("goBlocks of %q reports %q, want one problem that starts with %q", tt.text, problems, tt.problem)
			}
		})
	}
}
