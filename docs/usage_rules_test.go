package docs_test

import (
	"go/types"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// identifier is what the rules name: a package, a name in it, and perhaps a field or a method of that.
var identifier = regexp.MustCompile(`\b([a-z]+)\.([A-Z]\w*)(?:\.([A-Z]\w*))?`)

// checkIdentifiers returns the identifiers in the code of text that do not exist.
func checkIdentifiers(c *compiler, text string) (missing []string, n int) {
	for _, code := range inlineCode.FindAllString(text, -1) {
		for _, m := range identifier.FindAllStringSubmatch(code, -1) {
			n++
			at, ok := importable[m[1]]
			if !ok {
				missing = append(missing, m[0]+": no such package")
				continue
			}
			pkg, err := c.imp.Import(at)
			if err != nil {
				missing = append(missing, m[0]+": "+err.Error())
				continue
			}
			obj := pkg.Scope().Lookup(m[2])
			if obj == nil {
				missing = append(missing, m[0])
				continue
			}
			if m[3] != "" {
				if member, _, _ := types.LookupFieldOrMethod(obj.Type(), true, pkg, m[3]); member == nil {
					missing = append(missing, m[0])
				}
			}
		}
	}
	return missing, n
}

// The rules of use name nothing that does not exist.
func TestUsageRules(t *testing.T) {
	sources(t) // read, so that a change of the API makes go test run this again
	c := newCompiler(t)
	for _, name := range []string{"docs/usage-rules.md", "llms.txt"} {
		missing, n := checkIdentifiers(c, read(t, name))
		if len(missing) > 0 || n < 5 {
			t.Errorf("%s: of %d identifiers these do not exist: %q", name, n, missing)
		}
	}
}

func TestCheckIdentifiers(t *testing.T) {
	c := newCompiler(t)
	text := "`socket.Config.MaxSockets` `*websock.CloseError`, `actor.PID.Send(x)` and actor.NotCode are there; `socket.Config.MaxSocks`, `actor.Selv(ctx)`, " +
		"`rooms.Join`, `http.Server.NoSuch` are not"
	want := []string{"socket.Config.MaxSocks", "actor.Selv", "rooms.Join: no such package", "http.Server.NoSuch"}
	if got, n := checkIdentifiers(c, text); !slices.Equal(got, want) || n != 7 {
		t.Errorf("got %q of %d, want %q of 7", got, n, want)
	}
}

// llms.txt leads to every page, and to nothing else.
func TestLLMs(t *testing.T) {
	text := read(t, "llms.txt")
	for _, m := range inlineLink.FindAllStringSubmatch(text, -1) {
		if to, _, _ := strings.Cut(m[1], "#"); !strings.Contains(to, "://") && !exists(to) {
			t.Errorf("llms.txt: link %s leads to no file of the repository", to)
		}
	}
	for _, dir := range []string{"docs/tutorial", "docs/how-to", "docs/reference", "docs/explanation"} {
		entries, err := os.ReadDir(filepath.Join(root, dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if name := path.Join(dir, e.Name()); strings.HasSuffix(name, ".md") && !strings.Contains(text, "("+name+")") {
				t.Errorf("llms.txt has no link to %s", name)
			}
		}
	}
}
