// Package docs_test holds the documentation to the code: every Go block on a page compiles, every
// relative link leads somewhere, and the packages import one another only as the table in
// imports_test.go says.
package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/troupe-dev/troupe"

// root is the top of the repository, seen from the directory that go test runs this package in.
const root = ".."

// A page is one Markdown file. Its name is relative to the root, with slashes.
type page struct {
	name string
	text string
}

// pages reads every Markdown file of the repository.
func pages(t *testing.T) []page {
	t.Helper()
	var all []page
	walk(t, nil, func(name string) {
		if strings.HasSuffix(name, ".md") {
			all = append(all, page{name, read(t, name)})
		}
	})
	if len(all) == 0 {
		t.Fatal("no Markdown file found: is the root still the parent directory?")
	}
	return all
}

// A source is one Go file of the main module that is not a test.
type source struct {
	name string
	text string
}

// sources reads every Go file of the main module, whatever its build constraints say. Reading them in
// this process is also what tells go test that a result it has cached is out of date.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	walk(t, isModule, func(name string) {
		if strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			all = append(all, source{name, read(t, name)})
		}
	})
	if len(all) == 0 {
		t.Fatal("no Go file found: is the root still the parent directory?")
	}
	return all
}

// walk calls f with the name of every file below the root, leaving out hidden directories, testdata, node_modules, and
// those that skip names.
func walk(t *testing.T, skip func(dir string) bool, f func(name string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil || name == "." {
			return err
		}
		name = filepath.ToSlash(name)
		if !d.IsDir() {
			f(name)
			return nil
		}
		base := d.Name()
		if strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || base == "node_modules" || skip != nil && skip(name) {
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// isModule reports whether dir is the top of a module of its own.
func isModule(dir string) bool { return exists(dir + "/go.mod") }

func exists(name string) bool {
	_, err := os.Stat(filepath.Join(root, filepath.FromSlash(name)))
	return err == nil
}
