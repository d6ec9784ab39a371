package docs_test

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/scanner"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A compiler type-checks Go blocks against the export data of the packages that they import: what the Go
// compiler would refuse, it refuses.
//
// Blocks that are no whole files may leave out what a reader fills in without thinking: imports of
// the packages in importable; in statements also the variables in given, and the use of a variable that
// the block declares. They see the declarations of the blocks above them on the same page, unless they
// declare the same name themselves, so that a page can show a program piece by piece. A whole file joins
// the files of its package above it; when it declares one of their names again, the page starts anew.
type compiler struct {
	fset *token.FileSet
	imp  types.Importer
}

// importable are the packages that a block may use without importing them, by name.
var importable = byName(
	module+"/actor", module+"/actor/cluster", module+"/actor/cluster/clustertest", module+"/actor/exit", module+"/actor/host", module+"/actor/proto", module+"/registry", module+"/socket",
	module+"/socket/observer", module+"/socket/sockettest", module+"/supervisor", module+"/websock",
	"bufio", "bytes", "cmp", "context", "crypto/rand", "crypto/tls", "embed", "encoding/binary",
	"encoding/json", "errors", "expvar", "flag", "fmt", "io", "io/fs", "iter", "log", "log/slog", "maps",
	"math", "net", "net/http", "net/http/httptest", "net/http/httputil", "net/netip", "net/url", "os", "os/signal", "path", "regexp", "runtime",
	"slices", "strconv", "strings", "sync", "sync/atomic", "syscall", "testing", "testing/synctest", "time",
	"unicode/utf8",
)

// given are the variables that statements may use without declaring them.
var given = map[string]string{
	"ctx":     "context.Context",
	"err":     "error",
	"mux":     "*http.ServeMux",
	"pid":     "actor.PID",
	"r":       "*http.Request",
	"server":  "*http.Server",
	"sockets": "*socket.Server",
	"sys":     "*actor.System",
	"t":       "*testing.T",
	"w":       "http.ResponseWriter",
	"workers": "*supervisor.Supervisor",
}

// results are the result types that statements with a return may be meant for.
var results = []string{"", "websock.Result", "error", "(websock.Handler, error)", "bool"}

func byName(paths ...string) map[string]string {
	m := map[string]string{}
	for _, p := range paths {
		m[path.Base(p)] = p
	}
	return m
}

func newCompiler(t *testing.T) *compiler {
	t.Helper()
	args := []string{"list", "-e", "-export", "-deps", "-f", "{{if .Export}}{{.ImportPath}}\t{{.Export}}{{end}}", "--"}
	for _, p := range importable {
		args = append(args, p)
	}
	args = append(args, module+"/...")
	cmd := exec.Command("go", args...)
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
	}
	files := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if p, file, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
			files[p] = file
		}
	}
	fset := token.NewFileSet()
	return &compiler{fset, importer.ForCompiler(fset, "gc", func(p string) (io.ReadCloser, error) {
		file, ok := files[p]
		if !ok {
			return nil, errors.New("no such package, or it does not compile")
		}
		return os.Open(file)
	})}
}

// check compiles the blocks of one page and returns what is wrong with them.
func (c *compiler) check(page string, blocks []block) []string {
	var (
		problems []string
		pkg      string
		above    []*piece
	)
	for _, b := range blocks {
		own, errs := c.read(page, b)
		if len(errs) == 0 {
			if name := own.tree.Name.Name; own.kind == file && (name != pkg || slices.ContainsFunc(above, own.replaces)) {
				pkg, above = name, nil
			}
			above = slices.DeleteFunc(above, own.replaces)
			errs = c.compile(own, above)
			above = append(above, own.declarations(c.fset)...)
		}
		for _, err := range errs {
			problems = append(problems, err.Error())
		}
	}
	return problems
}

type kind uint8

const (
	file kind = iota
	declarations
	statements
)

// A piece is Go code that becomes one file of a package.
type piece struct {
	kind
	at      string // page:line of the first line of code
	code    string
	names   []string // what it declares: Name, or Type.Name for a method
	tree    *ast.File
	result  string            // statements: of the function around them
	params  []string          // statements: names in given that they use
	imports []string          // specs that stand in front of code
	known   map[string]string // import specs by name: of the file that the piece is from
}

// source returns the file. Positions in it are positions on the page.
func (p *piece) source() string {
	var b strings.Builder
	if p.kind != file {
		b.WriteString("package page\n")
	}
	for _, imp := range p.imports {
		fmt.Fprintf(&b, "import %s\n", imp)
	}
	if p.kind == statements {
		b.WriteString("func _(")
		for _, name := range p.params {
			fmt.Fprintf(&b, "%s %s, ", name, given[name])
		}
		fmt.Fprintf(&b, ") %s { {", p.result) // the second brace lets the block declare a parameter's name again
	}
	fmt.Fprintf(&b, "\n//line %s:1\n%s", p.at, p.code)
	if p.kind == statements {
		b.WriteString("}; panic(0) }\n")
	}
	return b.String()
}

// read finds out what kind of code b is.
func (c *compiler) read(page string, b block) (*piece, []error) {
	kinds := []kind{statements}
	switch firstToken(b.code) {
	case token.PACKAGE:
		kinds = []kind{file}
	case token.IMPORT, token.FUNC, token.TYPE:
		kinds = []kind{declarations}
	case token.CONST, token.VAR:
		kinds = []kind{declarations, statements}
	}
	var first error
	for _, k := range kinds {
		p := &piece{kind: k, at: fmt.Sprintf("%s:%d", page, b.line), code: b.code}
		err := c.parse(p)
		if err == nil {
			return p, nil
		}
		if first == nil {
			first = err
		}
	}
	if list, ok := first.(scanner.ErrorList); ok {
		first = list[0] // what follows a syntax error is noise
	}
	return nil, []error{first}
}

func firstToken(code string) token.Token {
	var s scanner.Scanner
	s.Init(token.NewFileSet().AddFile("", -1, len(code)), []byte(code), nil, 0)
	_, tok, _ := s.Scan()
	return tok
}

func (c *compiler) parse(p *piece) (err error) {
	p.tree, err = parser.ParseFile(c.fset, "block.go", p.source(), parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	p.names = nil
	if p.kind != statements {
		for _, d := range p.tree.Decls {
			p.names = append(p.names, namesOf(d)...)
		}
	}
	return nil
}

// namesOf returns the names that d declares, of a method with its receiver type in front.
func namesOf(d ast.Decl) (names []string) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		name := d.Name.Name
		if d.Recv != nil && len(d.Recv.List) == 1 {
			name = receiver(d.Recv.List[0].Type) + "." + name
		}
		names = append(names, name)
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				names = append(names, s.Name.Name)
			case *ast.ValueSpec:
				for _, id := range s.Names {
					names = append(names, id.Name)
				}
			}
		}
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == "_" || name == "init" })
}

func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// replaces reports whether p declares what old declares, or the type that old is a method of.
func (p *piece) replaces(old *piece) bool {
	return slices.ContainsFunc(old.names, func(name string) bool {
		of, _, isMethod := strings.Cut(name, ".")
		return slices.Contains(p.names, name) || isMethod && slices.Contains(p.names, of)
	})
}

// declarations splits p into one piece for each declaration, for the blocks further down.
func (p *piece) declarations(fset *token.FileSet) (pieces []*piece) {
	if p.kind == statements {
		return nil
	}
	known := map[string]string{}
	for _, imp := range p.tree.Imports {
		name, spec := path.Base(strings.Trim(imp.Path.Value, `"`)), imp.Path.Value
		if imp.Name != nil {
			name, spec = imp.Name.Name, imp.Name.Name+" "+spec
		}
		known[name] = spec
	}
	src := p.source()
	for _, d := range p.tree.Decls {
		names := namesOf(d)
		if len(names) == 0 {
			continue
		}
		from, to := fset.PositionFor(d.Pos(), false).Offset, fset.PositionFor(d.End(), false).Offset
		pieces = append(pieces, &piece{
			kind:  declarations,
			at:    p.at,
			code:  src[from:to] + "\n",
			names: names,
			known: known,
		})
	}
	return pieces
}

// compile type-checks own together with the declarations above it.
func (c *compiler) compile(own *piece, above []*piece) []error {
	if own.kind != statements || !returnsValues(own.tree) {
		return c.typecheck(own, above)
	}
	var first []error
	for _, own.result = range results {
		own.imports, own.params = nil, nil
		errs := c.typecheck(own, above)
		if len(errs) == 0 {
			return nil
		}
		if first == nil {
			first = errs
		}
	}
	return first
}

// returnsValues reports whether the function around the statements has a return with values.
func returnsValues(tree *ast.File) (found bool) {
	for _, d := range tree.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		ast.Inspect(f.Body, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncLit:
				return false
			case *ast.ReturnStmt:
				found = found || len(n.Results) > 0
			}
			return true
		})
	}
	return found
}

// typecheck checks the package that own and above make, adding imports and parameters until nothing more
// can be added, and returns the errors in own.
func (c *compiler) typecheck(own *piece, above []*piece) []error {
	pieces := append([]*piece{own}, above...)
	for {
		var files []*ast.File
		of := map[*token.File]*piece{}
		for _, p := range pieces {
			if err := c.parse(p); err != nil {
				return []error{err}
			}
			files = append(files, p.tree)
			of[c.fset.File(p.tree.FileStart)] = p
		}
		var errs []error
		added := false
		conf := types.Config{Importer: c.imp, Error: func(err error) {
			var e types.Error
			if !errors.As(err, &e) || !e.Pos.IsValid() {
				errs = append(errs, err)
				return
			}
			p := of[c.fset.File(e.Pos)]
			if name, ok := strings.CutPrefix(e.Msg, "undefined: "); ok && p.add(name) {
				added = true
				return
			}
			if p == own && !(e.Soft && own.kind == statements) {
				errs = append(errs, err)
			}
		}}
		name := files[0].Name.Name
		for _, f := range files {
			f.Name.Name = name
		}
		_, _ = conf.Check(name, c.fset, files, nil) // its error is the first that went to conf.Error
		if !added {
			return errs
		}
	}
}

// add gives p the import or the parameter that name stands for, and reports whether there is one that p
// does not have yet.
func (p *piece) add(name string) bool {
	if _, ok := given[name]; ok && p.kind == statements && !slices.Contains(p.params, name) {
		p.params = append(p.params, name)
		return true
	}
	spec, ok := p.known[name]
	if !ok && importable[name] != "" && p.kind != file {
		spec, ok = strconv.Quote(importable[name]), true
	}
	if !ok || slices.Contains(p.imports, spec) {
		return false
	}
	p.imports = append(p.imports, spec)
	return true
}

func TestCompiler(t *testing.T) {
	c := newCompiler(t)
	for name, tt := range map[string]struct {
		blocks []string // the lines of block i are numbered from 100*(i+1)
		want   []string
	}{
		"file":                       {[]string{"package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println() }\n"}, nil},
		"file without an import":     {[]string{"package main\n\nfunc main() { fmt.Println() }\n"}, []string{"p.md:102:15: undefined: fmt"}},
		"file with an unused import": {[]string{"package main\nimport \"fmt\"\nfunc main() {}\n"}, []string{`p.md:101:8: "fmt" imported and not used`}},
		"file with an unused name":   {[]string{"package main\nfunc main() {\n\tx := 1\n}\n"}, []string{"p.md:102:2: declared and not used: x"}},
		"no such package":            {[]string{"package p\nimport _ \"" + module + "/gone\"\n"}, []string{"p.md:101:10: could not import " + module + "/gone (no such package, or it does not compile)"}},
		"two files of one package":   {[]string{"package main\ntype room struct{}\n", "package main\nvar _ room\n"}, nil},
		"two packages":               {[]string{"package a\ntype room struct{}\n", "package b\nvar _ room\n"}, []string{"p.md:201:7: undefined: room"}},
		"a program anew":             {[]string{"package main\ntype room struct{}\nfunc main() {}\n", "package main\nfunc main() { _ = room{} }\n"}, []string{"p.md:201:19: undefined: room"}},

		"declarations":            {[]string{"// A chat is\n// a chat.\ntype chat struct{ at time.Time }\n"}, nil},
		"declarations, no syntax": {[]string{"func chat( {\n\tx\n"}, []string{"p.md:100:12: expected ')', found '{'"}},
		"declarations, no name":   {[]string{"type chat struct{ at room }\n"}, []string{"p.md:100:22: undefined: room"}},
		"an import of its own":    {[]string{"import str \"strings\"\n\nvar x = str.ToUpper(strconv.Itoa(1))\n"}, nil},
		"var before statements":   {[]string{"var x int\nx++\n"}, nil},

		"statements":                     {[]string{"x := 1\nfmt.Println(ctx, r.URL)\nw.WriteHeader(404)\n"}, nil},
		"statements, a name given anew":  {[]string{"ctx, cancel := context.WithCancel(ctx)\ndefer cancel()\nfmt.Println(ctx)\n"}, nil},
		"statements, no name":            {[]string{"x := 1\n\nx = y\n"}, []string{"p.md:102:5: undefined: y"}},
		"statements, no such function":   {[]string{"fmt.Printer(ctx)\n"}, []string{"p.md:100:5: undefined: fmt.Printer"}},
		"statements, another type":       {[]string{"var x int = strings.ToUpper(\"x\")\nx++\n"}, []string{`p.md:100:13: cannot use strings.ToUpper("x") (value of type string) as int value in variable declaration`}},
		"statements, no syntax":          {[]string{"x := 1\nx = = 2\ny := )\n"}, []string{"p.md:101:5: expected operand, found '='"}},
		"statements with a result":       {[]string{"if err != nil {\n\treturn err\n}\n"}, nil},
		"statements with another result": {[]string{"return 1i\n"}, []string{"p.md:100:8: too many return values\n\thave (number)\n\twant ()"}},

		"piece by piece":    {[]string{"type chat struct{ n int }\n", "func (c *chat) add() { c.n++ }\n", "c := &chat{}\nc.add()\n"}, nil},
		"of a file":         {[]string{"package main\nimport str \"strings\"\nfunc up(s string) string { return str.ToUpper(s) }\n", "var x int = up(\"\")\nx++\n"}, []string{`p.md:200:13: cannot use up("") (value of type string) as int value in variable declaration`}},
		"a method anew":     {[]string{"type chat struct{}\n", "func (*chat) add() {}\n", "func (*chat) add(int) {}\nfunc f(c *chat) { c.add(1) }\n"}, nil},
		"a type anew":       {[]string{"type chat struct{ n int }\nfunc (c *chat) add() { c.n++ }\n", "type chat struct{}\nfunc f(c *chat) { c.add() }\n"}, []string{"p.md:201:21: c.add undefined (type *chat has no field or method add)"}},
		"an error once":     {[]string{"func f() { gone() }\n", "f()\n"}, []string{"p.md:100:12: undefined: gone"}},
		"not from below":    {[]string{"f()\n", "func f() {}\n"}, []string{"p.md:100:1: undefined: f"}},
		"not of statements": {[]string{"x := 1\n", "y := x\n"}, []string{"p.md:200:6: undefined: x"}},
	} {
		t.Run(name, func(t *testing.T) {
			var blocks []block
			for i, code := range tt.blocks {
				blocks = append(blocks, block{100 * (i + 1), code})
			}
			if got := c.check("p.md", blocks); !slices.Equal(got, tt.want) {
				t.Errorf("problems of %q:\n got %q\nwant %q", tt.blocks, got, tt.want)
			}
		})
	}
}
