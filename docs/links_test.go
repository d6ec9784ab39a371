package docs_test

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

func TestLinks(t *testing.T) {
	all := map[string]string{}
	for _, p := range pages(t) {
		all[p.name] = p.text
	}
	for name, text := range all {
		for _, problem := range checkLinks(page{name, text}, exists, all) {
			t.Error(problem)
		}
	}
}

var (
	// [text](target), [text](target "title"), ![text](target), [name]: target
	inlineLink    = regexp.MustCompile(`\]\(\s*<?([^)\s>]+)>?[^)]*\)`)
	referenceLink = regexp.MustCompile(`^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)`)
	inlineCode    = regexp.MustCompile("`[^`]*`")
	heading       = regexp.MustCompile(`^#{1,6}\s+(.*?)\s*#*\s*$`)
)

// checkLinks returns the relative links of p that lead nowhere: no such file, or no such heading in a page.
func checkLinks(p page, exists func(name string) bool, all map[string]string) []string {
	var problems []string
	prose(p.text, func(n int, line string) {
		line = inlineCode.ReplaceAllString(line, "")
		for _, m := range append(inlineLink.FindAllStringSubmatch(line, -1), referenceLink.FindAllStringSubmatch(line, -1)...) {
			target := m[1]
			u, err := url.Parse(target)
			if err != nil {
				problems = append(problems, fmt.Sprintf("%s:%d: link %s: %v", p.name, n, target, err))
				continue
			}
			if u.Scheme != "" || u.Host != "" {
				continue
			}
			to := p.name
			if u.Path != "" {
				to = path.Join(path.Dir(p.name), u.Path)
			}
			if to == ".." || strings.HasPrefix(to, "../") || path.IsAbs(u.Path) || !exists(to) {
				problems = append(problems, fmt.Sprintf("%s:%d: link %s leads to no file of the repository", p.name, n, target))
				continue
			}
			if text, ok := all[to]; ok && u.Fragment != "" && !anchors(text)[u.Fragment] {
				problems = append(problems, fmt.Sprintf("%s:%d: link %s leads to no heading of %s", p.name, n, target, to))
			}
		}
	})
	return problems
}

// anchors returns the names under which a page's headings can be linked to, as GitHub makes them.
func anchors(text string) map[string]bool {
	names := map[string]bool{}
	prose(text, func(_ int, line string) {
		m := heading.FindStringSubmatch(line)
		if m == nil {
			return
		}
		name := strings.Map(func(r rune) rune {
			switch {
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			case r == ' ':
				return '-'
			}
			return -1
		}, m[1])
		unique := name
		for i := 1; names[unique]; i++ {
			unique = fmt.Sprintf("%s-%d", name, i)
		}
		names[unique] = true
	})
	return names
}

// prose calls f with each line that is not in a fenced block, and its number.
func prose(text string, f func(n int, line string)) {
	var open fence
	for i, line := range strings.Split(text, "\n") {
		if open.mark != "" {
			if open.closedBy(line) {
				open = fence{}
			}
			continue
		}
		if fe, ok := openFence(line); ok {
			open = fe
			continue
		}
		f(i+1, line)
	}
}

func TestCheckLinks(t *testing.T) {
	const here = "docs/how-to/here.md"
	for name, tt := range map[string]struct {
		text string
		want string
	}{
		"elsewhere":              {"[a](https://example.com/x) [b](mailto:a@example.com)", ""},
		"file":                   {"[a](../../LICENSE)", ""},
		"directory":              {"[a](../tutorial/)", ""},
		"heading":                {"[a](../tutorial/one.md#what-it-isnt-1)", ""},
		"heading of the page":    {"# Here we are\n\n[a](#here-we-are)", ""},
		"in a fence":             {"```\n[a](gone.md)\n```", ""},
		"in code":                {"`[a](gone.md)`", ""},
		"a type parameter":       {"`Call[R any](ctx context.Context)`", ""},
		"missing":                {"\n[a](gone.md)", here + ":2: link gone.md leads to no file"},
		"missing, with a title":  {`[a](gone.md "Gone")`, here + ":1: link gone.md leads to no file"},
		"missing, as an image":   {"![a](gone.png)", here + ":1: link gone.png leads to no file"},
		"missing, by reference":  {"[a]\n\n[a]: gone.md", here + ":3: link gone.md leads to no file"},
		"missing, after a fence": {"~~~~go\n~~~\n~~~~\n[a](gone.md)", here + ":4: link gone.md leads to no file"},
		"outside":                {"[a](../../../LICENSE)", here + ":1: link ../../../LICENSE leads to no file"},
		"no such heading":        {"[a](../tutorial/one.md#two)", here + ":1: link ../tutorial/one.md#two leads to no heading"},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]bool{"LICENSE": true, "docs/tutorial": true, "docs/tutorial/one.md": true, here: true}
			all := map[string]string{
				here:                   tt.text,
				"docs/tutorial/one.md": "# What it isn't\n\n## What it isn't\n\n```sh\n# two\n```\n",
			}
			got := checkLinks(page{here, tt.text}, func(name string) bool { return files[name] }, all)
			if tt.want == "" && len(got) > 0 {
				t.Errorf("checkLinks of %q = %q, want no problem", tt.text, got)
			}
			if tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)) {
				t.Errorf("checkLinks of %q = %q, want one problem with %q", tt.text, got, tt.want)
			}
		})
	}
}
