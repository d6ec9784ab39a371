package docs_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// named are the pages that say where things are in the code. What stands between backticks there must exist:
//
//   - a path from the root, of a file or a folder;
//   - a name in Go: Name, name, Type.Name. In a row of a table that names files, one of these declares it; elsewhere, any
//     file of the main module;
//   - one with its package: package.Name, package.Type.Name.
var named = []string{"docs/explanation/architecture.md"}

// TestNames holds these pages against the code.
func TestNames(t *testing.T) {
	d := declarationsOf(sources(t))
	for _, name := range named {
		p := page{name, read(t, name)}
		problems, n := d.checkNames(p, exists)
		for _, problem := range problems {
			t.Error(problem)
		}
		if n < 50 {
			t.Errorf("%s: %d names, want at least 50: does the pattern still match?", name, n)
		}
	}
}

// declared is what the files of the main module declare: by file, then Name and Type.Name, fields and the methods
// of interfaces included.
type declared map[string]map[string]bool

func declarationsOf(files []source) declared {
	d := declared{}
	for _, s := range files {
		names := map[string]bool{}
		d[s.name] = names
		tree, err := parser.ParseFile(token.NewFileSet(), s.name, s.text, parser.SkipObjectResolution)
		if err != nil {
			continue // the compiler says it better
		}
		for _, decl := range tree.Decls {
			for _, name := range namesOf(decl) {
				names[name] = true
			}
			if g, ok := decl.(*ast.GenDecl); ok {
				for _, spec := range g.Specs {
					if ts, ok := spec.(*ast.TypeSpec); ok {
						for _, member := range membersOf(ts.Type) {
							names[ts.Name.Name+"."+member] = true
						}
					}
				}
			}
		}
	}
	return d
}

// membersOf are the fields of a struct and the methods of an interface.
func membersOf(t ast.Expr) (names []string) {
	var list *ast.FieldList
	switch t := t.(type) {
	case *ast.StructType:
		list = t.Fields
	case *ast.InterfaceType:
		list = t.Methods
	default:
		return nil
	}
	for _, f := range list.List {
		for _, id := range f.Names {
			names = append(names, id.Name)
		}
		if len(f.Names) == 0 {
			names = append(names, receiver(f.Type)) // embedded; of another package: ""
		}
	}
	return names
}

var (
	goName   = regexp.MustCompile(`^[A-Za-z_]\w*(\.[A-Za-z_]\w*){0,2}$`)
	codePath = regexp.MustCompile(`^(\.?[\w-]+/)*[\w.-]+\.(go|md|mod|js)$|^\.?[\w-]+(/[\w-]+)*/$|^\.?[\w-]+(/[\w-]+)+$`)
)

// checkNames returns what p names and is not there, and how many names it has.
func (d declared) checkNames(p page, exists func(string) bool) (problems []string, n int) {
	prose(p.text, func(line int, text string) {
		var files, names []string
		for _, code := range inlineCode.FindAllString(text, -1) {
			code = strings.Trim(code, "`")
			switch {
			case codePath.MatchString(code):
				n++
				if !exists(strings.TrimSuffix(code, "/")) {
					problems = append(problems, fmt.Sprintf("%s:%d: there is no %s", p.name, line, code))
				} else if strings.HasSuffix(code, ".go") {
					files = append(files, code)
				}
			case goName.MatchString(strings.TrimSuffix(code, "()")):
				n++
				names = append(names, strings.TrimSuffix(code, "()"))
			}
		}
		if !strings.HasPrefix(text, "|") {
			files = nil
		}
		for _, name := range names {
			if !d.has(name, files) {
				where := "anywhere"
				if files != nil {
					where = "in " + strings.Join(files, ", ")
				}
				problems = append(problems, fmt.Sprintf("%s:%d: %s is not declared %s", p.name, line, name, where))
			}
		}
	})
	return problems, n
}

// has tells whether one of the files declares name; nil: whether any file does, or a package has that name. What names its
// package is looked for there in any case, and what is the standard library's is not looked for.
func (d declared) has(name string, files []string) bool {
	if slices.ContainsFunc(files, func(file string) bool { return d[file][name] }) {
		return true
	}
	if types.Universe.Lookup(name) != nil {
		return true
	}
	first, rest, qualified := strings.Cut(name, ".")
	for file, names := range d {
		pkg := path.Base(path.Dir(file))
		if qualified && pkg == first && names[rest] || files == nil && (names[name] || !qualified && pkg == name) {
			return true
		}
	}
	at, known := importable[first]
	return known && !strings.HasPrefix(at, module) // the compiler holds those to the rules of use, not this
}

func TestCheckNames(t *testing.T) {
	files := []source{
		{"a/box/lid.go", "package box\ntype Lid struct { hinge int; Knob }\nfunc (l *Lid) open() {}\nfunc Make() {}\ntype opener interface { Open() }\nconst big = 1\n"},
		{"a/box/key.go", "package box\nvar key int\n"},
	}
	there := func(name string) bool {
		return name == "a/box/lid.go" || name == "a/box/key.go" || name == "a/box" || name == ".ci/run"
	}
	for name, tt := range map[string]struct {
		text string
		want string // part of the only problem; empty: none
	}{
		"in the file":               {"| `a/box/lid.go` | `Lid`, `Lid.open`, `Lid.hinge`, `Make()`, `opener.Open`, `big` |", ""},
		"in one of two files":       {"| `a/box/lid.go`, `a/box/key.go` | `key` |", ""},
		"in another file":           {"| `a/box/lid.go` | `key` |", "p.md:1: key is not declared in a/box/lid.go"},
		"gone from the file":        {"| `a/box/lid.go` | `Lid.shut` |", "Lid.shut is not declared in a/box/lid.go"},
		"a method without its type": {"| `a/box/lid.go` | `open` |", "open is not declared in a/box/lid.go"},
		"with its package":          {"| `a/box/key.go` | `box.Lid`, `box.Lid.open` |", ""},
		"not in that package":       {"| `a/box/key.go` | `box.Hat` |", "box.Hat is not declared in a/box/key.go"},
		"anywhere":                  {"It is `Lid.open` of `box`, `box.Lid.open`, `box.Make`.", ""},
		"nowhere":                   {"\nIt is `Lid.shut`.", "p.md:2: Lid.shut is not declared anywhere"},
		"of the wrong package":      {"`lid.Make`", "lid.Make is not declared anywhere"},
		"of the standard library":   {"`net.Conn`, `http.Server.Serve`, `nil`, `error`", ""},
		"no such file":              {"| `a/box/gone.go` | `Make` |", "p.md:1: there is no a/box/gone.go"},
		"a file without its path":   {"see `lid.go`", "there is no lid.go"},
		"no such folder":            {"see `a/bag`", "there is no a/bag"},
		"folders":                   {"`a/box/`, `a/box`, `.ci/run`", ""},
		"no name":                   {"`go test ./...`, `x + y`, `503`, `-race`, `Retry-After: 1`", ""},
		"in a fence":                {"```\n`Lid.shut`\n```", ""},
	} {
		got, _ := declarationsOf(files).checkNames(page{"p.md", tt.text}, there)
		if tt.want == "" && len(got) > 0 || tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)) {
			t.Errorf("%s: checkNames of %q = %q, want %q", name, tt.text, got, tt.want)
		}
	}
}
