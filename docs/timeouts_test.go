package docs_test

import (
	"regexp"
	"strings"
	"testing"
)

// TestTimeouts: net/http has no timeouts of its own, and what stands in a page or an example is copied. So each
// http.Server there sets those that hold before the upgrade.
func TestTimeouts(t *testing.T) {
	found := 0
	walk(t, nil, func(name string) {
		example := strings.HasPrefix(name, "examples/") && strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go")
		if !example && !strings.HasSuffix(name, ".md") {
			return
		}
		text := read(t, name)
		if strings.Contains(text, "http.ListenAndServe(") {
			t.Errorf("%s: http.ListenAndServe has no timeouts; use an http.Server", name)
		}
		for _, server := range serverLiteral.FindAllString(text, -1) {
			found++
			for _, field := range []string{"ReadHeaderTimeout:", "ReadTimeout:", "IdleTimeout:"} {
				if !strings.Contains(server, field) {
					t.Errorf("%s: no %s in %s", name, field, server)
				}
			}
		}
	})
	if found < 8 {
		t.Errorf("found %d http.Server literals in pages and examples, want at least 8: does the pattern still match?", found)
	}
}

// serverLiteral ends at a brace that closes a line, or with the line that it began on.
var serverLiteral = regexp.MustCompile(`http\.Server\{(?:[^\n]*\}\n|(?s:.*?)\}\n)`)
